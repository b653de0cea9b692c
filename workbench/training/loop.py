"""The training loop: one for every method, on any device that Accelerate knows."""

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from workbench import store
from workbench.config import Device, TrainConfig, flatten, replace_flat, write_yaml
from workbench.data import datasets
from workbench.data.loader import Images
from workbench.errors import WorkbenchError
from workbench.files import replacing
from workbench.format import format_duration
from workbench.methods import METHODS, load_method
from workbench.parallel.collectives import shared
from workbench.store import Run
from workbench.training import checkpoint as ckpt
from workbench.training.cost import count_parameters, flops_per_image
from workbench.training.hardware import memory_to_spare, peak_memory_mb, pick_device, pick_precision, rank
from workbench.training.progress import console, run_log, say
from workbench.training.session import Session, memory_advice
from workbench.training.trainer import Trainer


def resolve(method: str, settings: Mapping[str, Any], where: str = "") -> tuple[TrainConfig, datasets.Dataset]:
    """The complete configuration: the class's defaults, overridden by the preset, overridden by ``settings``.

    A batch size that is not given is at most half the training images.

    Args:
        settings: by key, such as ``{"epochs": 5, "optim.lr": 1e-3}``.
        where: the file the settings come from, for error messages.

    Returns:
        the configuration, with every ``auto`` replaced by its choice, and the data.
    """
    _, config_class = load_method(method)
    given = replace_flat(config_class(), settings, where)
    device = pick_device(given.device)
    dataset = datasets.load(given.data, given.data_options, given.download)
    preset = given.preset if given.preset != "auto" else "published" if device.type == "cuda" else "cpu"
    defaults = config_class.presets(dataset.size)[preset]
    config = replace_flat(config_class(), defaults | dict(settings), where)
    if "batch_size" not in settings:
        config = replace(config, batch_size=_batch_size(config, len(dataset.train)))
    labelled = dataset.train.labels is not None
    config = config.for_classes(len(dataset.classes or ()) if labelled else None, dataset.name)
    precision: Any = pick_precision(config.precision, device)
    if config.data not in datasets.CATALOGUE:  # so that the run loads from any working directory
        config = replace(config, data=str(Path(config.data).expanduser().resolve()))
    return replace(config, preset=preset, device=device.type, precision=precision), dataset


def _batch_size(config: TrainConfig, images: int) -> int:
    """The preset's batch size, halved until an epoch has two steps, as far as processes and parts divide it."""
    size, parts = config.batch_size, int(os.environ.get("WORLD_SIZE", 1)) * config.accumulate
    while size > images // 2 and size > 2 and size % (2 * parts) == 0:
        size //= 2
    if size < config.batch_size:
        reason = f"as there are {images:,} training images"
        say(f"Batch size reduced from {config.batch_size} to {size}, {reason}; override with --batch-size.")
    return size


def start(method: str, settings: Mapping[str, Any], where: str = "", dry_run: bool = False) -> Run | None:
    """Train a method from the beginning (or from another run's weights) in a new run directory.

    Returns:
        the run, or None after a dry run, which prints the expected cost and writes nothing.

    Raises:
        WorkbenchError: bad input, a loss that is not finite, no memory or no disk.
        KeyboardInterrupt: the run was stopped, after saving a checkpoint.
    """
    run_log.begin()
    with _first_process_output():
        config, dataset = resolve(method, settings, where)
        if not dry_run:
            store.check_writable(config.runs)
        with memory_to_spare(memory_advice(config)):
            trainer = Trainer(method, config, dataset)
            _initial_weights(trainer)
            _describe(trainer)
            if dry_run:
                _estimate(trainer)
                return None
            info = trainer.info()
    run_id = store.create_run(config.runs, write_yaml(method, config), info).id if trainer.rank == 0 else ""
    run = Run(Path(config.runs) / shared(run_id))
    if trainer.rank == 0:
        run_log.open(run)
    say(f"run {run.id} in {config.runs}")
    Session(run, trainer).train()
    return run


