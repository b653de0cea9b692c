"""The training loop: one for every method, on any device that Accelerate knows."""

import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from workbench import store
from workbench.config import Device, TrainConfig, flatten, replace_flat, write_yaml
from workbench.data import datasets
from workbench.data.loader import Images
from workbench.errors import WorkbenchError
from workbench.methods import METHODS, load_method
from workbench.store import Run
from workbench.training import checkpoint as ckpt
from workbench.training.hardware import memory_to_spare, peak_memory_mb, pick_device, pick_precision
from workbench.training.monitor import KNNMonitor
from workbench.training.progress import StopSignals, TrainingProgress, console, duration
from workbench.training.trainer import Trainer

SUMMARY_SECONDS = 2.0


def resolve(method: str, settings: Mapping[str, Any], where: str = "") -> tuple[TrainConfig, datasets.Dataset]:
    """The complete configuration: the class's defaults, overridden by the preset, overridden by ``settings``.

    Args:
        settings: what was asked for, by key (``{"epochs": 5, "optim.lr": 1e-3}``).
        where: the file the settings come from, for messages.

    Returns:
        the configuration with every ``auto`` replaced by what was chosen, and the data.
    """
    _, config_class = load_method(method)
    asked = replace_flat(config_class(), settings, where)
    device = pick_device(asked.device)
    dataset = datasets.load(asked.data, asked.data_options, asked.download)
    preset = asked.preset if asked.preset != "auto" else "published" if device.type == "cuda" else "cpu"
    chosen = config_class.presets(dataset.size)[preset]
    config = replace_flat(config_class(), chosen | dict(settings), where)
    precision: Any = pick_precision(config.precision, device)
    if config.data not in datasets.CATALOGUE:  # so that the run can be read from any folder
        config = replace(config, data=str(Path(config.data).expanduser().resolve()))
    return replace(config, preset=preset, device=device.type, precision=precision), dataset


def start(method: str, settings: Mapping[str, Any], where: str = "", dry_run: bool = False) -> Run | None:
    """Train a method from the beginning (or from another run's weights) in a new run directory.

    Returns:
        the run, or None after a dry run, which prints what the run would cost and writes nothing.

    Raises:
        WorkbenchError: bad input, a loss that is not finite, no memory or no disk.
        KeyboardInterrupt: the run was asked to stop, and has saved.
    """
    config, dataset = resolve(method, settings, where)
    if not dry_run:
        store.check_writable(config.runs)
    with memory_to_spare(_smaller(config)):
        trainer = Trainer(method, config, dataset)
        _initial_weights(trainer)
        _describe(trainer)
        if dry_run:
            _estimate(trainer)
            return None
        info = trainer.info()
    run = store.create_run(config.runs, write_yaml(method, config), info)
    console.print(f"run {run.id} in {config.runs}")
    _Session(run, trainer).train()
    return run


def resume(run: Run, epochs: int | None = None, device: Device | None = None) -> Run:
    """Continue a run exactly where its last checkpoint stands, in the same directory.

    Args:
        epochs: a new total number of epochs, for training longer.
        device: another device to compute on, whose arithmetic may differ in the last digits.

    Raises:
        WorkbenchError: there is nothing left to train, the data has changed, a process is training the run, or it
            cannot be read.
    """
    name, config, _ = ckpt.read_config(run)
    if reason := run.in_training():
        raise WorkbenchError(f"The run {run.id} is being trained {reason}.")
    if epochs is not None:
        config = replace_flat(replace(config, max_steps=None), {"epochs": epochs})
    if device is not None:
        config = replace(config, device=pick_device(device).type)
    pick_device(config.device)
    dataset = datasets.load(config.data, config.data_options, config.download)
    trained_on = run.info().get("data", {}).get("fingerprint")
    if trained_on is not None and trained_on != dataset.fingerprint:
        raise WorkbenchError(
            f"The data {config.data} has changed since {run.id} was trained; "
            f"start a new run instead, with --init {run.id} to keep its weights."
        )
    folder = run.checkpoint()
    if folder is None and run.had_checkpoint():
        raise ckpt.no_checkpoint(run)
    with memory_to_spare(_smaller(config)):
        trainer = Trainer(name, config, dataset)
        if folder is None:
            _initial_weights(trainer)
    done = int(folder.name.removeprefix("step-")) if folder else 0
    if done >= trainer.steps:
        raise WorkbenchError(f"The run {run.id} is complete ({done} steps); train longer with --epochs.")
    if epochs is not None or device is not None:
        with store.replacing(run.path / "config.yaml", "w") as file:
            file.write(write_yaml(name, config))
    console.print(f"resuming {run.id} at step {done} of {trainer.steps}")
    run.update_info(status="running", error=None, finished=None, host=socket.gethostname())
    run.update_summary(status="running", pid=os.getpid())
    run.drop_metrics_after(done)
    _Session(run, trainer).train(folder)
    return run


