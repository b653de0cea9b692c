"""Maps of gradient norms, and the curve above them."""

from pathlib import Path
from typing import Any

import numpy as np

from app.figures import gradient_map, lines
from app.reading.curve import Curve
from app.reading.training_health import diagnose
from tests.app.stability_fixture import LAYERS, unstable


def test_a_long_curve_is_drawn_with_its_spikes() -> None:
    steps, values = np.arange(10_000.0), np.ones(10_000)
    values[[1234, 8765]] = 50
    curve = Curve("run", "#0072B2", steps, values)
    for window, marks in ((None, [1234, 8765]), ((1000.0, 9999.0), [1234, 8765]), ((8000.0, 9000.0), [8765])):
        figure: Any = lines.curves([gradient_map.envelope(curve, window)], y_title="", x_title="", zoom=window)
        drawn = figure.data[0]
        assert len(drawn.x) <= lines.POINTS + 2
        assert np.flatnonzero(np.asarray(drawn.y) > 1).size == len(marks)
        assert [x for x, y in zip(drawn.x, drawn.y, strict=True) if y > 1] == marks


def test_the_curve_above_a_map_fits_what_is_shown(tmp_path: Path) -> None:
    figure: Any = gradient_map.gradient_map(diagnose(unstable(tmp_path)), "#0072B2", (1400.0, 2000.0))
    assert min(figure.data[0].x) == 1400 and max(figure.data[0].x) == 2000


def test_a_map_shows_the_highest_norm_of_each_stretch(tmp_path: Path) -> None:
    found = diagnose(unstable(tmp_path))
    assert found.gradients is not None
    edges, values = gradient_map.binned(found.gradients, None)
    assert values.shape == (len(LAYERS), gradient_map.COLUMNS) and len(edges) == gradient_map.COLUMNS + 1
    np.testing.assert_allclose(values.max(axis=1), [norms.max() for norms in found.gradients.layers.values()])
    figure: Any = gradient_map.gradient_map(found, "#0072B2", (1400.0, 2000.0))
    assert figure.layout.yaxis2.ticktext[1:3] == ("patch embed", "block 1")
    assert sum(shape.type == "line" for shape in figure.layout.shapes) == 2
    assert gradient_map.gradient_map(found, "#0072B2", (9000.0, 9100.0)) is None
