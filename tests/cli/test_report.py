"""``workbench report`` and ``workbench compare`` with seeds, as they are typed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.app.app_fixture import Folder, copy_as_seed, make_runs
from tests.cli.conftest import assert_refused
from workbench import report
from workbench.cli import main
from workbench.store import Run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Invented runs, and two more seeds of the vae beside its own."""
    runs = tmp_path_factory.mktemp("runs")
    ids = make_runs(runs)
    for seed in (1, 2):
        copy = copy_as_seed(Run(runs / ids["vae"]), runs / f"{ids['vae']}-{seed}", seed)
        ids[f"vae {seed}"] = copy.path.name
    return runs, ids


def command(folder: Folder, name: str, *roles: str) -> list[str]:
    return [name, *(str(folder[0] / folder[1][role]) for role in roles)]


@pytest.mark.parametrize("suffix", report.SUFFIXES)
def test_a_report_is_one_file(folder: Folder, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / f"report{suffix}"
    assert main([*command(folder, "report", "mocov3", "vae"), "--output", str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"{path}: 2 runs, ")
    figures = ["report-figures"] if suffix == ".tex" else []
    assert sorted(file.name for file in path.parent.iterdir()) == [*figures, path.name]
    assert {file.suffix for file in (path.parent / "report-figures").glob("*")} == ({".pdf"} if figures else set())
    assert folder[1]["mocov3"] in path.read_text()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["report", "--output", "r.html"], "No runs given"),
        (["report", "nothing", "--output", "r.html"], 'There is no run "nothing"'),
        (["report", "nothing", "--output", "r.pdf"], "must end in .html, .md, .tex or .csv"),
        (["report", "nothing"], "--output"),
    ],
)
def test_bad_input_is_one_sentence(
    words: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(words, expected, capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_sentence(
    folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    words = [*command(folder, "report", "vae"), "-o", str(tmp_path / "file" / "r.md")]
    assert_refused(words, "error: Cannot write", capsys)


def test_compare_shows_seeds_as_one_row(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    words = command(folder, "compare", "vae", "mocov3", "vae 1", "vae 2")
    assert main(words) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert sum(line.startswith("vae (3 seeds) ") for line in lines) == 1 and max(map(len, lines[:8])) <= 200
    assert "45.0 [42.5, 47.5]" in printed  # 44, 45, 46: Student's t of two degrees of freedom
    for text in ("FLOPs/image", "images seen", "the mean and its 95 % interval over seeds", "fewer than 3 seeds"):
        assert text in printed
    assert main([*words, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    row = content["rows"][0]
    assert row["seeds"] == [0, 1, 2] and len(row["ids"]) == 3 and row["linear"]["values"] == [44, 45, 46]
    assert row["flops_per_image"] == 9.1e7 and content["note"] is None
    assert content["differences"][0]["seeds"] == 3 and not content["differences"][0]["over_seeds"]


def test_compare_says_why_nothing_is_tested(folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = Run(shutil.copytree(folder[0] / folder[1]["mocov3"], tmp_path / "other"))
    other.update_info(data=other.info()["data"] | {"name": "digits", "fingerprint": "elsewhere"})
    assert main([*command(folder, "compare", "vae"), str(other.path)]) == 0
    printed = capsys.readouterr().out
    assert "mocov3 on digits" in printed
    assert "No differences were tested: The runs were trained on digits and shapes; only" in printed
    other.update_info(data=Run(folder[0] / folder[1]["mocov3"]).info()["data"])
    other.write_array("predicted-ids", np.arange(1000) + 1)
    assert main([*command(folder, "compare", "vae"), str(other.path)]) == 0
    assert "were probed on different test images" in capsys.readouterr().out
