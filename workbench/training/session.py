"""One stretch of training a run: steps, rows of metrics, monitor, checkpoints, and how it ends."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workbench import store
from workbench.config import TrainConfig
from workbench.errors import WorkbenchError
from workbench.format import format_duration
from workbench.metrics.stability import WINDOW, Collapse, collapses, is_spike
from workbench.parallel.collectives import any_of
from workbench.run import BATCHES, GRADIENTS
from workbench.store import Run
from workbench.training import checkpoint as ckpt
from workbench.training.hardware import memory_to_spare, peak_memory_mb
from workbench.training.monitor import FeatureMonitor
from workbench.training.progress import StopSignals, TrainingProgress, console
from workbench.training.trainer import Trainer
from workbench.training.window import Window

SUMMARY_SECONDS = 2.0
THUMBNAILS, THUMBNAIL = 32, 64  # images of a batch that are kept, and their side in pixels at most


def smaller(config: TrainConfig) -> str:
    """What to lower where the memory does not suffice."""
    more = "" if config.accumulate > 1 else ", compute it in parts with --accumulate"
    return f"lower --batch-size (now {config.batch_size}){more}, or lower --data.image-size or the size of the model"


class Session:
    """One stretch of training a run: from a checkpoint, or the beginning, to the end or an interruption.

    Of several processes the first alone monitors and writes; the others compute their shares.
    """

    def __init__(self, run: Run, trainer: Trainer) -> None:
        self.run, self.trainer, self.config = run, trainer, trainer.config
        self.leads, self.stopping = trainer.rank == 0, False
        self.step, self.seconds, self.last_row = 0, 0.0, dict[str, Any]()
        self.snapshots = list[int]()
        self.window, self.last_summary = Window(), 0.0
        rows = run.metrics()
        self.losses = [row["loss"] for row in rows if "loss" in row]
        self.readings = [row["knn"] for row in rows if "knn" in row]
        self.health = [row for row in rows if "normalised_std" in row]
        self.peaks = [row["max"][:2] for row in run.metrics(GRADIENTS) if "max" in row]
        self.collapses, self.monitor = self._collapses(), None
        if self.leads and self.config.monitor_every and len(trainer.dataset.val):
            part = self.config.batch_size // trainer.world // self.config.accumulate  # what memory suffices for
            self.monitor = FeatureMonitor(trainer.dataset, part, trainer.device, trainer.views, self.config.seed)

    def train(self, folder: Path | None = None) -> None:
        """Train on from the checkpoint in ``folder``; failures are written into the run before they are raised."""
        if folder is not None:
            self._restore(folder)
        self.snapshots = ckpt.snapshot_steps(self.trainer.steps, self.config.snapshots)
        try:
            with (
                memory_to_spare(f"{smaller(self.config)}; `workbench resume {self.run.id}` continues"),
                StopSignals() as stop,
                TrainingProgress(self.trainer.steps, self.step) as progress,
            ):
                self.lap = time.perf_counter()
                self._snapshot()
                if self.leads:
                    names = {"layers": self.trainer.gradients.names, "first": self.trainer.method.first_block}
                    self.run.update_info(gradients=names, collapses=[asdict(one) for one in self.collapses])
                    ckpt.keep_snapshots(self.run, self.step, self.snapshots)
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
            console.print(
                f"Stopped at step {self.step} of {self.trainer.steps}; `workbench resume {self.run.id}` continues."
            )
            raise KeyboardInterrupt
        self._close("finished")

    def _epoch(self, stop: StopSignals, progress: TrainingProgress) -> None:
        trainer, config = self.trainer, self.config
        epoch, within = divmod(self.step, trainer.steps_per_epoch)
        for images in trainer.loader.epoch(epoch, within):
            watch = (self.step + 1) % config.log_every == 0 or self.step + 1 == trainer.steps
            result = trainer.step(images, epoch, self.step)
            self.window.add(result.loss, result.logs)
            self.step += 1
            self._snapshot()
            if watch:
                self._log()
                progress.update(self.step, self.last_row)
            if self.step >= trainer.steps:
                break
            self._listen(stop, watch)
            if self.stopping and self.step % trainer.steps_per_epoch:
                return
        self._end_epoch(epoch + 1, progress)

    def _listen(self, stop: StopSignals, watch: bool) -> None:
        """Whether to stop; processes agree on it now and then, as asking one another takes time."""
        if self.trainer.world == 1:
            self.stopping = stop.asked
        elif watch or self.step % self.trainer.steps_per_epoch == 0:
            self.stopping = any_of(stop.asked, self.trainer.device)

    def _snapshot(self) -> None:
        """Keep the weights of this step for the maps of the training, where it is one of the chosen few."""
        if self.leads and self.step in self.snapshots and self.step < self.trainer.steps:
            self._check_finite()
            began = time.perf_counter()
            ckpt.save_snapshot(self.run, self.step, self.trainer.method)
            self.lap += time.perf_counter() - began  # training time and rate leave the writing out

    def _log(self) -> None:
        """Write a row of metrics: the one place where the loop waits for the device."""
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
        self._log_gradients(gradients.layers)
        self.losses.append(self.last_row["loss"])
        if time.time() - self.last_summary > SUMMARY_SECONDS:
            self._summarise()

    def _log_gradients(self, row: dict[str, list[float]]) -> None:
        """Write a row of gradients, and the batches of its highest norms where they are spikes."""
        self.run.log({"step": self.step, **row}, GRADIENTS)
        self.peaks = [*self.peaks[-WINDOW:], row["max"][:2]]
        for of, norms, ago in zip(("total", "first"), zip(*self.peaks, strict=True), row["ago"], strict=False):
            if is_spike(norms):
                self._keep_batch(self.step - int(ago), of)

    def _keep_batch(self, at: int, of: str) -> None:
        """Write which images the batch of step ``at`` holds, and small copies of the first of them.

        Args:
            of: what was unusual there, as in ``batches.jsonl``.
        """
        train = self.trainer.dataset.train
        rows = self.trainer.loader.rows(at - 1).numpy()
        self.run.log({"step": self.step, "at": at, "of": of, "ids": train.ids[rows]}, BATCHES)
        coarse = -(-self.trainer.images.size // THUMBNAIL)
        small = np.stack([train.images[row][::coarse, ::coarse] for row in rows[:THUMBNAILS]])
        self.run.write_array(f"batch-{at:08d}", small)

    def _end_epoch(self, epoch: int, progress: TrainingProgress) -> None:
        """Monitor, say how it went, save."""
        if not self.leads:
            return
        config, done = self.config, self.step >= self.trainer.steps
        text = f"epoch {epoch}/{-(-self.trainer.steps // self.trainer.steps_per_epoch)}"
        if self.last_row:
            text += f"  loss {self.last_row['loss']:.4g}  {self.last_row['images_per_second']:.0f} images/s"
        best, told = None, ""
        if self.monitor is not None and (done or epoch % config.monitor_every == 0):
            self._check_finite()  # which also waits for the device
            self._lap()
            reading = self.monitor(self.trainer.method)
            self.lap = time.perf_counter()  # training time and rate leave the monitor out
            self.run.log({**self._where(), **reading})
            if (knn := reading.get("knn")) is not None:
                self.readings.append(knn)
                text += f"  kNN {knn:.1f} %"
                former = ckpt.best_value(self.run)
                best = knn if former is None or knn > former else None
            told = self._watch_collapse(reading)
        if not done:
            text += f"  {format_duration((self.trainer.steps - self.step) * self.seconds / self.step)} left"
        progress.epoch(text + told)
        if best is not None or done or epoch % config.checkpoint_every == 0:
            self._save(best)
        self._summarise()

    def _watch_collapse(self, reading: dict[str, float]) -> str:
        """What to say where features collapse with this reading, or are no longer collapsed; kept in ``run.json``."""
        if "normalised_std" not in reading:
            return ""
        self.health.append({"step": self.step, **reading})
        before, self.collapses = self.collapses, self._collapses()
        if self.collapses == before:
            return ""
        self.run.update_info(collapses=[asdict(one) for one in self.collapses])
        if new := [one for one in self.collapses if one not in before and one.until is None]:
            return f"\n[bold red]Collapse[/] at step {self.step}: {new[0].reason}; lower --optim.lr or start anew."
        return f"\nThe collapse is over at step {self.step}."

    def _collapses(self) -> list[Collapse]:
        steps = [row["step"] for row in self.health]
        return collapses(
            steps, *([row.get(key) for row in self.health] for key in ("normalised_std", "effective_rank"))
        )

    def _where(self) -> dict[str, Any]:
        epoch = self.step / self.trainer.steps_per_epoch
        return {
            "step": self.step,
            "epoch": epoch,
            "images": self.step * self.config.batch_size,
            "seconds": self.seconds,
        }

    def _lap(self) -> None:
        """Add the seconds since the last lap to the run's training time and to the window's."""
        now = time.perf_counter()
        lap, self.lap = max(now - self.lap, 1e-9), now
        self.seconds += lap
        self.window.seconds += lap

    def _check_finite(self) -> None:
        """Stop where loss or gradient are not finite; what led there is written, the weights are not."""
        found = zip(self.trainer.first_bad.tolist(), ("loss", "gradient"), strict=True)
        bad = [(step, what) for step, what in found if step > 0]
        if not bad:
            return
        step, what = min(bad, key=lambda one: one[0])
        if self.leads:
            self._log_gradients(self.trainer.gradients.pop().layers)
            self._keep_batch(step, what)
        folder = self.run.checkpoint()
        kept = f"the last good checkpoint is {folder.name}" if folder else "there is no checkpoint before it"
        raise WorkbenchError(
            f"The {what} is not finite since step {step}; {kept}. Lower --optim.lr (now {self.config.optim.lr:g}), "
            "lengthen --optim.warmup-epochs or set --optim.clip 1."
        )

    def _save(self, best: float | None = None) -> None:
        """Write a checkpoint, unless the weights are no longer finite."""
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
        self.lap = time.perf_counter()  # training time and rate leave the writing out

    def _restore(self, folder: Path) -> None:
        ckpt.load_weights(self.trainer.method, folder, self.trainer.device)
        state = ckpt.load_training_state(folder)
        self.trainer.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        if "gradients" in state:
            self.trainer.gradients.load_state(state["gradients"])
        self.window.steps, self.window.seconds = int(state["window_steps"]), float(state["window_seconds"])
        self.window.sums = {
            name: torch.tensor(value, device=self.trainer.device) for name, value in state["window"].items()
        }

    def _summarise(self, **changes: Any) -> None:
        """Rewrite ``summary.json``: the heartbeat, and all that a list of runs shows."""
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
            collapse=next((one.reason for one in self.collapses if one.until is None), None),
            images_per_second=self.last_row.get("images_per_second"),
            eta_seconds=(trainer.steps - self.step) * seconds / max(self.step, 1),
            seconds=self.seconds,
            parameters=trainer.parameters()[0],
            sparkline=curve[::-1][::stride][::-1],
            **changes,
        )
        self.last_summary = time.time()

    def _close(self, status: str, error: str | None = None) -> None:
        """Write the run's end into ``run.json`` and ``summary.json``."""
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
        """Write a failure into the run, as far as the disk allows."""
        try:
            self._close("failed", error)
        except WorkbenchError:
            console.print("The run's status could not be written either.")
