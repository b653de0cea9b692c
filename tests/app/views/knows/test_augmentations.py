"""The page of augmentations, with a study, without one, and with damaged ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.app.pages import Show, figures, text
from workbench.store import create_run

NAMES = ["crop", "colour"]


def cell(value: float, **more: Any) -> dict[str, Any]:
    return {"metric": "top1", "value": value, "low": value - 2, "high": value + 2} | more


ROWS = [
    cell(40.0, model="run", first="crop", second=None),
    cell(52.5, model="run", first="crop", second="colour"),
    cell(31.0, model="run", first="colour", second=None),
    *(cell(33.7, model="pixels"), cell(32.7, model="untrained:mocov3")),
]
STUDY: dict[str, Any] = {"method": "mocov3", "data": "shapes", "protocol": "Linear probe.", "n": 1500, "seeds": [0]}
STUDY |= {"transformations": NAMES, "rows": ROWS, "means": [cell(46.2, first="crop")]}


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, str]:
    folder = tmp_path / "study" / "runs"
    info = {"method": "mocov3", "family": "contrastive", "data": {"name": "shapes"}, "seed": 0, "name": "crop"}
    return folder, create_run(folder, "method: mocov3\n", info).id


def put(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.mark.parametrize("place", ["runs/compositions/shapes", "."])
def test_cells_means_and_baselines_are_drawn(show: Show, runs: tuple[Path, str], place: str) -> None:
    folder, run = runs
    put(folder.parent / place / "composition.json", STUDY)
    app = show(folder, "augmentations", [run])
    assert not app.exception and not app.selectbox
    (figure,) = figures(app)
    drawn = json.dumps(figure)
    for value in ("40.0", "52.5", "31.0", "46.2"):
        assert f"{value}<br>" in drawn
    for words in ("pixels 33.7 % [31.7, 35.7]", "untrained:mocov3 32.7 %", "n = 1,500", "seed 0", "Linear probe"):
        assert words in text(app)


def test_one_of_several_is_chosen(show: Show, runs: tuple[Path, str]) -> None:
    folder, run = runs
    for name, value in (("a", 11.1), ("b", 22.2)):
        rows = [cell(value, model="run", first="crop", second=None)]
        put(folder / "compositions" / name / "composition.json", STUDY | {"rows": rows, "means": []})
    app = show(folder, "augmentations", [run])
    assert app.selectbox[0].options == ["a", "b"] and "11.1<br>" in json.dumps(figures(app))
    app.selectbox[0].set_value("b").run()
    assert "22.2<br>" in json.dumps(figures(app))


@pytest.mark.parametrize(
    "content",
    [
        None,
        "{",
        "[]",
        {"transformations": NAMES},
        {"transformations": "crop", "rows": ROWS},
        {"transformations": ["blur"], "rows": ROWS},
        STUDY | {"rows": [{"model": "run", "value": None}, 3], "means": 5},
    ],
)
def test_without_a_readable_study_the_command_is_told(show: Show, runs: tuple[Path, str], content: Any) -> None:
    folder, run = runs
    if content is not None:
        put(folder / "compositions" / "shapes" / "composition.json", content)
    app = show(folder, "augmentations", [run])
    assert not app.exception and not figures(app)
    assert "workbench augmentations mocov3" in text(app)


def test_a_folder_that_holds_only_a_study_shows_it(show: Show, tmp_path: Path) -> None:
    put(tmp_path / "compositions" / "shapes" / "composition.json", STUDY)
    app = show(tmp_path, "augmentations")
    assert not app.exception and len(figures(app)) == 1 and "No runs yet" not in text(app)
    app = show(tmp_path, "linear_probe")
    assert "No runs yet" in text(app)


def test_foreign_parts_are_left_out(show: Show, runs: tuple[Path, str]) -> None:
    folder, run = runs
    rows = [*ROWS, {"model": "run", "first": ["x"], "value": 1.0}, {"model": "pixels", "value": 5}]
    torn = {"rows": rows, "means": [3, {"value": "high"}], "seeds": 0, "n": "many", "protocol": None}
    put(folder / "compositions" / "shapes" / "composition.json", STUDY | torn)
    app = show(folder, "augmentations", [run])
    assert not app.exception and len(figures(app)) == 1
