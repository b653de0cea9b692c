"""Runs as the cells of a study: which of them exist, and what is left to train."""

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
IGNORED = NOT_OF_THE_RECIPE - {"seed", "epochs", "max_steps"}


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """The settings that determine a run, its seed among them."""
    return {key: value for key, value in flatten(config).items() if key not in IGNORED}


def steps_of(config: TrainConfig, dataset: Dataset) -> int:
    """Steps of a complete training."""
    steps = len(dataset.train) // config.batch_size * config.epochs
    return steps if config.max_steps is None else min(steps, config.max_steps)


def find_runs(
    folder: Path, wanted: Mapping[Key, tuple[str, TrainConfig]], fingerprint: str
) -> dict[tuple[Key, int], Run]:
    """By cell and seed, the run trained with a cell's settings on this data: a finished one, or else the newest.

    Args:
        wanted: method and configuration by cell; seeds are ignored.
        fingerprint: of the data.
    """
    recipes = {key: (method, _without_seed(config)) for key, (method, config) in wanted.items()}
    runs: dict[tuple[Key, int], Run] = {}
    for run in list_runs(folder):
        try:
            method, config = _read(run.path, (run.path / "config.yaml").stat().st_mtime_ns)
        except (WorkbenchError, OSError):  # a foreign or torn directory
            continue
        data, own = run.info().get("data"), (method, _without_seed(config))
        if not isinstance(data, dict) or data.get("fingerprint") != fingerprint:
            continue
        for key in (key for key, recipe in recipes.items() if recipe == own):
            known = runs.get((key, config.seed))
            if known is None or (run.summary()["status"] == "finished" != known.summary()["status"]):
                runs[key, config.seed] = run
    return runs


def is_trained(run: Run | None, steps: int) -> bool:
    """Whether there is nothing left to train."""
    checkpoint = run.checkpoint() if run is not None else None
    return checkpoint is not None and int(checkpoint.name.removeprefix("step-")) >= steps


def is_measured(run: Run, measure: str, step: int, target: str | None = None) -> bool:
    """Whether an evaluation of the weights of a step exists, with rows; those of tables may have been left out, as not
    all methods have likelihoods.

    Args:
        target: the name of the images to which the evaluation transfers, if it does.
    """
    content = run.evaluation(measure)
    if measure in TRANSFERS and target not in content.get("targets", ()):
        return False
    if measure in TABLES and content.get("skipped"):
        return True
    match = re.search(r"\bstep (\d+)", str(content.get("checkpoint")))
    return bool(content.get("rows")) and match is not None and int(match[1]) == step


def train(method: str, config: TrainConfig, run: Run | None, steps: int) -> Run:
    """Train a cell, resuming its run if there is one.

    Raises:
        WorkbenchError: as training does.
        KeyboardInterrupt: training was interrupted, and has saved.
    """
    if run is None:
        run = training.start(method, flatten(config))
        assert run is not None  # only a dry run has none
    elif not is_trained(run, steps):
        training.resume(run)
    return run


@lru_cache(maxsize=4096)
def _read(path: Path, changed: int) -> tuple[str, TrainConfig]:
    """Method and configuration of a run, cached until its YAML, slow to read, is ``changed``."""
    return read_config(Run(path))[:2]


def _without_seed(config: TrainConfig) -> dict[str, Any]:
    return {key: value for key, value in settings_of(config).items() if key != "seed"}
