"""A sweep: a run per cell and seed of a recipe, each evaluated, and one table and figure of them all.

A sweep is a folder: ``runs/`` holds ordinary runs, beside it stand ``sweep.json``, ``sweep.csv``, ``sweep.md`` and
``sweep.svg``, rewritten after every run, the figure at most once a minute. What is there already is not done again.
Several GPUs each work off one run at a time, in a process of their own.
"""

import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from workbench.config import TrainConfig
from workbench.data.datasets import Dataset
from workbench.errors import WorkbenchError, unknown
from workbench.evaluation import runner
from workbench.evaluation.probes import transfer
from workbench.figures.drawing import FORMATS, interim_formats
from workbench.methods import load_method
from workbench.methods.base import ImageSpec
from workbench.run import Run
from workbench.studies import cells
from workbench.studies.recipe import TRANSFERS, Recipe, matching
from workbench.studies.results import sweep_record, write_sweep
from workbench.training.hardware import memory_to_spare
from workbench.training.loop import resolve
from workbench.training.progress import console
from workbench.training.trainer import Trainer

KILLED = "Its process, or one beside it, was killed, mostly for lack of memory; the same command goes on."
TIMED_IMAGES = 64  # of a step whose time is measured on a CPU


@dataclass(frozen=True)
class Job:
    """One run of a sweep, with all that another process needs to train and evaluate it.

    Attributes:
        run: its directory, if it has one already.
        steps: of a whole training.
        measures: evaluations to run.
        transfer_to: the data set of those that transfer.
        target: its name in their rows.
    """

    cell: str
    seed: int
    method: str
    config: TrainConfig
    steps: int
    run: Path | None
    measures: tuple[str, ...]
    transfer_to: str | None
    target: str | None

    def missing(self) -> list[str]:
        """What has not been measured on the trained run."""
        if self.run is None:
            return list(self.measures)
        return [name for name in self.measures if not cells.is_measured(Run(self.run), name, self.steps, self.target)]

    @property
    def is_done(self) -> bool:
        """Whether all has been measured, so that the weights are not needed any more."""
        return not self.missing()

    def work(self) -> Path:
        """Train and evaluate what is left to do; returns the run's directory.

        Raises:
            WorkbenchError: as training and evaluation do.
            KeyboardInterrupt: it was interrupted, and has saved.
        """
        earlier = Run(self.run) if self.run else None
        if earlier is not None and earlier.checkpoint() is None and earlier.had_checkpoint():
            earlier = None  # its weights were deleted before all was measured
        run = cells.train(self.method, self.config, earlier, self.steps)
        if missing := replace(self, run=run.path).missing():
            device: Any = self.config.device
            target = self.transfer_to if set(TRANSFERS) & set(missing) else None
            with memory_to_spare("take smaller images, or a smaller network"):
                runner.evaluate([run], only=missing, transfer_to=target, device=device, quiet=True)
        return run.path


