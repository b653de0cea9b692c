"""Thirty groups of seeds: each is shown or named on pages of numbers, by URL and by ticks."""

import shutil
from pathlib import Path

import pytest

from app.state import chosen_runs
from tests.app.pages import Folder, Show, chip_labels, figures, text
from workbench.files import read_json, write_json
from workbench.store import Run

COUNT = 30


@pytest.fixture(scope="module")
def many(runs_folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Thirty copies of a run with another setting and name each, and their ids."""
    folder, ids = runs_folder
    target = tmp_path_factory.mktemp("many")
    shutil.copytree(folder / ".probes", target / ".probes")
    for index in range(COUNT):
        run = Run(shutil.copytree(folder / ids["vae"], target / f"20260101-0000{index:02d}-vae-shapes-{index:04x}"))
        name = f"width {index}"
        (run.path / "config.yaml").write_text(f"{run.config_text()}width: {1000 + index}\n")
        for file in ("run.json", "summary.json"):
            content = read_json(run.path / file)
            write_json(run.path / file, content | {"id": run.id, "name": name, "group": run.seed_group()})
    return target, sorted(path.name for path in target.glob("2026*"))


@pytest.mark.parametrize("view", ["curves", "linear_probe", "overview", "labels_and_cost"])
def test_all_are_shown(show: Show, many: tuple[Path, list[str]], view: str) -> None:
    folder, ids = many
    app = show(folder, view, ids)
    assert not app.exception
    assert chip_labels(app) == [f"width {index}" for index in range(COUNT)]
    drawn = str(figures(app)) + text(app)
    missing = [index for index in range(COUNT) if f"width {index}" not in drawn]
    assert not missing


@pytest.mark.parametrize("view", ["similarity", "reconstructions", "embeddings", "samples"])
def test_pages_without_room_name_what_they_show(show: Show, many: tuple[Path, list[str]], view: str) -> None:
    folder, ids = many
    app = show(folder, view, ids)
    assert not app.exception
    assert f"of {COUNT}: width 0, width 1" in text(app)
    picked = show(folder, view, ids, shown=f"{ids[20][-4:]},{ids[7][-4:]}")
    assert f"Showing 2 of {COUNT}: width 20, width 7" in text(picked)


def test_nothing_of_an_address_is_dropped_in_silence(show: Show, many: tuple[Path, list[str]]) -> None:
    folder, ids = many
    app = show(folder, "linear_probe", [*ids[:2], "beef", "0"])
    assert not app.exception and chip_labels(app) == ["width 0", "width 1"]
    assert "beef" in text(app)
    assert set(chosen_runs.parse(",".join(ids), ids)[0]) == set(ids)
