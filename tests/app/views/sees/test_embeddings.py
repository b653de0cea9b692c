"""The page Embeddings: what the component is told, without a browser."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app import component, theme
from app.figures import image_grid, point_colours
from app.reading import predictions
from tests.app.pages import Folder, Show, copy_runs, probe_arrays, text
from workbench import palette
from workbench.files import write_array
from workbench.store import Run, probe_of


def told(app: AppTest) -> dict[str, Any]:
    """What the one component on the page was told."""
    assert not app.exception
    (found,) = app.get("bidi_component")
    return json.loads(found.proto.json)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Contents by address of the files that a page hands to the browser."""
    kept: dict[str, bytes] = {}
    original = component.file

    def file(content: bytes, name: str, kind: str = "application/octet-stream") -> str:
        address = original(content, name, kind)
        kept[address] = content
        return address

    monkeypatch.setattr(component, "file", file)
    return kept


def test_positions_keep_their_proportions_and_mark_what_is_lost() -> None:
    points = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 5.0], [np.nan, 1.0], [np.inf, 0.0]])
    packed = np.frombuffer(component.positions(points), "<u2").reshape(-1, 2)
    assert (packed[3:] == component.LOST).all() and packed[:3].max() < component.LOST
    x, y = packed[:3].astype(float).T / 65534
    np.testing.assert_allclose([x[1] - x[0], y[2] - y[1]], [1.0, 0.5], atol=1e-4)
    np.testing.assert_allclose((y[0] + y[2]) / 2, 0.5, atol=1e-4)
    assert (np.frombuffer(component.positions(np.full((3, 2), np.nan)), "<u2") == component.LOST).all()
    assert len(set(np.frombuffer(component.positions(np.ones((3, 2))), "<u2").tolist())) == 1


@pytest.mark.parametrize("n", [1, 8, 9, 1000])
def test_bitmaps_come_back(n: int) -> None:
    chosen = np.flatnonzero(np.random.default_rng(0).random(n) < 0.5)
    np.testing.assert_array_equal(component.rows(component.bitmap(chosen, n), n), chosen)
    assert component.bitmap(None, n) == component.bitmap(np.zeros(0, int), n) == ""


@pytest.mark.parametrize("text", [None, 7, "", "AA=", "AAAAAAAA", "\N{SNOWMAN}"])
def test_what_is_no_bitmap_selects_nothing(text: object) -> None:
    assert not len(component.rows(text, 9))


def test_the_map_of_pixels_is_the_last_of_fewer_than_four(show: Show, runs_folder: Folder, tmp_path: Path) -> None:
    runs = copy_runs(runs_folder, tmp_path, "mocov3", "vae", "ddpm")
    runs.append(Run(shutil.copytree(runs[0].path, tmp_path / "another")))
    app = show(tmp_path, "embeddings", [run.id for run in runs[:3]])
    assert [pane["name"] for pane in told(app)["panes"]] == ["mocov3", "vae", "ddpm", "pixels"]
    assert told(app)["columns"] == 4
    app.segmented_control(key="map").set_value("pca").run()
    assert told(app)["panes"][-1]["spaces"][0]["note"] == "explained variance: 40 % + 10 %"
    app.toggle(key="pixels").set_value(False).run()
    assert [pane["name"] for pane in told(app)["panes"]] == ["mocov3", "vae", "ddpm"]
    app = show(tmp_path, "embeddings", [run.id for run in runs])
    assert len(told(app)["panes"]) == 4
    app.toggle(key="pixels-too").set_value(True).run()
    assert told(app)["panes"][-1]["name"] == "pixels" and len(told(app)["panes"]) == 5


def test_runs_on_other_images_are_not_compared_image_by_image(show: Show, runs_folder: Folder, tmp_path: Path) -> None:
    folder, ids = runs_folder
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    other = Run(tmp_path / ids["ddpm"])
    other.update_info(data=other.info()["data"] | {"fingerprint": "other"})
    app = show(tmp_path, "embeddings", [ids["vae"], ids["ddpm"]])
    assert "trained on other data" in app.warning[0].value
    assert [pane["name"] for pane in told(app)["panes"]] == ["vae", "pixels"]