def _initial_weights(trainer: Trainer) -> None:
    """Load the weights of the run that ``--init`` names, if any."""
    if trainer.config.init is None:
        return
    source = store.find_run(trainer.config.init, trainer.config.runs)
    folder = source.checkpoint()
    if folder is None:
        raise ckpt.no_checkpoint(source)
    ckpt.load_weights(trainer.method, folder, trainer.device)


def _smaller(config: TrainConfig) -> str:
    """What to lower where the memory does not suffice."""
    return f"lower --batch-size (now {config.batch_size}), --data.image-size or the size of the model"


def _describe(trainer: Trainer) -> None:
    """Say what was chosen."""
    config, data, (parameters, _) = trainer.config, trainer.dataset, trainer.parameters()
    classes = f"{len(data.classes)} classes" if data.classes else "no labels"
    length = f"{config.epochs} epochs of {trainer.steps_per_epoch} steps"
    if config.max_steps == trainer.steps:
        length = f"{trainer.steps} steps, {trainer.steps_per_epoch} an epoch"
    console.print(
        f"[bold]{trainer.name}[/] ({METHODS[trainer.name].summary}; {parameters / 1e6:.2f} M parameters, "
        f"preset {config.preset})\non {data.name} ({len(data.train)} images of {data.size} px, {classes}): "
        f"{length}, batch {config.batch_size}, "
        f"{trainer.device.type} {config.precision}, seed {config.seed}"
    )
    settings = flatten(config)
    chosen = [f"{key} {settings[key]}" for key in type(config).presets(data.size)[config.preset]]
    console.print(f"[dim]{', '.join(chosen)}[/]")


def _estimate(trainer: Trainer) -> None:
    """Print parameters, FLOPs, memory and time, measured on three steps of which nothing is kept."""
    rounds = []
    for step, (images, ids, _) in zip(range(3), _endless(trainer), strict=False):
        began = time.perf_counter()
        result, _ = trainer.step(images, ids, 0, step)
        float(result.loss.detach())
        rounds.append(time.perf_counter() - began)
    (parameters, trainable), seconds = trainer.parameters(), min(rounds)
    memory = "device" if trainer.device.type == "cuda" else "process"
    print(
        f"parameters       {parameters:,} ({trainable:,} trained)\n"
        f"FLOPs per image  {trainer.flops_per_image() / 1e9:.3g} G (encoder, forward)\n"
        f"memory           {peak_memory_mb(trainer.device):,.0f} MB ({memory} peak)\n"
        f"time             about {duration(seconds * trainer.steps)} for {trainer.steps} steps at "
        f"{trainer.config.batch_size / seconds:.0f} images/s (measured on three steps; monitoring comes on top)"
    )


def _endless(trainer: Trainer) -> Iterator[Images]:
    epoch = 0
    while True:
        yield from trainer.loader.epoch(epoch)
        epoch += 1


class _Window:
    """Running means of the loss and its terms since the last row, kept on the device, and the seconds they took."""

    def __init__(self) -> None:
        self.steps, self.seconds, self.sums = 0, 0.0, dict[str, Tensor]()

    def add(self, loss: Tensor, logs: Mapping[str, Tensor]) -> None:
        self.steps += 1
        for name, value in {"loss": loss.detach(), **logs}.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()

    def pop(self) -> dict[str, float]:
        means = {name: float(value) / self.steps for name, value in self.sums.items()}
        self.__init__()
        return means


