"""Every page on good, empty and broken folders, without a browser."""

import json
import shutil
from pathlib import Path

import pytest

from tests.app.pages import Folder, Show, figures, text
from workbench.store import Run

VIEWS = {
    "run_list": "What has been trained?",
    "differences": "What is not the same?",
    "curves": "Is it learning?",
    "stability": "Why did it dip?",
    "linear_probe": "Who knows more?",
    "factors": "What is kept?",
    "similarity": "What looks alike?",
    "agreement": "Do models see alike?",
    "embeddings": "What is near what?",
    "neighbours": "What does it retrieve?",
    "invariance": "What is it blind to?",
    "reconstructions": "What is lost?",
    "samples": "What can it imagine?",
    "denoising": "How does it get there?",
    "parametrisations": "What does it predict?",
    "schedules": "When does the noise go?",
    "latent": "What do its latent variables do?",
    "likelihood": "How surprised is it?",
}
TRAINING = ("run_list", "differences", "curves", "stability")  # show what training wrote, not evaluations
OF_DIFFUSION = ("vae is no diffusion model", "still training")  # failed and half are a vae, the one that trains a ddpm
REASONS = {
    "denoising": OF_DIFFUSION,
    "parametrisations": OF_DIFFUSION,
    "schedules": OF_DIFFUSION,
    "latent": ("workbench evaluate", "ddpm has no latent variables", "became NaN"),
}
# What each page draws of three evaluated runs: figures, and images as HTML.
FIGURES = {
    "curves": 10,
    "stability": 3,
    "linear_probe": 6,
    "factors": 2,
    "similarity": 9,
    "agreement": 2,
    "neighbours": 1,
    "invariance": 1,
    "denoising": 2,
    "parametrisations": 1,
    "schedules": 3,
    "latent": 1,
    "likelihood": 2,
}


@pytest.mark.parametrize("view", VIEWS)
def test_three_evaluated_runs(show: Show, runs_folder: Folder, view: str) -> None:
    folder, ids = runs_folder
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    app = show(folder, view, [ids[method] for method in ("mocov3", "vae", "ddpm")])
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before  # it only reads
    assert not app.exception
    assert [title.value for title in app.title] == [VIEWS[view]]
    assert len(figures(app)) == FIGURES.get(view, 0)
    assert [button.label for button in app.button][:3] == ["mocov3", "vae", "ddpm"]
    assert "workbench evaluate" not in text(app)


@pytest.mark.parametrize("view", VIEWS)
def test_no_runs_yet(show: Show, tmp_path: Path, view: str) -> None:
    app = show(tmp_path / "nowhere", view)
    assert not app.exception
    assert "No runs yet" in text(app) and "workbench train mocov3" in text(app)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("view", VIEWS)
def test_good_runs_beside_broken_ones_and_those_not_evaluated(show: Show, runs_folder: Folder, view: str) -> None:
    folder, ids = runs_folder
    roles = ("vae", "half", "ddpm", "bare", "running", "failed")
    app = show(folder, view, [ids[role] for role in roles] + ["somebody-elses", "gone"])
    assert not app.exception
    assert [title.value for title in app.title] == [VIEWS[view]]
    assert bool(figures(app)) == (view in FIGURES)
    if view not in TRAINING:
        said = text(app)
        assert all(words in said for words in REASONS.get(view, ("workbench evaluate", "still training", "became NaN")))


@pytest.mark.parametrize("view", [view for view in VIEWS if view not in TRAINING])
def test_every_file_of_a_run_can_be_torn(show: Show, runs_folder: Folder, tmp_path: Path, view: str) -> None:
    folder, ids = runs_folder
    shutil.copytree(folder / ids["ddpm"], tmp_path / ids["ddpm"])
    shutil.copytree(folder / ".probes", tmp_path / ".probes")
    run = Run(tmp_path / ids["ddpm"])
    for file in sorted((run.path / "arrays").iterdir()):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert not show(tmp_path, view, [run.id]).exception
    for file in sorted((run.path / "evaluations").iterdir()):
        content = json.loads(file.read_text())
        foreign = {
            key: [value] if isinstance(value, dict) else "x" if key != "rows" else value
            for key, value in content.items()
        }
        file.write_text(json.dumps(foreign))
    assert not show(tmp_path, view, [run.id]).exception
    for file in sorted(path for path in (tmp_path / ".probes").rglob("*") if path.is_file()):
        file.write_bytes(file.read_bytes()[:40])
    assert not show(tmp_path, view, [run.id]).exception


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_chosen(show: Show, runs_folder: Folder, view: str) -> None:
    app = show(runs_folder[0], view, [])
    assert not app.exception
    assert ("Nothing chosen" in text(app)) == (view != "run_list")