def test_arrays_and_images_go_over_as_files(show: Show, runs_folder: Folder, files: dict[str, bytes]) -> None:
    folder, ids = runs_folder
    app = show(folder, "embeddings", [ids["vae"]], images="3,24")
    data, (probe_ids, labels, _, images) = told(app), probe_arrays(folder)
    assert files[data["common"]] == probe_ids.astype("<i8").tobytes() + labels.astype("<u2").tobytes()
    np.testing.assert_array_equal(np.frombuffer(files[data["codes"]], "<u2"), labels)
    points = Run(folder / ids["vae"]).array("tsne-posterior mean")
    assert points is not None
    assert files[data["panes"][0]["spaces"][0]["points"]] == component.positions(points)
    assert component.rows(data["selected"], data["n"]).tolist() == [0, 3]
    assert [entry["colour"] for entry in data["palette"]] == [theme.class_style(index)[0] for index in range(6)]
    sheet = np.asarray(Image.open(io.BytesIO(files[data["tiles"]["sheets"]["0"]])).convert("RGB"))
    tile = sheet[32:64, 64:96]  # of row 32 + 2
    assert data["tiles"]["side"] == 32 and np.abs(tile.astype(float) - images[34]).mean() < 8
    assert sum(map(len, files.values())) < 5e6


def test_a_circled_selection_is_that_of_all_pages(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "embeddings", [ids["vae"]])
    script = f"""
import streamlit as st
from app.state import chosen_runs
from app.views.sees import embeddings
from app.widgets import chips
embeddings.KEY = "told"
st.session_state["other"] = 1
st.session_state["told"] = {{"selected": "{component.bitmap(np.arange(40, 90), 240)}"}}
embeddings.circled(chosen_runs.probes()[0])
chips.show()
"""
    after = AppTest.from_string(script, default_timeout=30)
    after.query_params["runs"] = f"{ids['vae']}:0"
    after.run()
    assert not after.exception and not app.exception
    assert after.button(key="chip_images").label == "50 images selected"


@pytest.mark.parametrize("by", ["hue", "shape", "size", "probe error"])
def test_colours_by_factor_and_by_error(show: Show, runs_folder: Folder, by: str, files: dict[str, bytes]) -> None:
    folder, ids = runs_folder
    app = show(folder, "embeddings", [ids["vae"], ids["mocov3"]])
    app.segmented_control(key="colour").set_value(by).run()
    data, (probe_ids, labels, factors, _) = told(app), probe_arrays(folder)
    assert data["by"] == by
    if by == "probe error":
        assert not data["shared"]
        for pane, role in zip(data["panes"], ("vae", "mocov3"), strict=False):
            for space in pane["spaces"]:
                guess = predictions.of_run(Run(folder / ids[role]), np.asarray(probe_ids), space["name"])
                assert guess is not None
                codes = np.frombuffer(files[space["codes"]], "<u2")
                np.testing.assert_array_equal(codes == 1, (guess != labels) & (guess != predictions.UNKNOWN))
                assert (codes == 2).any()
    elif by == "shape":
        assert data["ramp"] is None and len(data["palette"]) == 6
    else:
        column = factors[:, 1 if by == "hue" else 2]
        codes = np.frombuffer(files[data["codes"]], "<u2")
        assert codes[column.argmin()] == 0 and codes[column.argmax()] == 255
        ends = data["ramp"]["colours"][0], data["ramp"]["colours"][-1]
        expected = image_grid.ramp(256, palette.CIRCULAR if by == "hue" else palette.MAGNITUDE)[[0, -1]]
        assert ends == tuple("#{:02x}{:02x}{:02x}".format(*colour) for colour in expected)
        np.testing.assert_array_equal(np.frombuffer(files[data["values"]], "<f4"), column)


def test_values_that_are_no_numbers_are_grey() -> None:
    found = point_colours.colour_scale("size", np.array([1.0, np.nan, 3.0]), circular=False)
    assert found.codes is not None and found.codes.tolist() == [0, 256, 255]
    assert found.styles[256]["colour"] == palette.GREY
    assert point_colours.colour_scale("size", np.full(3, np.nan), circular=False).codes is not None


