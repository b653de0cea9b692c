"""Runs that training, import and export make, in a cache of their own."""

from pathlib import Path
from typing import Any

import pytest

from workbench import training
from workbench.cli import main
from workbench.store import Run, find_run

DIGITS: dict[str, Any] = {"data": "digits", "data.limit": 32, "max_steps": 1, "batch_size": 8, "monitor_every": 0}
DIGITS |= {"device": "cpu", "snapshots": 0}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))


def trained_run(method: str, settings: dict[str, Any], runs: Path) -> Run:
    run = training.start(method, DIGITS | settings | {"runs": str(runs)})
    assert run is not None
    return run


def export(run: Run, output: Path, *words: str) -> Path:
    """Where a run was exported to."""
    assert main(["export", run.id, "--runs", str(run.path.parent), "--output", str(output), *words]) == 0
    return output


def import_again(folder: Path, runs: Path) -> Run:
    """The run that an exported folder becomes."""
    words = ["--data", "digits", "--licence", "MIT", "--name", "again", "--runs", str(runs)]
    assert main(["import", str(folder), *words]) == 0
    return find_run("again", runs)
