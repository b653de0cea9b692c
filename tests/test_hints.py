"""Commands that messages suggest can be pasted."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.hints import command, on_runs
from workbench.store import Run, create_run


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


ROOT = Path(__file__).parents[1]
SUGGESTED = re.compile(r"(?:^|`|\s)workbench [a-z]+ [^`\s]")
"""A command with arguments; one without, such as `workbench runs`, is a name."""


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """The strings of a module that are no documentation, with their lines; what is filled in is a brace."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    statements = (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr))
    docs = {id(value) for value in statements if isinstance(value, ast.Constant)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            texts = [part.value if isinstance(part, ast.Constant) else "{" for part in node.values]
            yield node.lineno, "".join(map(str, texts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | parts:
            yield node.lineno, node.value


@pytest.mark.parametrize("folder", ["workbench", "app"])
def test_no_message_spells_out_a_command(folder: str) -> None:
    """Commands with arguments are made by `hints`, which names the folder of the runs."""
    known = {"workbench/cli/options.py", "workbench/cli/__init__.py"}  # examples below the help
    known |= {"workbench/report/conclusions.py"}  # names runs by their paths
    spelt = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        if str(path.relative_to(ROOT)) not in known
        for line, text in messages(path)
        if SUGGESTED.search(text)
    ]
    assert not spelt


def test_commands_on_runs_name_their_folder(tmp_path: Path) -> None:
    first, second = Run(tmp_path / "a" / "one"), Run(tmp_path / "a" / "two")
    elsewhere = Run(tmp_path / "b" / "three")
    folder = tmp_path / "a"
    assert on_runs("evaluate", [first, second]) == f"workbench evaluate one two --runs {folder}"
    paths = f"{first.path} {elsewhere.path}"
    assert on_runs("evaluate", [first, elsewhere], "--only", "knn") == f"workbench evaluate {paths} --only knn"


def test_what_a_comparison_suggests_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "there"
    run = create_run(folder, "method: vae\n", {"method": "vae", "data": {"name": "digits"}})
    assert main(["compare", run.id, "--runs", str(folder)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    suggested = re.findall(r"`(workbench [^`]+)`", text)
    assert {f"workbench evaluate {run.id} --runs {folder}"} <= set(suggested) and len(suggested) == 2
    assert all(command.endswith(f"--runs {folder}") for command in suggested)
    assert main(["compare", "--runs", str(folder)]) == 2
    assert f"`workbench compare {run.id} --runs {folder}`" in capsys.readouterr().err


def test_the_variable_is_the_default_of_every_command_and_hints_are_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = create_run(tmp_path / "there", "method: vae\n", {"method": "vae", "data": {"name": "digits"}})
    assert main(["evaluate", "--runs", str(tmp_path / "there")]) == 2
    assert f"List them with `workbench runs --runs {tmp_path / 'there'}`" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORKBENCH_RUNS", "there")
    assert main(["runs"]) == 0 and run.id in capsys.readouterr().out
    assert main(["evaluate"]) == 2 and "List them with `workbench runs`" in capsys.readouterr().err
    monkeypatch.setattr("workbench.annotations.Run.in_training", lambda run: None)
    assert main(["delete", run.id]) == 0
    hint = capsys.readouterr().out.split("`")[1].split()
    assert main(hint[1:]) == 0 and f"Restored {run.id}." in capsys.readouterr().out
    monkeypatch.delenv("WORKBENCH_RUNS")
    assert main(["delete", run.id, "--runs", "there"]) == 0
    hint = capsys.readouterr().out.split("`")[1].split()
    assert hint[-2:] == ["--runs", "there"] and main(hint[1:]) == 0