def test_neighbours_are_probe_rows(show: Show, runs_folder: Folder, tmp_path: Path, files: dict[str, bytes]) -> None:
    (run,) = copy_runs(runs_folder, tmp_path, "vae")
    probe_ids, *_ = probe_arrays(tmp_path)
    near = np.stack([np.roll(np.arange(240), -shift) for shift in (1, 2, 3)], 1)
    run.write_array("neighbours-posterior mean", probe_ids[near])
    space = told(show(tmp_path, "embeddings", [run.id]))["panes"][0]["spaces"][0]
    np.testing.assert_array_equal(np.frombuffer(files[space["neighbours"]], "<u4").reshape(-1, 3), near)
    run.write_array("neighbours-posterior mean", probe_ids[near] + 1)  # ids that the probe set does not have
    assert "neighbours" not in told(show(tmp_path, "embeddings", [run.id]))["panes"][0]["spaces"][0]


def test_snapshots_become_the_frames_of_a_slider(show: Show, runs_folder: Folder, tmp_path: Path) -> None:
    (run,) = copy_runs(runs_folder, tmp_path, "vae")
    final = run.array("tsne-posterior mean")
    assert final is not None
    for step in (100, 400):
        run.write_array(f"tsne-posterior mean-step-{step}", final * step)
    content = run.evaluation("projection")
    content["snapshots"] = [{"step": 400, "share": 1.0}, {"step": 100, "share": 0.25}, {"step": 7, "share": 0.1}, "x"]
    run.write_evaluation("projection", content)
    frames = told(show(tmp_path, "embeddings", [run.id]))["panes"][0]["spaces"][0]["frames"]
    assert [frame["share"] for frame in frames] == [0.25, 1.0]


def test_many_images_come_as_sheets_on_demand(show: Show, runs_folder: Folder, tmp_path: Path) -> None:
    (run,) = copy_runs(runs_folder, tmp_path, "vae")
    probe, n = probe_of(tmp_path, "fixture01"), 6000
    for name, array in zip(("labels", "factors", "images"), probe_arrays(tmp_path)[1:], strict=True):
        write_array(probe.path / f"{name}.npy", np.resize(array, (n, *array.shape[1:])))
    write_array(probe.path / "ids.npy", np.arange(n))
    run.write_array("tsne-posterior mean", np.random.default_rng(0).normal(size=(n, 2)))
    app = show(tmp_path, "embeddings", [run.id])
    assert told(app)["tiles"]["sheets"] == {} and told(app)["tiles"]["many"]
    app.session_state["sheets"] = {5}
    app.run()
    assert list(told(app)["tiles"]["sheets"]) == ["5"]


def test_tiles_of_large_and_grey_images_shrink() -> None:
    images = np.full((3, 96, 96, 1), 200, np.uint8)
    sheet = Image.open(io.BytesIO(image_grid.tiles(images, 48, 2)))
    assert sheet.size == (96, 96)
    assert abs(int(np.asarray(sheet.convert("L"))[60, 20]) - 200) < 4
    assert np.asarray(sheet.convert("L"))[60, 80] < 4  # no fourth image


def test_a_map_of_another_probe_set_is_not_drawn(show: Show, runs_folder: Folder, tmp_path: Path) -> None:
    (run,) = copy_runs(runs_folder, tmp_path, "vae")
    run.write_array("tsne-posterior mean", np.zeros((7, 2)))
    pane = told(show(tmp_path, "embeddings", [run.id]))["panes"][0]
    assert [space["name"] for space in pane["spaces"]] == ["map of another probe set"]


def test_umap_is_offered_where_a_run_has_it(show: Show, runs_folder: Folder, tmp_path: Path) -> None:
    (run,) = copy_runs(runs_folder, tmp_path, "vae")
    assert "UMAP" not in show(tmp_path, "embeddings", [run.id]).segmented_control(key="map").options
    run.write_array("umap-posterior mean", np.random.default_rng(0).normal(size=(240, 2)))
    app = show(tmp_path, "embeddings", [run.id])
    assert "UMAP" in app.segmented_control(key="map").options
    app.segmented_control(key="map").set_value("umap").run()
    assert told(app)["panes"][0]["alt"] == "UMAP of vae"


def test_selected_images_are_shown_and_can_be_cleared(page: Show) -> None:
    app = page("embeddings", "vae", images=f"3,10,nonsense,--5,{'9' * 5000}")
    assert "circle · image 3" in text(app) and "circle · image 10" in text(app)
    assert app.button(key="chip_images").label == "2 images selected"
    app.button(key="chip_images").click().run()
    assert "circle · 3" not in text(app) and not app.exception
