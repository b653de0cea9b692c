"""What the shell completes: runs, data sets and recipes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.cli import app, main
from workbench.store import create_run

Complete = Callable[..., list[str]]


@pytest.fixture
def candidates(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """The values that a shell is given for the last of some words, in a folder with one run."""
    monkeypatch.delenv("WORKBENCH_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    run = create_run(tmp_path / "there", "", {"method": "vae", "data": {"name": "digits"}, "name": "first"})

    def complete(*words: str) -> list[str]:
        assert main(["__complete", *words]) == 0
        lines = capsys.readouterr().out.partition("begin\n")[2].splitlines()
        return [line.split("\t")[0].replace(run.id, "ID") for line in lines]

    return complete


@pytest.mark.parametrize("command", ["compare", "resume", "tag", "embed", "train vae"])
def test_runs_by_name_and_id(command: str, candidates: Complete, monkeypatch: pytest.MonkeyPatch) -> None:
    words, before = command.split(), ["--init"] if command == "train vae" else []
    assert candidates(*words, *before, "") == []
    assert candidates(*words, "--runs", "there", *before, "") == ["first", "ID"]
    monkeypatch.setenv("WORKBENCH_RUNS", "there")
    assert candidates(*words, *before, "") == ["first", "ID"]


@pytest.mark.parametrize("command", ["train ddpm --data", "evaluate first --transfer-to", "demo --data"])
def test_data_sets_and_folders(command: str, candidates: Complete) -> None:
    assert {"shapes", "digits", "cifar10", "photos/", "there/"} <= {*candidates(*command.split(), "")}


def test_recipes(candidates: Complete) -> None:
    assert {"momentum", "objective-trunk"} <= {*candidates("sweep", "")}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_the_workbench(shell: str) -> None:
    assert "__complete" in app.generate_completion(shell=shell)  # pyright: ignore[reportArgumentType]
