"""What studies are observed by: the trainings that they call for, and the tables that they write."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench import training
from workbench.cli import main
from workbench.figures import style

Refused = Callable[[list[str], str], None]


@pytest.fixture(scope="package", autouse=True)
def quick_fonts() -> Iterator[None]:
    """PDFs with Type 3 fonts: embedding TrueType, which the tests of figures do, takes 3 s of each figure."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(style.SETTINGS, "pdf.fonttype", 3)
        yield


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How training was called, beside being called."""
    names: list[str] = []
    for name in ("start", "resume"):
        real = getattr(training, name)

        def noted(*args: Any, name: str = name, real: Any = real) -> Any:
            names.append(name)
            return real(*args)

        monkeypatch.setattr(training, name, noted)
    return names


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command in an empty folder: ``refused(words, sentence)`` as :func:`assert_refused`."""
    monkeypatch.chdir(tmp_path)
    return lambda words, sentence: assert_refused(words, sentence, capsys)


def csv_rows(file: Path) -> list[dict[str, str]]:
    with open(file, newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def assert_refused(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A command prints one sentence, which holds these words, and nothing else."""
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert sentence in printed.err
