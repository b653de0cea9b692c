"""Runs as the cells of a study: which of them are there already, and what is left to train."""

import re
from collections.abc import Hashable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from workbench import training
from workbench.config import TrainConfig, flatten
from workbench.data.datasets import Dataset
from workbench.errors import WorkbenchError
from workbench.run import NOT_OF_THE_RECIPE, Run
from workbench.store import list_runs
from workbench.studies.recipe import TABLES, TRANSFERS
from workbench.training.checkpoint import read_config

Key = TypeVar("Key", bound=Hashable)
NO_MATTER = NOT_OF_THE_RECIPE - {"seed", "epochs", "max_steps"}


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """The settings that make a run what it is, its seed among them."""
    return {key: value for key, value in flatten(config).items() if key not in NO_MATTER}


def steps_of(config: TrainConfig, dataset: Dataset) -> int:
    """Steps of a whole training."""
    steps = len(dataset.train) // config.batch_size * config.epochs
    return steps if config.max_steps is None else min(steps, config.max_steps)


def find(folder: Path, wanted: Mapping[Key, tuple[str, TrainConfig]], fingerprint: str) -> dict[tuple[Key, int], Run]:
    """By cell and seed, the run that was trained with a cell's settings on this data: a finished one, or the newest.

    Args:
        wanted: method and configuration by cell; their seeds do not matter.
        fingerprint: of the data.
    """
    recipes = {key: (method, _but_seed(config)) for key, (method, config) in wanted.items()}
    found: dict[tuple[Key, int], Run] = {}
    for run in list_runs(folder):
        try:
            method, config = _read(run.path, (run.path / "config.yaml").stat().st_mtime_ns)
        except (WorkbenchError, OSError):  # a foreign or torn directory
            continue
        data, own = run.info().get("data"), (method, _but_seed(config))
        if not isinstance(data, dict) or data.get("fingerprint") != fingerprint:
            continue
        for key in (key for key, recipe in recipes.items() if recipe == own):
            known = found.get((key, config.seed))
            if known is None or (run.summary()["status"] == "finished" != known.summary()["status"]):
                found[key, config.seed] = run
    return found


def is_trained(run: Run | None, steps: int) -> bool:
    """Whether there is nothing left to train."""
    checkpoint = run.checkpoint() if run is not None else None
    return checkpoint is not None and int(checkpoint.name.removeprefix("step-")) >= steps


def is_measured(run: Run, measure: str, step: int, target: str | None = None) -> bool:
    """Whether an evaluation is there of the weights of a step, with rows, or a table's was left out, as not all methods
    have likelihoods.

    Args:
        target: the name of the images to which it transfers, of those evaluations that do.
    """
    content = run.evaluation(measure)
    if measure in TRANSFERS and target not in content.get("targets", ()):
        return False
    if measure in TABLES and content.get("skipped"):
        return True
    found = re.search(r"\bstep (\d+)", str(content.get("checkpoint")))
    return bool(content.get("rows")) and found is not None and int(found[1]) == step


def train(method: str, config: TrainConfig, run: Run | None, steps: int) -> Run:
    """Train a cell, from where its run was left if there is one.

    Raises:
        WorkbenchError: as training does.
        KeyboardInterrupt: training was asked to stop, and has saved.
    """
    if run is None:
        run = training.start(method, flatten(config))
        assert run is not None  # only a dry run has none
    elif not is_trained(run, steps):
        training.resume(run)
    return run


@lru_cache(maxsize=4096)
def _read(path: Path, changed: int) -> tuple[str, TrainConfig]:
    """Method and configuration of a run, whose YAML, slow to read, was ``changed`` at that time."""
    return read_config(Run(path))[:2]


def _but_seed(config: TrainConfig) -> dict[str, Any]:
    return {key: value for key, value in settings_of(config).items() if key != "seed"}
