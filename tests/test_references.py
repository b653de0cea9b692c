"""References to runs: ids, their ends and beginnings, paths and names, which several runs may bear."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from workbench import store
from workbench.cli import main
from workbench.errors import WorkbenchError
from workbench.store import Run, create_run, find_run, find_runs, short_ids


@pytest.fixture
def seeds(tmp_path: Path) -> list[Run]:
    """Three runs that are called "baseline", oldest first."""
    info = {"method": "vae", "name": "baseline", "data": {"name": "shapes", "fingerprint": "abc"}}
    runs = [create_run(tmp_path, f"method: vae\nseed: {seed}\n", info | {"seed": seed}) for seed in range(3)]
    return sorted(runs, key=lambda run: run.id)


def test_the_end_of_an_id_names_a_run(seeds: list[Run], tmp_path: Path) -> None:
    for run in seeds:
        assert find_run(run.id[-4:], tmp_path).id == find_run(run.id, tmp_path).id == run.id


def test_a_name_names_all_runs_that_bear_it(seeds: list[Run], tmp_path: Path) -> None:
    assert [run.id for run in find_runs("baseline", tmp_path)] == [run.id for run in seeds]
    with pytest.raises(WorkbenchError, match=r'3 runs in .* are called "baseline" \(.*give the id of one'):
        find_run("baseline", tmp_path)


@pytest.mark.parametrize(
    "command", ["delete", "archive", "rename", "tag", "note", "resume", "export"], ids=lambda command: command
)
def test_what_changes_a_run_refuses_a_name_of_several(
    seeds: list[Run], tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {"rename": ["x"], "tag": ["x"], "note": ["x"], "export": ["--output", str(tmp_path / "out")]}.get(
        command, []
    )
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    assert main([command, "baseline", *more, "--runs", str(tmp_path)]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "3 runs in" in told and all(run.id in told.replace(" ", "") for run in seeds)
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("command", ["compare", "report"])
def test_what_reads_runs_takes_all_of_a_name_and_says_so(
    seeds: list[Run], tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--output", str(tmp_path / "report.md")] if command == "report" else []
    assert main([command, "baseline", *more, "--runs", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert '"baseline" matches 3 runs, all are used: ' in captured.err
    assert all(run.id[-4:] in captured.err for run in seeds)


def test_new_ids_end_differently(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ends = iter(["aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr(store, "secrets", SimpleNamespace(token_hex=lambda n: next(ends) if n == 2 else "probe"))
    info = {"method": "vae", "data": {"name": "shapes"}}
    assert [create_run(tmp_path, "", info).id[-4:] for _ in range(2)] == ["aaaa", "bbbb"]


def test_short_ids_are_unique_or_whole() -> None:
    ids = [
        "20260101-000000-vae-shapes-aaaa",
        "20260101-000000-ddpm-shapes-bbbb",
        "20260102-000000-vae-shapes-bbbb",
        "run",
    ]
    assert list(short_ids(ids).values()) == ["aaaa", ids[1], ids[2], "run"]