def resume(run: Run, epochs: int | None = None, device: Device | None = None) -> Run:
    """Continue a run exactly from its last checkpoint, in the same directory.

    Args:
        epochs: a new total number of epochs, to train longer.
        device: another device, whose arithmetic may differ in the last digits.

    Raises:
        WorkbenchError: nothing is left to train, the data has changed, a process is training the run, or it cannot
            be read.
    """
    if rank() == 0 and (reason := run.in_training()):
        raise WorkbenchError(f"The run {run.id} is being trained {reason}.")
    run_log.begin()
    with _first_process_output():
        trainer, folder, done = _prepare_resume(run, epochs, device)
    if trainer.rank > 0:
        Session(run, trainer).train(folder)
        return run
    if epochs is not None or device is not None:
        with replacing(run.path / "config.yaml", "w", run.path) as file:
            file.write(write_yaml(trainer.name, trainer.config))
    run_log.open(run)
    say(f"resuming {run.id} at step {done} of {trainer.steps}")
    run.update_info(status="running", error=None, finished=None, host=socket.gethostname())
    run.update_summary(status="running", pid=os.getpid())
    run.drop_metrics_after(done)
    Session(run, trainer).train(folder)
    return run


def _prepare_resume(run: Run, epochs: int | None, device: Device | None) -> tuple[Trainer, Path | None, int]:
    """The trainer of a run, the checkpoint to continue from, and its step."""
    name, config, _ = ckpt.read_config(run)
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
    if folder is not None and not (folder / "training.pt").exists():
        reason = f"The run {run.id} has no optimiser state, as its weights were imported"
        raise WorkbenchError(f"{reason}; start a new run with --init {run.id}.")
    with memory_to_spare(memory_advice(config)):
        trainer = Trainer(name, config, dataset)
        if folder is None:
            _initial_weights(trainer)
    done = int(folder.name.removeprefix("step-")) if folder else 0
    if done >= trainer.steps:
        raise WorkbenchError(f"The run {run.id} is complete ({done} steps); train longer with --epochs.")
    return trainer, folder, done


@contextmanager
def _first_process_output() -> Iterator[None]:
    """Context in which only the first of several processes prints messages and errors."""
    console.quiet = console.quiet or rank() > 0
    try:
        yield
    except WorkbenchError:
        if rank() > 0:
            raise SystemExit(2) from None
        raise


def _initial_weights(trainer: Trainer) -> None:
    """Load the weights of the run that ``--init`` names, if any."""
    if trainer.config.init is None:
        return
    source = store.find_run(trainer.config.init, trainer.config.runs)
    folder = source.checkpoint()
    if folder is None:
        raise ckpt.no_checkpoint(source)
    if ckpt.read_config(source)[0] == trainer.name:
        ckpt.load_weights(trainer.method, folder, trainer.device)
    else:
        ckpt.load_encoder(trainer.method, source, folder)


def _describe(trainer: Trainer) -> None:
    """Print method, data and the preset's choices."""
    config, data, (parameters, _) = trainer.config, trainer.dataset, count_parameters(trainer.method)
    classes = f"{len(data.classes)} classes" if data.classes else "no labels"
    length = f"{config.epochs} epochs of {trainer.steps_per_epoch} steps"
    if config.max_steps == trainer.steps:
        length = f"{trainer.steps} steps, {trainer.steps_per_epoch} per epoch"
    say(
        f"[bold]{trainer.name}[/] ({METHODS[trainer.name].summary}; {parameters / 1e6:.2f} M parameters, "
        f"preset {config.preset})\non {data.name} ({len(data.train)} images of {data.size} px, {classes}): "
        f"{length}, batch {config.batch_size}, "
        f"{trainer.device.type} {config.precision}, seed {config.seed}"
    )
    settings = flatten(config)
    chosen = [f"{key} {settings[key]}" for key in type(config).presets(data.size)[config.preset]]
    say(f"[dim]{', '.join(chosen)}[/]")


def _estimate(trainer: Trainer) -> None:
    """Print parameters, FLOPs, memory and time, measured on three steps whose results are discarded."""
    rounds = []
    for step, images in zip(range(3), _batches(trainer), strict=False):
        began = time.perf_counter()
        result = trainer.step(images, 0, step)
        float(result.loss.detach())
        rounds.append(time.perf_counter() - began)
    (parameters, trainable), seconds = count_parameters(trainer.method), min(rounds)
    flops = flops_per_image(trainer.method, trainer.images, trainer.device)
    memory = "device" if trainer.device.type == "cuda" else "process"
    print(
        f"parameters       {parameters:,} ({trainable:,} trained)\n"
        f"FLOPs per image  {flops / 1e9:.3g} G (encoder, forward)\n"
        f"memory           {peak_memory_mb(trainer.device):,.0f} MB ({memory} peak)\n"
        f"time             about {format_duration(seconds * trainer.steps)} for {trainer.steps} steps at "
        f"{trainer.config.batch_size / seconds:.0f} images/s (measured on three steps, without monitoring)"
    )


def _batches(trainer: Trainer) -> Iterator[Images]:
    for epoch in count():
        yield from trainer.loader.epoch(epoch)
