"""The pure parts: figures, pictures, numbers in print, and the choice in the URL."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app import theme
from app.figures import image_grid, matrices, style
from app.figures import lines as charts
from app.figures.dots import Dot, DotPanel, by_model, per_class
from app.reading.curve import Curve
from app.state import chosen_runs
from app.views.draws import reconstructions
from app.views.knows import factors
from app.views.runs import differences
from tests.app.pages import plain


def test_smoothing_keeps_a_constant_and_starts_unbiased() -> None:
    np.testing.assert_allclose(charts.smooth(np.full(5, 3.0), 0.9), 3.0)
    values = charts.smooth(np.array([2.0, 4.0]), 0.5)
    np.testing.assert_allclose(values, [2.0, (0.25 * 2 + 0.5 * 4) / 0.75])


def test_labels_are_moved_apart_in_order() -> None:
    moved = style.separate([1.0, 1.01, 5.0, 0.99], 0.5)
    assert moved[3] < moved[0] < moved[1] < moved[2]
    assert np.diff(np.sort(moved)).min() == pytest.approx(0.5, rel=0.01)
    assert style.separate([1.0, 4.0], 0.5) == [1.0, 4.0]


def test_an_opened_part_of_training_fits_its_values() -> None:
    line = Curve("a", "#0072B2", np.arange(100.0), np.arange(100.0) ** 2)
    figure: Any = charts.curves([line], y_title="loss", x_title="step", zoom=(10.5, 20.5))
    assert figure.layout.xaxis.range == (10.5, 20.5)
    assert 0 < figure.layout.yaxis.range[0] < 11**2 and 20**2 < figure.layout.yaxis.range[1] < 21**2
    assert figure.data[0].x[0] == 10 and figure.data[0].x[-1] == 21  # the line runs on beyond the edges


@pytest.mark.parametrize("zoom", [None, (2.0, 6.0)])
def test_a_logarithmic_axis_of_nothing_above_zero_is_linear(zoom: tuple[float, float] | None) -> None:
    x = np.arange(10.0)
    line = Curve("a", "#0072B2", x, -1 - x)
    figure: Any = charts.curves([line], y_title="loss", x_title="step", smoothing=0.5, log=True, zoom=zoom)
    assert figure.layout.yaxis.type == "linear"
    assert not charts.above_zero([line], zoom)
    mixed = Curve("b", "#0072B2", x, 5 - x)
    assert charts.above_zero([mixed], zoom) and not charts.above_zero([mixed], (6.0, 8.0))
    figure = charts.curves([mixed], y_title="loss", x_title="step", log=True, zoom=zoom)
    assert figure.layout.yaxis.type == "log"


def test_the_name_of_a_constant_stands_at_its_value() -> None:
    line = Curve("a", "#0072B2", np.arange(5.0), np.full(5, 1000.0))
    figure: Any = charts.curves([line], y_title="loss", x_title="step", log=True)
    assert figure.layout.yaxis.type == "linear" and figure.layout.annotations[0].y == 1000


def test_curves_carry_their_names() -> None:
    x = np.arange(5000.0)
    lines = [Curve("a", "#0072B2", x, x), Curve("b", "#D55E00", x[:10], -x[:10])]
    figure: Any = charts.curves(lines, y_title="top-1, %", x_title="step", smoothing=0.5, references={"pixels": 7.0})
    assert max(len(trace.x) for trace in figure.data) <= charts.POINTS
    assert {plain(annotation.text) for annotation in figure.layout.annotations} == {"a", "b", "pixels"}
    assert figure.layout.shapes[0].y0 == 7.0
    assert figure.data[2].x[0] == x[-1]  # the end is drawn, however many points are left out


def test_dots_show_interval_and_what_is_better_than_nothing() -> None:
    dots = [Dot("a", "#0072B2", 71.0, 69.0, 73.5), Dot("b", "#D55E00", 40.0)]
    figure: Any = by_model([DotPanel("top-1", dots, {"pixels": 33.0}, {"a": 25.0})], ["a", "b"])
    of_a = next(trace for trace in figure.data if trace.marker.color == "#0072B2")
    assert of_a.error_x.array == (2.5,) and of_a.error_x.arrayminus == (2.0,)
    assert figure.layout.xaxis.range[0] == 0 and figure.layout.xaxis.range[1] > 73.5
    rows = dict(zip(figure.layout.yaxis.ticktext, figure.layout.yaxis.tickvals, strict=True))
    assert rows == {style.coloured("a", "#0072B2"): 1, style.coloured("b", "#D55E00"): 0}  # the first model on top


def test_classes_on_which_models_differ_most_are_kept_and_on_top() -> None:
    scores = {"a": ("#0072B2", np.array([50.0, 10.0, 60.0])), "b": ("#D55E00", np.array([50.0, 90.0, 70.0]))}
    figure: Any = per_class(scores, ["same", "disputed", "close"], most=2)
    assert figure.layout.yaxis.ticktext == ("close", "disputed")


def test_classes_without_test_images_are_left_out() -> None:
    scores = {"a": ("#0072B2", np.array([50.0, np.nan, 60.0])), "b": ("#D55E00", np.array([50.0, np.nan, 70.0]))}
    figure: Any = per_class(scores, ["same", "unseen", "close"])
    assert figure.layout.yaxis.ticktext == ("same", "close")


def test_heat_map_prints_every_value_once_and_in_a_colour_that_can_be_read() -> None:
    values = np.array([[0.0, 1.0], [np.nan, 0.4]])
    figure: Any = matrices.heat_map(values, rows=["r", "s"], columns=["c", "d"], low=0, high=1, decimals=2)
    dark, bright = (np.array(trace.z) for trace in figure.data)
    assert np.isnan(dark).tolist() == [[False, True], [True, False]]
    assert np.isnan(bright).tolist() == [[True, False], [True, True]]
    assert [trace.textfont.color for trace in figure.data] == ["#ffffff", "#000000"]
    assert {(trace.zmin, trace.zmax) for trace in figure.data} == {(0, 1)}


def test_a_large_similarity_matrix_is_thinned_and_keeps_its_diagonal() -> None:
    matrix = np.eye(1000, dtype=np.float32)
    figure: Any = matrices.similarity_map(matrix, ["a"] * 500 + ["b"] * 500, low=0, high=1, most=100)
    drawn = np.array(figure.data[0].z)
    np.testing.assert_array_equal(drawn, np.eye(100))
    assert figure.layout.xaxis.ticktext == ("a", "b")


def test_blocks_of_equal_labels() -> None:
    assert matrices.blocks(["a", "a", "b", "b", "b"]) == ([0.5, 3.0], ["a", "b"], [1.5])


def test_pictures_are_enlarged_without_blur_and_lossless() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    html = image_grid.tag(image)
    assert 'class="wb-px"' in html and 'width="96"' in html
    content = base64.b64decode(image_grid.data_uri(image).split(",")[1])
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(content))), image)
    grey = image_grid.data_uri(image[..., :1])
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(base64.b64decode(grey.split(",")[1])))), image[..., 0])
    assert "wb-px" not in image_grid.tag(np.zeros((224, 224, 3), np.uint8))


def test_error_maps_share_their_scale() -> None:
    original = np.zeros((1, 2, 2, 3), np.uint8)
    drawn = original + np.array([[0, 10], [20, 200]], np.uint8)[None, :, :, None]
    error = image_grid.error_map(original, drawn, highest=20)[0]
    colours = image_grid.ramp()
    np.testing.assert_array_equal(error[0, 0], colours[0])
    np.testing.assert_array_equal(error[1, 0], colours[255])
    np.testing.assert_array_equal(error[1, 1], colours[255])
    np.testing.assert_array_equal(error[0, 1], colours[127])


def test_names_cannot_bring_html_into_the_page() -> None:
    row = image_grid.ImageRow("<script>x</script>", np.zeros((1, 4, 4, 1), np.uint8))
    assert "<script>" not in image_grid.sheet([row])
    assert "<" not in chosen_runs.name_of({"id": "a", "name": "<b>bold"})


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("![x](http://e)", r"!\[x\](http\://e)"),
        (":red[x] :smile:", r"\:red\[x\] \:smile:"),
        ("**b** `c` $d$ ~e~", r"\*\*b\*\* \`c\` \$d\$ \~e\~"),
        ("1. lr", r"1\. lr"),
        ("# lr", r"\# lr"),
        ("mocov3 · seed 1: p < 0.001 (a-b)", "mocov3 · seed 1: p < 0.001 (a-b)"),
    ],
)
def test_names_cannot_bring_markdown_into_the_page(name: str, written: str) -> None:
    assert theme.literal(name) == written


def test_sheets_of_images_shrink_to_the_page() -> None:
    row = image_grid.ImageRow("a", np.zeros((10, 4, 4, 1), np.uint8))
    assert "repeat(10, minmax(48px, 96px))" in image_grid.sheet([row])


def test_differing_settings() -> None:
    configs = [{"lr": 1, "epochs": 5, "tau": 0.2, "name": "a"}, {"lr": 2, "epochs": 5, "name": "b"}]
    assert differences.differing(configs) == ["lr", "tau"]
    html = differences.table({"a": configs[0], "b": configs[1]}, ["lr", "tau"], {"a": "#000", "b": "#111"})
    assert "<td>1</td><td><mark>2</mark></td>" in html and "—" in html


def test_factors_are_measured_from_chance_to_perfect() -> None:
    assert factors.share({"metric": "accuracy", "value": 25.0, "chance": 25.0}) == 0
    assert factors.share({"metric": "accuracy", "value": 100.0, "chance": 25.0}) == pytest.approx(1)
    assert factors.share({"metric": "r2", "value": 0.5, "chance": 0.0}) == 0.5


def test_images_are_ranked_by_error_and_by_disagreement() -> None:
    errors = [np.array([0.1, 0.2, 0.001]), np.array([0.1, 0.2, 0.1])]
    assert reconstructions.ranking("probe", errors).tolist() == [0, 1, 2]
    assert reconstructions.ranking("error", errors)[0] == 1
    assert reconstructions.ranking("disagreement", errors)[0] == 2
