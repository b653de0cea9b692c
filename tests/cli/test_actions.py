"""``workbench tag``, ``note``, ``rename``, ``archive``, ``delete``, ``trash`` and what the list shows of them."""

import json
import os
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.store import Run, create_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = create_run(tmp_path, "method: vae\n", {"method": "vae", "data": {"name": "digits"}, "name": "first"})
    run.update_summary(status="finished")
    return run


def output_of(capsys: pytest.CaptureFixture[str], folder: Path, *words: str, code: int = 0) -> str:
    """What a command prints; of a failing one, its error."""
    assert main([*words, "--runs", str(folder)]) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def test_tags_filter_the_list(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert output_of(capsys, tmp_path, "tag", "first", "good", "paper") == f"{run.id}: good, paper\n"
    assert output_of(capsys, tmp_path, "tag", "first") == f"{run.id}: good, paper\n"
    assert "good, paper" in output_of(capsys, tmp_path, "runs", "--tag", "paper")
    assert json.loads(output_of(capsys, tmp_path, "runs", "--tag", "other", "--json")) == []
    assert output_of(capsys, tmp_path, "tag", "first", "good", "--remove") == f"{run.id}: paper\n"
    assert 'has no tag "good"' in output_of(capsys, tmp_path, "tag", "first", "good", "--remove", code=2)


def test_notes_are_added_to_and_replaced_when_asked(run: Run, tmp_path: Path, capsys) -> None:
    assert "has no note yet" in output_of(capsys, tmp_path, "note", "first")
    output_of(capsys, tmp_path, "note", "first", "warm-up helps")
    output_of(capsys, tmp_path, "note", "first", "so does width")
    assert output_of(capsys, tmp_path, "note", "first") == "warm-up helps\n\nso does width\n"
    output_of(capsys, tmp_path, "note", "first", "it was the seed", "--replace")
    assert (run.path / "notes.md").read_text() == "it was the seed\n"
    assert "--replace needs a text" in output_of(capsys, tmp_path, "note", "first", "--replace", code=2)
    output_of(capsys, tmp_path, "note", "first", "", "--replace")
    assert not (run.path / "notes.md").exists()


def test_a_name_is_another_way_to_say_the_run(run: Run, tmp_path: Path, capsys) -> None:
    assert "now called second" in output_of(capsys, tmp_path, "rename", "first", "second")
    assert output_of(capsys, tmp_path, "tag", "second") == f"{run.id}: no tags\n"
    assert "now called first" in output_of(capsys, tmp_path, "rename", "second", "")


def test_archived_runs_are_hidden_and_counted(run: Run, tmp_path: Path, capsys) -> None:
    output_of(capsys, tmp_path, "archive", "first")
    listed = output_of(capsys, tmp_path, "runs")
    assert run.id not in listed and "1 archived" in listed
    assert run.id in output_of(capsys, tmp_path, "runs", "--archived")
    output_of(capsys, tmp_path, "archive", "first", "--undo")
    assert run.id in output_of(capsys, tmp_path, "runs")


def test_the_trash(run: Run, tmp_path: Path, capsys) -> None:
    assert "The trash" in output_of(capsys, tmp_path, "trash")
    assert "--restore" in output_of(capsys, tmp_path, "delete", "first")
    assert run.id in output_of(capsys, tmp_path, "trash") and not run.path.exists()
    assert "Restored" in output_of(capsys, tmp_path, "trash", "--restore", run.id[:8]) and run.path.exists()
    output_of(capsys, tmp_path, "delete", run.id)
    assert output_of(capsys, tmp_path, "trash", "--empty").startswith("Deleted 1 run permanently")
    assert not run.path.exists() and not (tmp_path / ".trash" / run.id).exists()
    assert "not both" in output_of(capsys, tmp_path, "trash", "--empty", "--restore", "x", code=2)


def test_nothing_is_deleted_where_one_of_several_cannot_be_found(run: Run, tmp_path: Path, capsys) -> None:
    assert 'Unknown run "frist"' in output_of(capsys, tmp_path, "delete", "first", "frist", code=2)
    assert run.path.exists()
    assert "No runs given" in output_of(capsys, tmp_path, "archive", code=2)


def test_a_run_in_training_stays(run: Run, tmp_path: Path, capsys) -> None:
    run.update_summary(status="running", pid=os.getppid())
    assert "is being trained" in output_of(capsys, tmp_path, "delete", "first", code=2)
    assert run.path.exists()


def test_the_app_is_told_what_it_may_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    started: list[dict[str, str]] = []
    monkeypatch.setattr("os.execve", lambda path, argv, environment: started.append(environment))
    output_of(capsys, tmp_path, "app", "--port", "0")
    output_of(capsys, tmp_path, "app", "--port", "0", "--allow-actions", "--jobs", "2")
    flags = [(one["WORKBENCH_ALLOW_ACTIONS"], one["WORKBENCH_JOBS"]) for one in started]
    assert flags == [("0", "1"), ("1", "2")]
    assert "--jobs" in output_of(capsys, tmp_path, "app", "--jobs", "0", code=2)