class _Session:
    """One stretch of training a run: from a checkpoint, or the beginning, to the end or an interruption."""

    def __init__(self, run: Run, trainer: Trainer) -> None:
        self.run, self.trainer, self.config = run, trainer, trainer.config
        self.step, self.seconds, self.last_row = 0, 0.0, dict[str, Any]()
        self.snapshots = list[int]()
        self.window, self.last_summary = _Window(), 0.0
        rows = run.metrics()
        self.losses = [row["loss"] for row in rows if "loss" in row]
        self.readings = [row["knn"] for row in rows if "knn" in row]
        self.monitor, data = None, trainer.dataset
        if self.config.monitor_every and data.train.labels is not None and data.val.labels is not None:
            self.monitor = KNNMonitor(data, self.config.batch_size, trainer.device)

    def train(self, folder: Path | None = None) -> None:
        """Train on from the checkpoint in ``folder``; failures are written into the run before they are raised."""
        if folder is not None:
            self._restore(folder)
        self.snapshots = ckpt.snapshot_steps(self.trainer.steps, self.config.snapshots)
        try:
            with (
                memory_to_spare(f"{_smaller(self.config)}; `workbench resume {self.run.id}` continues"),
                StopSignals() as stop,
                TrainingProgress(self.trainer.steps, self.step) as progress,
            ):
                self.lap = time.perf_counter()
                self._snapshot()
                ckpt.keep_snapshots(self.run, self.step, self.snapshots)
                while self.step < self.trainer.steps and not stop.asked:
                    self._epoch(stop, progress)
        except WorkbenchError as error:
            self._failed(str(error))
            raise
        except Exception as error:
            self._failed(f"{type(error).__name__}: {error}")
            raise
        if self.step < self.trainer.steps:
            self._save()
            self._close("interrupted")
            console.print(
                f"Stopped at step {self.step} of {self.trainer.steps}; `workbench resume {self.run.id}` continues."
            )
            raise KeyboardInterrupt
        self._close("finished")

    def _epoch(self, stop: StopSignals, progress: TrainingProgress) -> None:
        trainer, config = self.trainer, self.config
        epoch, within = divmod(self.step, trainer.steps_per_epoch)
        for images, ids, _ in trainer.loader.epoch(epoch, within):
            watch = (self.step + 1) % config.log_every == 0 or self.step + 1 == trainer.steps
            result, norms = trainer.step(images, ids, epoch, self.step, watch)
            self.window.add(result.loss, result.logs)
            self.step += 1
            self._snapshot()
            if watch:
                self._log(norms)
                progress.update(self.step, self.last_row)
            if self.step >= trainer.steps:
                break
            if stop.asked and self.step % trainer.steps_per_epoch:
                return
        self._end_epoch(epoch + 1, progress)

    def _snapshot(self) -> None:
        """Keep the weights of this step for the maps of the training, where it is one of the chosen few."""
        if self.step in self.snapshots and self.step < self.trainer.steps:
            self._check_finite()
            began = time.perf_counter()
            ckpt.save_snapshot(self.run, self.step, self.trainer.method)
            self.lap += time.perf_counter() - began  # training time and rate leave the writing out

    def _log(self, norms: Mapping[str, Tensor]) -> None:
        """Write a row of metrics: the one place where the loop waits for the device."""
        self._check_finite()
        self._lap()
        rate = self.window.steps * self.config.batch_size / self.window.seconds
        self.last_row = {
            **self._where(),
            **self.window.pop(),
            "lr": self.trainer.optimizer.param_groups[0]["lr"],
            "images_per_second": rate,
            **{name: float(norm) for name, norm in norms.items()},
            "memory_mb": peak_memory_mb(self.trainer.device),
        }
        self.run.log(self.last_row)
        self.losses.append(self.last_row["loss"])
        if time.time() - self.last_summary > SUMMARY_SECONDS:
            self._summarise()

    def _end_epoch(self, epoch: int, progress: TrainingProgress) -> None:
        """Monitor, say how it went, save."""
        config, done = self.config, self.step >= self.trainer.steps
        text = f"epoch {epoch}/{-(-self.trainer.steps // self.trainer.steps_per_epoch)}"
        if self.last_row:
            text += f"  loss {self.last_row['loss']:.4g}  {self.last_row['images_per_second']:.0f} images/s"
        best = None
        if self.monitor is not None and (done or epoch % config.monitor_every == 0):
            self._check_finite()  # which also waits for the device
            self._lap()
            knn = self.monitor(self.trainer.method)
            self.lap = time.perf_counter()  # training time and rate leave the monitor out
            self.run.log({**self._where(), "knn": knn})
            self.readings.append(knn)
            text += f"  kNN {knn:.1f} %"
            former = ckpt.best_value(self.run)
            best = knn if former is None or knn > former else None
        if not done:
            text += f"  {duration((self.trainer.steps - self.step) * self.seconds / self.step)} left"
        progress.epoch(text)
        if best is not None or done or epoch % config.checkpoint_every == 0:
            self._save(best)
        self._summarise()

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
        step = int(self.trainer.first_bad)
        if step >= 0:
            folder = self.run.checkpoint()
            kept = f"the last good checkpoint is {folder.name}" if folder else "there is no checkpoint before it"
            raise WorkbenchError(
                f"The loss is not finite since step {step}; {kept}. Lower --optim.lr (now {self.config.optim.lr:g}), "
                "lengthen --optim.warmup-epochs or set --optim.clip 1."
            )

    def _save(self, best: float | None = None) -> None:
        """Write a checkpoint, unless the weights are no longer finite."""
        self._check_finite()
        self._lap()
        state = {
            "step": self.step,
            "seconds": self.seconds,
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
