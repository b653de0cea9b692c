"""Train a run to its end or an interruption, and write it as docs/run-format.md says."""

import time
from pathlib import Path
from typing import Any

import torch

from workbench import store
from workbench.config import TrainConfig
from workbench.errors import WorkbenchError
from workbench.format import format_duration
from workbench.hints import command
from workbench.parallel.collectives import any_of
from workbench.store import Run
from workbench.training import checkpoint as ckpt
from workbench.training import snapshots
from workbench.training.cost import count_parameters
from workbench.training.hardware import memory_to_spare, peak_memory_mb
from workbench.training.monitor import FeatureMonitor
from workbench.training.progress import StopSignals, TrainingProgress, run_log, say
from workbench.training.stability_log import StabilityLog
from workbench.training.trainer import Trainer
from workbench.training.window import Window

SUMMARY_SECONDS = 2.0


def memory_advice(config: TrainConfig) -> str:
    """How to train with less memory."""
    more = "" if config.accumulate > 1 else ", compute it in parts with --accumulate"
    return f"lower --batch-size (now {config.batch_size}){more}, or lower --data.image-size or the size of the model"


class Session:
    """The training of a run in this process. Of several processes only the first monitors and writes."""

    def __init__(self, run: Run, trainer: Trainer) -> None:
        self.run, self.trainer, self.config = run, trainer, trainer.config
        self.leads, self.stopping = trainer.rank == 0, False
        self.step, self.seconds, self.last_row = 0, 0.0, dict[str, Any]()
        self.snapshot_steps = list[int]()
        self.window, self.last_summary = Window(), 0.0
        rows = run.metrics()
        self.losses = [row["loss"] for row in rows if "loss" in row]
        self.readings = [row["knn"] for row in rows if "knn" in row]
        self.stability, self.monitor = StabilityLog(run, trainer), None
        if self.leads and self.config.monitor_every and len(trainer.dataset.val):
            part = self.config.batch_size // trainer.world // self.config.accumulate  # fits the memory
            self.monitor = FeatureMonitor(trainer.dataset, part, trainer.device, trainer.views, self.config.seed)

    def train(self, folder: Path | None = None) -> None:
        """Train, from the checkpoint in ``folder`` if given; failures are written into the run before being raised."""
        if folder is not None:
            self._restore(folder)
        self.snapshot_steps = snapshots.snapshot_steps(self.trainer.steps, self.config.snapshots)
        try:
            with (
                memory_to_spare(f"{memory_advice(self.config)}; continue with `{self._resume()}`"),
                StopSignals() as stop,
                TrainingProgress(self.trainer.steps, self.step) as progress,
            ):
                self.lap = time.perf_counter()
                self._snapshot()
                if self.leads:
                    self.stability.begin()
                    snapshots.keep_snapshots(self.run, self.step, self.snapshot_steps)
                while self.step < self.trainer.steps and not self.stopping:
                    self._epoch(stop, progress)
            if self.step < self.trainer.steps:
                self._save()
        except WorkbenchError as error:
            self._failed(str(error))
            raise
        except Exception as error:
            self._failed(f"{type(error).__name__}: {error}")
            raise
        if self.step < self.trainer.steps:
            self._close("interrupted")
            say(f"Stopped at step {self.step} of {self.trainer.steps}; continue with `{self._resume()}`.")
            raise KeyboardInterrupt
        self._close("finished")

    def _resume(self) -> str:
        return command("resume", self.run.id, runs=self.run.path.parent)

    def _epoch(self, stop: StopSignals, progress: TrainingProgress) -> None:
        trainer, config = self.trainer, self.config
        epoch, within = divmod(self.step, trainer.steps_per_epoch)
        for images in trainer.loader.epoch(epoch, within):
            log = (self.step + 1) % config.log_every == 0 or self.step + 1 == trainer.steps
            result = trainer.step(images, epoch, self.step)
            self.window.add(result.loss, result.logs)
            self.step += 1
            self._snapshot()
            if log:
                self._log()
                progress.update(self.step, self.last_row)
            if self.step >= trainer.steps:
                break
            self._listen(stop, log)
            if self.stopping and self.step % trainer.steps_per_epoch:
                return
        self._end_epoch(epoch + 1, progress)

    def _listen(self, stop: StopSignals, agree: bool) -> None:
        """Find out whether to stop; several processes only agree on it now and then, as that takes time."""
        if self.trainer.world == 1:
            self.stopping = stop.requested
        elif agree or self.step % self.trainer.steps_per_epoch == 0:
            self.stopping = any_of(stop.requested, self.trainer.device)

    def _snapshot(self) -> None:
        """Save the weights of this step, if it is one of the snapshots'."""
        if self.leads and self.step in self.snapshot_steps and self.step < self.trainer.steps:
            self._check_finite()
            began = time.perf_counter()
            snapshots.save_snapshot(self.run, self.step, self.trainer.method)
            self.lap += time.perf_counter() - began  # writing does not count as training time

    def _log(self) -> None:
        """Write a row of metrics; the only place where the loop waits for the device."""
        self._check_finite()
        self._lap()
        gradients = self.trainer.gradients.pop()
        rate = self.window.steps * self.config.batch_size / self.window.seconds
        self.last_row = {
            **self._where(),
            **self.window.pop(),
            "lr": self.trainer.optimizer.param_groups[0]["lr"],
            "images_per_second": rate,
            **gradients.norms,
            "memory_mb": peak_memory_mb(self.trainer.device),
        }
        if not self.leads:
            return
        self.run.log(self.last_row)
        self.stability.log_gradients(self.step, gradients.layers)
        self.losses.append(self.last_row["loss"])
        if time.time() - self.last_summary > SUMMARY_SECONDS:
            self._summarise()

    def _end_epoch(self, epoch: int, progress: TrainingProgress) -> None:
        """Read the monitor, print the epoch's line and save a checkpoint."""
        if not self.leads:
            return
        config, done = self.config, self.step >= self.trainer.steps
        text = f"epoch {epoch}/{-(-self.trainer.steps // self.trainer.steps_per_epoch)}"
        if self.last_row:
            text += f"  loss {self.last_row['loss']:.4g}  {self.last_row['images_per_second']:.0f} images/s"
        best, warning = None, ""
        if self.monitor is not None and (done or epoch % config.monitor_every == 0):
            self._check_finite()  # which also waits for the device
            self._lap()
            reading = self.monitor(self.trainer.method)
            self.lap = time.perf_counter()  # monitoring does not count as training time
            self.run.log({**self._where(), **reading})
            if (knn := reading.get("knn")) is not None:
                self.readings.append(knn)
                text += f"  kNN {knn:.1f} %"
                former = ckpt.best_value(self.run)
                best = knn if former is None or knn > former else None
            warning = self.stability.log_reading(self.step, reading)
        if not done:
            text += f"  {format_duration((self.trainer.steps - self.step) * self.seconds / self.step)} left"
        progress.epoch(text + warning)
        if best is not None or done or epoch % config.checkpoint_every == 0:
            self._save(best)
        self._summarise()

    def _where(self) -> dict[str, Any]:
        epoch, images = self.step / self.trainer.steps_per_epoch, self.step * self.config.batch_size
        return {"step": self.step, "epoch": epoch, "images": images, "seconds": self.seconds}

    def _lap(self) -> None:
        """Add the seconds since the last lap to the run's training time and to the window's."""
        now = time.perf_counter()
        lap, self.lap = max(now - self.lap, 1e-9), now
        self.seconds += lap
        self.window.seconds += lap

    def _check_finite(self) -> None:
        """Raise a WorkbenchError, after logging gradients and batch, if loss or gradient are not finite."""
        first_bad = zip(self.trainer.first_bad.tolist(), ("loss", "gradient"), strict=True)
        bad = [(step, quantity) for step, quantity in first_bad if step > 0]
        if not bad:
            return
        step, quantity = min(bad, key=lambda pair: pair[0])
        if self.leads:
            self.stability.log_gradients(self.step, self.trainer.gradients.pop().layers)
            self.stability.log_batch(self.step, step, quantity)
        folder = self.run.checkpoint()
        saved = f"the last good checkpoint is {folder.name}" if folder else "there is no earlier checkpoint"
        raise WorkbenchError(
            f"The {quantity} became non-finite at step {step}; {saved}. Lower --lr (now "
            f"{self.config.optim.lr:g}), increase --warmup or set --optim.clip 1."
        )

    def _save(self, best: float | None = None) -> None:
        """Write a checkpoint; raises a WorkbenchError if the training has diverged."""
        if not self.leads:
            return
        self._check_finite()
        self._lap()
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "gradients": self.trainer.gradients.state(),
            "window_steps": self.window.steps,
            "window_seconds": self.window.seconds,
            "window": {name: float(value) for name, value in self.window.sums.items()},
        }
        ckpt.save_checkpoint(self.run, self.step, self.trainer.method, self.trainer.optimizer, state, best)
        self.lap = time.perf_counter()  # writing does not count as training time

    def _restore(self, folder: Path) -> None:
        ckpt.load_weights(self.trainer.method, folder, self.trainer.device)
        state = torch.load(folder / "training.pt", map_location="cpu", weights_only=True)
        self.trainer.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        if "gradients" in state:
            self.trainer.gradients.load_state(state["gradients"])
        self.window.steps, self.window.seconds = int(state["window_steps"]), float(state["window_seconds"])
        device, sums = self.trainer.device, state["window"].items()
        self.window.sums = {name: torch.tensor(value, device=device) for name, value in sums}

    def _summarise(self, **changes: Any) -> None:
        """Rewrite ``summary.json``: the heartbeat, and the columns of a list of runs."""
        trainer, seconds = self.trainer, max(self.seconds, 1e-9)
        curve = self.readings or self.losses
        stride = max(1, -(-len(curve) // store.SPARKLINE))
        self.run.update_summary(
            step=self.step,
            steps=trainer.steps,
            epoch=self.step / trainer.steps_per_epoch,
            epochs=trainer.steps / trainer.steps_per_epoch,
            loss=self.last_row.get("loss"),
            knn_monitor=self.readings[-1] if self.readings else None,
            collapse=self.stability.current_collapse(),
            images_per_second=self.last_row.get("images_per_second"),
            eta_seconds=(trainer.steps - self.step) * seconds / max(self.step, 1),
            seconds=self.seconds,
            parameters=count_parameters(trainer.method)[0],
            sparkline=curve[::-1][::stride][::-1],
            **changes,
        )
        self.last_summary = time.time()

    def _close(self, status: str, error: str | None = None) -> None:
        """Write status, error and cost into ``run.json`` and ``summary.json``."""
        if not self.leads:
            return
        cost = self.run.info().get("cost", {}) | {
            "images_seen": self.step * self.config.batch_size,
            "steps": self.step,
            "seconds": self.seconds,
            "peak_memory_mb": peak_memory_mb(self.trainer.device),
        }
        self.run.update_info(status=status, error=error, finished=store.now(), cost=cost)
        self._summarise(status=status)

    def _failed(self, error: str) -> None:
        """Write a failure into the run, if the disk allows it."""
        try:
            if self.leads:
                run_log.write(f"Failed: {error}")
            self._close("failed", error)
        except WorkbenchError:
            say("The status of the run could not be written either.")