class Sweep:
    """The cells of a recipe, the runs that are there, and what is left to do.

    Args:
        recipe: what to train.
        folder: of the sweep.
        seeds: per cell, counted from 0.

    Raises:
        WorkbenchError: data that are missing, unlabelled or not the same for all cells; sizes that do not fit.
    """

    def __init__(self, recipe: Recipe, folder: Path, seeds: int = 1) -> None:
        self.recipe, self.folder, self.seeds = recipe, folder, range(seeds)
        self.configs: dict[str, TrainConfig] = {}
        self.datasets: dict[str, Dataset] = {}
        self.failures: dict[tuple[str, int], str] = {}
        for cell in recipe.cells:
            settings = {**cell.settings, "runs": str(folder / "runs"), "name": cell.name}
            config, dataset = resolve(cell.method, settings, recipe.where)
            self.configs[cell.name], self.datasets[cell.name] = config, dataset
            _check(cell.name, cell.method, config, dataset)
        self.methods = {cell.name: cell.method for cell in recipe.cells}
        self.dataset = self.datasets[recipe.cells[0].name]
        if len({dataset.fingerprint for dataset in self.datasets.values()}) > 1:
            raise WorkbenchError(
                f"The cells of {recipe.where} are of different images, which cannot be compared; "
                "leave data and data.image_size the same for all."
            )
        self.target: str | None = None
        if recipe.transfer_to is not None:
            config = self.configs[recipe.cells[0].name]
            self.target = transfer.check_target(config, self.dataset.fingerprint, recipe.transfer_to)
        self.runs = self._find()

    def jobs(self, only: Sequence[str] = ()) -> list[Job]:
        """A job per seed and cell, seeds first, so that an interrupted sweep has all cells of its finished seeds.

        Args:
            only: names of cells; by default all.

        Raises:
            WorkbenchError: an unknown cell.
        """
        chosen = {matching(name, self.configs) for name in only}
        for name in chosen - self.configs.keys():
            raise unknown("cell", name, self.configs, self.recipe.where)
        names = [name for name in self.configs if not only or name in chosen]
        return [self._job(name, seed) for seed in self.seeds for name in names]

    def work_off(self, jobs: Sequence[Job], places: Sequence[str | None]) -> Iterator[tuple[Job, str | None]]:
        """Do jobs; yields each as it ends, with the reason of a failure or None. Results are written after each.

        Args:
            jobs: what to do.
            places: as of :func:`places`; with one, the work is done in this process.
        """
        results = ((job, _outcome(job)) for job in jobs) if len(places) == 1 else _in_processes(jobs, places)
        for job, outcome in results:
            failed = outcome if isinstance(outcome, str) else None
            if failed is None:
                self.failures.pop((job.cell, job.seed), None)
            else:
                self.failures[job.cell, job.seed] = failed
            self.write(interim_formats(self.folder / "sweep.svg"))
            yield job, failed

    def seconds(self, name: str) -> float:
        """The estimated training time of a cell, measured on two steps that are discarded."""
        config, dataset = self.configs[name], self.datasets[name]
        timed = config
        if config.device == "cpu":
            timed = replace(config, batch_size=min(config.batch_size, TIMED_IMAGES), accumulate=1)
        trainer, rounds = Trainer(self.methods[name], timed, dataset), []
        for step, images in zip(range(3), trainer.loader.epoch(0), strict=False):
            began = time.perf_counter()
            float(trainer.step(images, 0, step).loss.detach())
            rounds.append(time.perf_counter() - began)
        return min(rounds) * config.batch_size / timed.batch_size * cells.steps_of(config, dataset)

    def write(self, formats: Sequence[str] = FORMATS) -> None:
        """Write tables, and figures in some formats, of all runs so far, those of other processes among them."""
        self.runs = self._find()
        write_sweep(self.folder, self.record(), formats)

    def record(self) -> dict[str, Any]:
        """What ``sweep.json`` holds; see docs/run-format.md."""
        done = {key: run for key, run in self.runs.items() if self._job(*key).is_done}
        settings = {name: cells.settings_of(config) for name, config in self.configs.items()}
        infos = {key: run.info() for key, run in self.runs.items()}
        failures = {key: str(info.get("error")) for key, info in infos.items() if info.get("status") == "failed"}
        failures = {key: why for key, why in (failures | self.failures).items() if key not in done}
        return sweep_record(self.recipe, self.dataset, settings, done, failures, self.target)

    def _job(self, name: str, seed: int) -> Job:
        config, run = replace(self.configs[name], seed=seed), self.runs.get((name, seed))
        steps = cells.steps_of(config, self.datasets[name])
        measures, path = self.recipe.measures + self.recipe.tables, run.path if run else None
        targets = (self.recipe.transfer_to, self.target)
        return Job(name, seed, self.methods[name], config, steps, path, measures, *targets)

    def _find(self) -> dict[tuple[str, int], Run]:
        wanted = {name: (self.methods[name], config) for name, config in self.configs.items()}
        return cells.find_runs(self.folder / "runs", wanted, self.dataset.fingerprint)


def places(device: str) -> list[str | None]:
    """Where jobs run in parallel: the visible GPUs as in CUDA_VISIBLE_DEVICES, or once None."""
    if device != "cuda":
        return [None]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return list(visible.split(",") if visible else map(str, range(torch.cuda.device_count())))


def _check(name: str, method: str, config: TrainConfig, dataset: Dataset) -> None:
    """Raise a WorkbenchError where a cell could not be trained or measured."""
    if any(split.labels is None for split in (dataset.train, dataset.val, dataset.test)):
        raise WorkbenchError(f"{dataset.name} has images without labels, which the linear probe needs.")
    if cells.steps_of(config, dataset) < 1:
        raise WorkbenchError(
            f'The cell "{name}" has a batch of {config.batch_size:,} images, more than the {len(dataset.train):,} to '
            "train on; lower batch_size."
        )
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # repeated when it is trained
        load_method(method)[0](config, ImageSpec.of(dataset))


def _outcome(job: Job) -> Path | str:
    """The run's directory, or the reason why it failed."""
    try:
        return job.work()
    except WorkbenchError as error:
        return str(error)


def _in_processes(jobs: Sequence[Job], places: Sequence[str | None]) -> Iterator[tuple[Job, Path | str]]:
    """Jobs with their outcomes, in one process per place. When interrupted, each of them saves first."""
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    free = context.Queue()
    for place in places:
        free.put(place)
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    pool = ProcessPoolExecutor(len(places), context, _initialise, (free, os.getpid()))
    futures: dict[Future, Job] = {pool.submit(_outcome, job): job for job in jobs}
    try:
        for future in as_completed(futures):
            try:
                outcome = future.result()
            except BrokenProcessPool:
                outcome = KILLED
            yield futures[future], outcome
    except BaseException:
        for future in futures:
            future.cancel()
        for child in multiprocessing.active_children():
            with suppress(ProcessLookupError):
                os.kill(child.pid or 0, signal.SIGTERM)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        signal.signal(signal.SIGTERM, former)


def _initialise(free: Any, parent: int) -> None:
    """Prepare a process before its first job: take a GPU, and leave Ctrl-C to its parent."""
    if (place := free.get()) is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = place
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a command in the background may ignore it
    console.quiet = True
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    """End this process, after a checkpoint, when its parent was killed and cannot do so."""
    while os.getppid() == parent:
        time.sleep(1)
    while True:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
