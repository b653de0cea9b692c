"""Every figure can be saved: files that really arrive, in Chromium."""

import csv
import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from PIL import Image

from app.state import run_folder
from tests.app.browser import needs_chromium, opened, served
from tests.app.pages import Folder
from tests.app.probes_fixture import LABELS, LAYERS, layer_rows, write_price
from workbench.store import Run, write_json

pytestmark = needs_chromium
Rows = list[dict[str, str]]
Saved = Callable[[str, str, str], Rows]
"""Figures as data: by page, tab and key."""


def test_a_figure_is_saved_as_png_svg_csv(browser: Any, runs_address: str, runs_folder: Folder, tmp_path: Path) -> None:
    folder, ids = runs_folder
    page = opened(browser, f"{runs_address}/what-it-knows?runs={ids['mocov3']}:0,{ids['vae']}:1")
    files = {}
    for kind in ("PNG", "SVG", "CSV"):
        files[kind] = save(page, "probe-dots", kind, tmp_path)
    charts = page.locator(".js-plotly-plot").count()
    assert page.locator(".wb-save").count() == charts  # none without
    assert [path.name for path in files.values()] == ["probe-dots.png", "probe-dots.svg", "probe-dots.csv"]
    picture = Image.open(files["PNG"])
    assert picture.width > 1500 and picture.convert("RGBA").getpixel((2, 2))[3] == 255  # pyright: ignore[reportIndexIssue, reportOptionalSubscript]
    drawing = ElementTree.parse(files["SVG"]).getroot()
    assert drawing.tag.endswith("svg") and "mocov3" in "".join(drawing.itertext())
    rows = list(csv.DictReader(io.StringIO(files["CSV"].read_text())))
    stored = Run(folder / ids["vae"]).evaluation("linear")["rows"][0]
    found = next(row for row in rows if row["y"] == "vae" and row["low"] and row["x title"].startswith("linear"))
    assert bounds(found, "x") == pytest.approx([stored["value"], stored["low"], stored["high"]])


def save(page: Any, key: str, kind: str, folder: Path) -> Path:
    """The file that a button under a figure makes."""
    row = page.locator(f".wb-save[data-chart={key}]")
    row.wait_for()
    page.locator(f".st-key-{key} .js-plotly-plot .modebar-btn").first.wait_for(state="attached")
    with page.expect_download() as download:
        row.get_by_text(kind).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def bounds(row: dict[str, str], value: str = "y") -> list[float]:
    return [float(row[key]) for key in (value, "low", "high")]


@pytest.fixture(scope="module")
def saved(file_browser: Any, runs_folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saved]:
    """Figures of three runs on which everything was measured, each page opened once."""
    folder, ids = tmp_path_factory.mktemp("saved") / "runs", runs_folder[1]
    shutil.copytree(runs_folder[0], folder)
    for method in LAYERS:
        run = Run(folder / ids[method])
        write_price(run, method)
        run.write_evaluation("layers", {"protocol": "probes of every layer", "rows": layer_rows(method)})
    rows = [{"model": "run", "first": "crop", "second": "blur", "value": 50.0, "low": 48.0, "high": 53.0}]
    study = {"transformations": ["crop", "blur"], "rows": rows}
    (folder / "compositions" / "study").mkdir(parents=True)
    write_json(folder / "compositions" / "study" / "composition.json", study)
    chosen = ",".join(f"{ids[method]}:{place}" for place, method in enumerate(LAYERS))
    pages: dict[tuple[str, str], Any] = {}
    with served(folder) as address:

        def rows_of(name: str, tab: str, key: str) -> Rows:
            if (name, tab) not in pages:
                pages[name, tab] = opened(file_browser, f"{address}/{name}?runs={chosen}&{name}-tab={quote(tab)}")
            return list(csv.DictReader(io.StringIO(save(pages[name, tab], key, "CSV", folder).read_text())))

        yield rows_of


def test_curves_of_invariance_name_their_line_and_panel_and_have_bounds(saved: Saved) -> None:
    rows = saved("what-it-knows", "Invariance", "invariance")
    assert {row["y title"] for row in rows} == {"similarity"}
    titles = ["crop, share of area removed", "flip", "noise, SD in units of the pixel range"]
    assert list(dict.fromkeys(row["x title"] for row in rows)) == titles
    drawn = [row for row in rows if row["series"] != "as different as another image"]
    assert {"mocov3 projector", "untrained mocov3", "untrained vae", "pixels"} <= {row["series"] for row in drawn}
    assert all(row["x"] and row["low"] and row["high"] for row in drawn)
    assert {row["x"] for row in drawn if row["x title"] == "flip"} == {"left-right", "top-bottom"}


