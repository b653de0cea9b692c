"""Every page on good, empty and broken folders, without a browser."""

import json
from pathlib import Path

import pytest

from tests.app.pages import Folder, Show, chip_labels, copy_runs, figures, text

# The title of each page, and how many figures it draws of three evaluated runs.
VIEWS = {
    "overview": ("Overview", 0),
    "one_run": ("Run", 0),
    "run_list": ("Runs", 0),
    "differences": ("Differences", 0),
    "curves": ("Curves", 10),
    "stability": ("Stability", 3),
    "linear_probe": ("Linear probe", 6),
    "factors": ("Factors", 2),
    "similarity": ("Similarity", 9),
    "agreement": ("Agreement", 2),
    "embeddings": ("Embeddings", 0),
    "neighbours": ("Neighbours", 1),
    "invariance": ("Invariance", 1),
    "reconstructions": ("Reconstructions", 0),
    "samples": ("Samples", 0),
    "denoising": ("Denoising", 2),
    "latent": ("Latent space", 1),
    "likelihood": ("Likelihood", 2),
}
TRAINING = ("run_list", "one_run", "differences", "curves", "stability")  # show what training wrote, not evaluations
OF_DIFFUSION = ("diffusion model", "still training")  # failed and half are a vae, the one that trains a ddpm
REASONS: dict[str, tuple[str, ...]] = {"denoising": OF_DIFFUSION, "overview": ("workbench evaluate", "became NaN")}
REASONS["latent"] = ("workbench evaluate", "has no latent variables", "became NaN")


@pytest.mark.parametrize("view", VIEWS)
def test_three_evaluated_runs(show: Show, runs_folder: Folder, view: str) -> None:
    folder, ids = runs_folder
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    app = show(folder, view, [ids[method] for method in ("mocov3", "vae", "ddpm")])
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before  # it only reads
    assert not app.exception
    assert [title.value for title in app.title] == [VIEWS[view][0]]
    assert len(figures(app)) == VIEWS[view][1]
    assert chip_labels(app) == ["mocov3", "vae", "ddpm"]
    assert ("workbench evaluate" in text(app)) == (view == "one_run")  # which names what is missing of its run


@pytest.mark.parametrize("view", VIEWS)
def test_no_runs_yet(show: Show, tmp_path: Path, view: str) -> None:
    app = show(tmp_path / "nowhere", view)
    assert "No runs yet" in text(app) and "workbench train mocov3" in text(app)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("view", VIEWS)
def test_good_runs_beside_broken_ones_and_those_not_evaluated(page: Show, view: str) -> None:
    app = page(view, "vae", "half", "ddpm", "bare", "running", "failed", "somebody-elses", "gone")
    assert [title.value for title in app.title] == [VIEWS[view][0]]
    assert bool(figures(app)) == (VIEWS[view][1] > 0)
    if view not in TRAINING:
        said = text(app)
        assert all(words in said for words in REASONS.get(view, ("workbench evaluate", "still training", "became NaN")))


@pytest.mark.parametrize("view", [view for view in VIEWS if view not in TRAINING])
def test_every_file_of_a_run_can_be_torn(show: Show, runs_folder: Folder, tmp_path: Path, view: str) -> None:
    (run,) = copy_runs(runs_folder, tmp_path, "ddpm")
    for file in sorted((run.path / "arrays").iterdir()):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert not show(tmp_path, view, [run.id]).exception
    for file in sorted((run.path / "evaluations").iterdir()):
        content = json.loads(file.read_text())
        others = {key: [value] if isinstance(value, dict) else "x" for key, value in content.items() if key != "rows"}
        file.write_text(json.dumps(content | others))
    assert not show(tmp_path, view, [run.id]).exception
    for file in sorted(path for path in (tmp_path / ".probes").rglob("*") if path.is_file()):
        file.write_bytes(file.read_bytes()[:40])
    assert not show(tmp_path, view, [run.id]).exception


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_chosen(show: Show, runs_folder: Folder, view: str) -> None:
    app = show(runs_folder[0], view, [])
    assert ("No runs selected" in text(app)) == (view not in ("run_list", "one_run"))
