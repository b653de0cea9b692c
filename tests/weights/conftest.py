"""Runs that training, import and export make, in a cache of their own."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench import training
from workbench.cli import main
from workbench.store import Run, find_run, list_runs

DIGITS: dict[str, Any] = {"data": "digits", "data.limit": 32, "max_steps": 1, "batch_size": 8, "monitor_every": 0}
DIGITS |= {"device": "cpu", "snapshots": 0}


@pytest.fixture(scope="package", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One for all these tests, so that digits are decoded once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(tmp_path_factory.mktemp("weights") / "cache"))
        yield


def new_run(method: str, settings: dict[str, Any], runs: Path) -> Run:
    """A run that is trained now."""
    run = training.start(method, DIGITS | settings | {"runs": str(runs)})
    assert run is not None
    return run


def trained_run(method: str, settings: dict[str, Any], runs: Path) -> Run:
    """A run of its own, copied from the one that was trained with these settings first."""
    words = json.dumps([method, settings], sort_keys=True)
    original = Path(os.environ["WORKBENCH_CACHE"]).with_name(hashlib.sha256(words.encode()).hexdigest()[:16])
    if not original.is_dir():
        new_run(method, settings, original)
    (run,) = list_runs(original)
    return Run(shutil.copytree(run.path, runs / run.id))


def export(run: Run, output: Path, *words: str) -> Path:
    """Where a run was exported to."""
    assert main(["export", run.id, "--runs", str(run.path.parent), "--output", str(output), *words]) == 0
    return output


def import_again(folder: Path, runs: Path) -> Run:
    """The run that an exported folder becomes."""
    words = ["--data", "digits", "--licence", "MIT", "--name", "again", "--runs", str(runs)]
    assert main(["import", str(folder), *words]) == 0
    return find_run("again", runs)
