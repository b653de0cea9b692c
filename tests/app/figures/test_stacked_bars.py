"""Stacked terms of a likelihood."""

import pytest

from app.figures import stacked_bars
from app.figures.stacked_bars import Stack, Term


def test_parts_add_up_to_the_sum_and_negative_ones_lie_left_of_zero() -> None:
    parts = [Term("prior", 2.0), Term("diffusion", -1.5), Term("dequantisation", 3.0)]
    stack = Stack("a", "#0072B2", parts, 3.5, 3.4, 3.6, "estimate", "\N{ALMOST EQUAL TO} ")
    figure = stacked_bars.stacked_bars([stack], "bits").to_dict()
    assert figure["layout"]["barmode"] == "relative"
    heights = [trace["x"][0] for trace in figure["data"] if trace["type"] == "bar"]
    dot = next(trace for trace in figure["data"] if trace["type"] == "scatter")
    assert sum(heights) == pytest.approx(dot["x"][0]) and figure["layout"]["xaxis"]["range"][0] < -1.5
    assert 5.0 < figure["layout"]["xaxis"]["range"][1] < 6.5  # as far as both positive parts reach, and no further
    assert dot["error_x"]["array"][0] == pytest.approx(0.1)
    assert "\N{ALMOST EQUAL TO} 3.5" in figure["layout"]["annotations"][0]["text"]
