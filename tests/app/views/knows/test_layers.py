"""The page of layers, and its figure."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from app.figures import layer_map
from tests.app.pages import Folder, Show, figures, numbers, text
from tests.app.probes_fixture import LAYERS, layer_rows
from workbench.store import Run, write_json


@pytest.fixture
def folder(writable: Folder) -> Folder:
    """The invented runs with probes of their layers."""
    for method in LAYERS:
        content = {"protocol": "probes of every layer", "split": "test", "n": 1000, "seeds": [0]}
        Run(writable[0] / writable[1][method]).write_evaluation("layers", content | {"rows": layer_rows(method)})
    return writable


def printed(figure: dict) -> np.ndarray:
    """The numbers of a map (rows, columns), of its dark and its bright cells together."""
    shape = len(figure["layout"]["yaxis"]["ticktext"]), -1
    dark, bright = (numbers(trace["z"]).astype(float).reshape(shape) for trace in figure["data"])
    return np.where(np.isnan(dark), bright, dark)


def test_a_map_per_model_on_one_scale_and_the_best_layers_below(show: Show, folder) -> None:
    app = show(folder[0], "layers", [folder[1][method] for method in LAYERS])
    assert not app.exception and [title.value for title in app.title] == ["Layers"]
    *drawn, best = figures(app)
    assert len(drawn) == 3
    scales = {(trace["zmin"], trace["zmax"]) for figure in drawn for trace in figure["data"]}
    assert scales == {(10, 89)}
    vit, vae, diffusion = drawn
    assert vit["layout"]["xaxis"]["ticktext"] == ["class token", "patches", "untrained"]
    assert vae["layout"]["xaxis"]["ticktext"] == ["trained", "untrained"]
    assert diffusion["layout"]["xaxis"]["ticktext"] == ["t = 10", "t = 100", "untrained"]
    assert diffusion["layout"]["yaxis"]["ticktext"] == ["pixels", "down 0", "middle"]
    nan = np.nan
    np.testing.assert_array_equal(printed(diffusion), [[nan, nan, nan, 33], [89, 80, nan, 50], [84, 75, nan, 45]])
    np.testing.assert_array_equal(printed(vit), [[nan, nan, nan, 33], [nan, 60, nan, 30], [70, 80, nan, 40]])
    ring = diffusion["layout"]["shapes"][0]
    assert [ring[end] for end in ("y0", "y1")] == pytest.approx([2 / 3, 1 / 3])  # the layer that validation prefers
    assert {ring["xref"], ring["yref"]} == {"x domain", "y domain"}  # plotly would cut it off at the plot's edge
    assert "best: down_0 mean 100, 80 %" in text(app)
    titles = [best["layout"][axis]["title"]["text"] for axis in best["layout"] if axis.startswith("xaxis")]
    assert titles == ["top-1 at full width, %", "top-1 at 32 dimensions, %"]
    assert "probes of every layer" in text(app) and "n = 1,000" in text(app)


def test_a_narrower_width_leaves_out_models_without_it_and_says_so(show: Show, folder) -> None:
    app = show(folder[0], "layers", [folder[1][method] for method in LAYERS], **{"layer-width": "32 dimensions"})
    assert not app.exception and len(figures(app)) == 3
    assert "vae: no layer has that many dimensions." in text(app)
    app.segmented_control(key="layer-width").set_value("128").run()
    assert not app.exception and len(figures(app)) == 1
    assert "mocov3, vae, ddpm: no layer has that many dimensions." in text(app)


def test_runs_without_probes_of_their_layers_name_the_command(show: Show, folder) -> None:
    roles = ("vae", "half", "bare", "running", "failed")
    app = show(folder[0], "layers", [folder[1][role] for role in roles] + ["somebody-elses", "gone"])
    assert not app.exception and len(figures(app)) == 3  # another seed stands in for the one that is running
    said = text(app)
    assert "workbench evaluate" in said and "still training" in said and "became NaN" in said


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content | {"rows": "none"},
        lambda content: content | {"rows": [{**row, "layer": 3} for row in content["rows"]]},
        lambda content: content | {"rows": [{**row, "validation": "?", "t": "now"} for row in content["rows"]]},
        lambda content: (
            content | {"rows": [{**row, "depth": None, "reading": 7, "dim": []} for row in content["rows"]]}
        ),
        lambda content: content | {"rows": [{**row, "value": 50} for row in content["rows"]], "protocol": 4, "n": "x"},
        lambda content: content | {"rows": [row for row in content["rows"] if row["model"] == "run"]},
        lambda content: content | {"rows": [row for row in content["rows"] if row["width"] == 32]},
    ],
)
def test_foreign_content_is_survived(show: Show, folder, spoil: Callable[[dict], dict]) -> None:
    run = Run(folder[0] / folder[1]["ddpm"])
    write_json(run.path / "evaluations" / "layers.json", spoil(run.evaluation("layers")))
    assert not show(folder[0], "layers", [run.id, folder[1]["vae"]]).exception


def test_a_torn_file_is_a_missing_one(show: Show, folder) -> None:
    file = folder[0] / folder[1]["ddpm"] / "evaluations" / "layers.json"
    file.write_text(json.dumps(json.loads(file.read_text()))[:300])
    app = show(folder[0], "layers", [folder[1]["ddpm"]])
    assert not app.exception and "Not evaluated yet: ddpm" in text(app)


def test_the_best_cell_is_that_of_validation_the_first_among_equals() -> None:
    rows = [{"validation": 60, "value": 99}, {"validation": 70, "value": 1}, {"validation": 70, "value": 50}, {}]
    assert layer_map.best_row(rows) is rows[1]
    assert layer_map.best_row([]) is None


def test_the_untrained_reading_of_a_layer_is_its_best_by_validation() -> None:
    rows = layer_rows("ddpm")
    shown = layer_map.layer_grid(rows[:8:2], rows[8:16:2], None)
    assert shown.rows == ["down_0", "middle"] and shown.columns == ["t = 10", "t = 100", "untrained"]
    assert shown.cells["middle", "untrained"]["t"] == 100  # with a validation accuracy one higher than at 10
