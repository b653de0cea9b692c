"""Curves over noise levels."""

import numpy as np

from app.figures import noise_levels
from app.reading.curve import Curve
from tests.app.pages import numbers, plain


def test_bands_surround_their_curves() -> None:
    x, y = np.arange(3.0), np.array([1.0, 10.0, 100.0])
    figure = noise_levels.level_curves([Curve("a", "#0072B2", x, y, y / 2, 2 * y)], "x", "y", log=True).to_dict()
    band, line = figure["data"]
    np.testing.assert_allclose(band["y"], [2, 20, 200, 50, 5, 0.5])
    np.testing.assert_allclose(numbers(line["y"]), y)
    assert figure["layout"]["yaxis"]["type"] == "log" and plain(figure["layout"]["annotations"][0]["text"]) == "a"
