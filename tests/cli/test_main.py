"""What every command shares: quick start-up without torch, one-line errors, exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Refused
from workbench import __version__
from workbench.cli import main
from workbench.store import Run, create_run

TORCH_FREE = [[word] for word in ("--help", "--version", "runs", "methods", "datasets")]
TORCH_FREE += [[command, "--help"] for command in ("doctor", "train", "app", "import", "export")]
TORCH_FREE += [["compare", "none"], ["train", "mocov"], ["train", "ddpm", "--help"], ["train", "vae", "--epochs", "0"]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    info = {"method": "vae", "family": "generative", "data": {"name": "digits"}, "seed": 3, "name": "first"}
    return create_run(tmp_path, "method: vae\n", info)


def in_a_process(*words: str, code: str = "") -> subprocess.CompletedProcess[str]:
    code = code or "import sys; from workbench.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("words", TORCH_FREE, ids=" ".join)
def test_starts_without_torch(words: list[str]) -> None:
    code = """
import sys
from workbench.cli import main
try:
    main(sys.argv[1:])
finally:
    loaded = {"torch", "torchvision", "timm", "diffusers", "sklearn", "streamlit"} & sys.modules.keys()
    print("loaded:", *sorted(loaded))
"""
    assert in_a_process(*words, code=code).stdout.splitlines()[-1].strip() == "loaded:"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    words = capsys.readouterr().out.split()
    commands = {"train", "resume", "evaluate", "compare", "embed", "reconstruct", "sample", "runs", "methods"}
    assert commands | {"datasets", "app", "doctor", "demo", "import", "export"} <= {*words}


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trian"], 'Did you mean "train"?'),
        (["runs", "--jsn"], "Did you mean --json?"),
        (["compare"], "No runs given"),
        (["evaluate"], "No runs given"),
        (["resume", "nothing"], 'There is no run "nothing"'),
        (["sample", "nothing"], "--output"),
        (["sample", "nothing", "--output", "picture.gif"], "must end in .png or .webp"),
        (["sample", "nothing", "--output", "picture.png", "-n", "0"], "at least 1"),
        (["embed", "nothing", "--output", "features"], "must end in .npz"),
        (["app", "--port", "99999"], "choose another with --port"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    words: list[str], expected: str, tmp_path: Path, refused: Refused
) -> None:
    refused(words, expected)
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_DEBUG", "1")
    with pytest.raises(Exception, match="No runs given"):
        main(["compare"])


def test_an_interruption_is_exit_code_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("workbench.store.list_summaries", interrupt)
    assert main(["runs"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    code = "import sys; from workbench.cli import main; sys.exit(main(['--help']))"
    reading, writing = os.pipe()
    os.close(reading)
    argv = [sys.executable, "-c", code]
    finished = subprocess.run(argv, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)
    assert finished.stderr == ""
    assert finished.returncode == 1


def test_runs_as_a_table_and_as_json(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.update_summary(knn=61.25, status="finished")
    assert main(["runs", "--runs", str(run.path.parent)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if run.id in line]
    assert all(text in line for text in (run.id, "first", "vae", "digits", "finished", "61.2", "0 min"))
    assert main(["runs", "--json", "--runs", str(run.path.parent)]) == 0
    assert json.loads(capsys.readouterr().out) == [run.summary()]


def test_runs_lists_half_written_ones(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (run.path / "run.json").write_text('{"method": ')
    (run.path / "summary.json").write_text('["foreign"]')
    assert main(["runs", "--runs", str(run.path.parent)]) == 0
    assert "unreadable" in capsys.readouterr().out


def test_methods_and_datasets_list_all(capsys: pytest.CaptureFixture[str]) -> None:
    from workbench.data.datasets import CATALOGUE
    from workbench.methods import METHODS

    assert main(["methods"]) == main(["datasets"]) == 0
    words = capsys.readouterr().out.split()
    assert {*METHODS, *CATALOGUE} <= {*words}


def test_app_runs_streamlit_on_loopback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started = {}

    def execve(program: str, argv: list[str], environment: dict[str, str]) -> None:
        started.update(argv=argv, environment=environment)

    monkeypatch.setattr(os, "execve", execve)
    assert main(["app", "--runs", str(tmp_path)]) == 0
    assert started["argv"][started["argv"].index("--server.address") + 1] == "127.0.0.1"
    assert started["environment"]["WORKBENCH_APP_RUNS"] == str(tmp_path)
