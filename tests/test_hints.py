"""Commands that messages suggest can be pasted."""

from pathlib import Path

import pytest

from workbench.cli import main
from workbench.hints import command
from workbench.store import create_run


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKBENCH_RUNS", raising=False)


def test_the_folder_is_named_unless_it_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert command("resume", "a", runs="runs") == command("resume", "a") == "workbench resume a"
    assert command("resume", "a", runs=Path("other")) == "workbench resume a --runs other"
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path))
    assert command("resume", "a", runs=tmp_path) == "workbench resume a"
    assert command("resume", "a", runs="runs") == "workbench resume a --runs runs"


def test_spaces_are_quoted() -> None:
    assert command("train", "--config", "my file.yaml") == "workbench train --config 'my file.yaml'"


def test_a_program_that_is_not_on_the_path_is_called_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [".venv/bin/workbench", "demo"])
    monkeypatch.setenv("PATH", "")
    assert command("app") == ".venv/bin/workbench app"


def test_the_variable_is_the_default_of_every_command_and_hints_are_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = create_run(tmp_path / "there", "method: vae\n", {"method": "vae", "data": {"name": "digits"}})
    assert main(["evaluate", "--runs", str(tmp_path / "there")]) == 2
    assert f"`workbench runs --runs {tmp_path / 'there'}` lists them" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORKBENCH_RUNS", "there")
    assert main(["runs"]) == 0 and run.id in capsys.readouterr().out
    assert main(["evaluate"]) == 2 and "`workbench runs` lists them" in capsys.readouterr().err
    monkeypatch.setattr("workbench.annotations.Run.in_training", lambda run: None)
    assert main(["delete", run.id]) == 0
    hint = capsys.readouterr().out.split("`")[1].split()
    assert main(hint[1:]) == 0 and f"Restored {run.id}." in capsys.readouterr().out
    monkeypatch.delenv("WORKBENCH_RUNS")
    assert main(["delete", run.id, "--runs", "there"]) == 0
    hint = capsys.readouterr().out.split("`")[1].split()
    assert hint[-2:] == ["--runs", "there"] and main(hint[1:]) == 0