def test_curves_of_labels_have_the_true_numbers_of_labels(saved: Saved) -> None:
    rows = saved("what-it-knows", "Labels and cost", "label-curves")
    found = {(row["series"], row["x"]): bounds(row) for row in rows}
    for series, shift in (("mocov3", 0), ("untrained vae", -15), ("pixels", -10)):
        for _, n, value in LABELS:
            assert found[series, str(n)] == [value + shift, value + shift - 2, value + shift + 2]


def test_prices_and_their_baselines_are_named(saved: Saved) -> None:
    rows = saved("what-it-knows", "Labels and cost", "price-front")
    names = [row["series"] for row in rows if row["series"] != "Pareto front"]
    assert names[3:] == ["mocov3", "vae", "ddpm", "pixels"]
    assert names[:3] == ["mocov3 untrained", "vae untrained", "ddpm untrained"]
    assert all(float(row["x"]) > 0 for row in rows[:-1]) and not rows[-1]["x"]
    assert rows[-1]["x title"] == "parameters" and 0 < float(rows[-1]["y"]) < 100


def test_cells_of_a_layer_map_have_the_names_of_their_row_and_column(saved: Saved, runs_folder: Folder) -> None:
    place = run_folder.content(runs_folder[0]).place[runs_folder[1]["ddpm"]]
    rows = saved("what-it-knows", "Layers", f"layers-{place}")
    cells = {(row["y"], row["x"]): row for row in rows}
    assert bounds(cells["down 0", "t = 100"], "value") == [80, 77, 83]
    assert bounds(cells["middle", "untrained"], "value") == [45, 42, 48]
    assert {column for _, column in cells} == {"t = 10", "t = 100", "untrained"}
    assert ["best on the validation images" in row["note"] for row in rows].count(True) == 1
    assert {row["figure"] for row in rows} == {"accuracy by layer of ddpm"}


def test_a_corner_and_the_whole_matrix_name_their_images(saved: Saved, runs_folder: Folder) -> None:
    place = run_folder.content(runs_folder[0]).place[runs_folder[1]["mocov3"]]
    rows = saved("how-it-sees", "Similarity", f"corner-{place}")
    names = list(dict.fromkeys(row["y"] for row in rows))
    assert len(rows) == 100 and len(names) == 10 and set(names) == {row["x"] for row in rows}
    assert names[0] == "image 3, circle"
    assert (rows[0]["x title"], rows[0]["y title"]) == ("view B", "view A")
    whole = saved("how-it-sees", "Similarity", f"similarity-{place}")
    same = {(row["y"], row["x"]): row["value"] for row in whole}
    assert all(same[row["y"], row["x"]] == row["value"] for row in rows)
    assert {row["figure"] for row in whole} == {"cosine similarity in mocov3, projector"}


def test_references_are_rows_with_a_name(saved: Saved) -> None:
    def named(rows: Rows, name: str) -> Rows:
        return [row for row in rows if row["series"] == name]

    probes = saved("what-it-knows", "Linear probe", "probe-dots")
    assert {row["x title"] for row in named(probes, "pixels")} == {"linear probe, top-1 in %", "kNN, top-1 in %"}
    assert {row["y"] for row in probes if row["series"] != "pixels"} == set(LAYERS)
    assert [row["y"] for row in named(probes, "vae untrained")] == ["vae", "vae"]
    assert {row["drawn"] for row in named(probes, "mocov3 projector")} == {"large"}
    assert {row["drawn"] for row in named(probes, "mocov3 class token")} == {"small"}
    (zero,) = named(saved("what-it-knows", "Linear probe", "differences"), "no difference")
    assert float(zero["x"]) == 0
    factors = saved("what-it-knows", "Factors", "factor-dots")
    chance = {row["x title"]: row["x"] for row in named(factors, "chance")}
    assert chance.keys() == {row["x title"] for row in factors} and all(chance.values())
    assert all(row["y"] and row["low"] for row in factors if row["series"] != "chance")
    (pixels,) = named(saved("training", "", "knn-curve"), "pixels")
    assert float(pixels["y"]) > 0 and not pixels["x"]


def test_raw_and_smoothed_curves_are_told_apart(saved: Saved) -> None:
    rows = saved("training", "", "loss-vae")
    assert {row["series"] for row in rows} == {"vae", "vae, not smoothed"}


def test_a_study_of_augmentations_has_its_intervals(saved: Saved) -> None:
    (row,) = saved("what-it-knows", "Augmentations", "composition")
    assert (row["y"], row["x"], *bounds(row, "value")) == ("crop", "blur", 50, 48, 53)
