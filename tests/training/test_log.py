"""``log.txt``: what training prints, appended on resume, also where nothing is printed."""

import re
from pathlib import Path

import pytest

from tests.training.tiny import failed_run, settings, stop_after, trained_run
from workbench.errors import WorkbenchError
from workbench.store import Run, list_runs
from workbench.training import progress, resume, start

START = re.compile(r"^\S+T\S+ on .+, process \d+$", re.MULTILINE)


def log_of(run: Run) -> str:
    return (run.path / "log.txt").read_text()


def test_the_log_is_what_was_printed_and_resume_appends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_after(14, 3, monkeypatch)
    run = failed_run(tmp_path, KeyboardInterrupt)
    first = log_of(run)
    printed = capsys.readouterr().err
    lines = first.splitlines()
    assert START.fullmatch(lines[0]) and lines[1].startswith("vae (")
    assert all(line in printed for line in lines[1:]) and f"run {run.id} in {tmp_path}" in lines
    assert "epoch 1/3" in first and "Stopping after saving a checkpoint" in first and "Stopped at step 15" in first
    assert "[bold]" not in first and "\x1b" not in first
    monkeypatch.undo()
    resume(run)
    whole = log_of(run)
    assert whole.startswith(first) and len(START.findall(whole)) == 2
    assert f"resuming {run.id} at step 15 of 30" in whole and "epoch 3/3" in whole


def test_each_run_of_a_process_has_its_own_log_also_where_nothing_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress.console, "quiet", True)
    runs = [trained_run("vae", tmp_path, epochs=1, seed=seed) for seed in (0, 1)]
    for run in runs:
        assert len(START.findall(log_of(run))) == 1 and log_of(run).count("epoch 1/1") == 1
    assert "seed 0" in log_of(runs[0]) and "seed 1" in log_of(runs[1])


def test_a_failure_is_the_last_line(tmp_path: Path) -> None:
    run = failed_run(tmp_path, WorkbenchError, **{"optim.lr": 1e9, "optim.clip": None})
    assert log_of(run).splitlines()[-1] == f"Failed: {run.info()['error']}"


def test_a_dry_run_writes_no_log(tmp_path: Path) -> None:
    assert start("vae", settings("vae", tmp_path), dry_run=True) is None
    assert not list_runs(tmp_path) and not list(tmp_path.rglob("log.txt"))
