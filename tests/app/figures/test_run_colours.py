"""The n-th chosen run has the n-th colour of the palette in every figure."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from app.figures import accuracy_cost, dots, lines, matrices, noise_levels, stacked_bars, strength_curves, style
from app.figures.accuracy_cost import LabelCurve, Point
from app.figures.dots import Dot, DotPanel
from app.figures.stacked_bars import Stack, Term
from app.figures.strength_curves import ChangePanel, Profile
from app.reading.curve import Curve
from workbench import palette

RUNS = [f"run {index}" for index in range(len(palette.run_colours()))]
X, VALUES = np.arange(1.0, 4.0), np.array([0.4, 0.5, 0.6])


def figures(colours: tuple[str, ...]) -> dict[str, go.Figure]:
    """Every figure of several runs, each in its colour; traces carry the runs' labels as names."""
    runs = list(zip(RUNS, colours, strict=True))
    curves = [Curve(label, colour, X, VALUES, VALUES - 0.1, VALUES + 0.1) for label, colour in runs]
    measured = [Dot(label, colour, 50.0, 48.0, 52.0) for label, colour in runs]
    points = [Point(label, colour, 10.0 * (index + 1), 50.0, 48.0, 52.0) for index, (label, colour) in enumerate(runs)]
    terms = [Term("prior", 1.0), Term("diffusion", 2.0)]
    stacks = [Stack(label, colour, terms, 3.0, 2.9, 3.1) for label, colour in runs]
    profiles = [Profile(label, colour, VALUES, VALUES - 0.1, VALUES + 0.1) for label, colour in runs]
    panels = [ChangePanel("crop", "abc", profiles), ChangePanel("flip", "abc", profiles, ordered=False)]
    return {
        "curves": lines.curves(curves, y_title="loss", x_title="step", smoothing=0.5),
        "noise levels": noise_levels.level_curves(curves, "ln SNR", "error"),
        "dots": dots.by_model([DotPanel("top-1", measured, {}, {})], RUNS),
        "differences": dots.forest(RUNS, measured, "points"),
        "classes": dots.per_class({label: (colour, 100 * VALUES) for label, colour in runs}, ["a", "b", "c"]),
        "factors": dots.small_multiples({"size": measured}, {}, {"size": "%"}),
        "stacked bars": stacked_bars.stacked_bars(stacks, "bits"),
        "labels": accuracy_cost.accuracy_by_labels([LabelCurve(p.label, p.colour, [p]) for p in points], {10: "10"}),
        "cost": accuracy_cost.accuracy_by_cost(points, [], {}, "parameters"),
        "strengths": strength_curves.strength_curves(panels, {label: (colour, "solid") for label, colour in runs}),
    }


def colours_of(trace: dict[str, Any]) -> set[str]:
    """The colours of a trace's line, markers and error bars."""
    parts = [trace.get(part) or {} for part in ("line", "marker", "error_x", "error_y")]
    return {part["color"] for part in parts if "color" in part}


@pytest.mark.parametrize("dark", [False, True])
def test_every_figure_draws_a_run_in_its_colour(dark: bool) -> None:
    colours = palette.run_colours(dark)
    for name, figure in figures(colours).items():
        for index, label in enumerate(RUNS):
            own = [trace for trace in figure.to_dict()["data"] if str(trace.get("name", "")).startswith(label)]
            drawn = set().union(*(colours_of(trace) for trace in own))
            assert own and drawn == {colours[index]}, (name, label)


def test_names_at_curves_and_axes_have_the_colour_of_their_run() -> None:
    colours = palette.run_colours()
    drawn = figures(colours)
    for name in ("curves", "noise levels", "labels", "cost", "strengths"):
        notes = drawn[name].to_dict()["layout"]["annotations"]
        for index, label in enumerate(RUNS):
            own = [note["text"] for note in notes if label in note["text"]]
            assert own and all(f'<span style="color:{colours[index]}">' in words for words in own), (name, label)
    for name in ("dots", "factors", "stacked bars"):
        names = drawn[name].to_dict()["layout"]["yaxis"]["ticktext"]
        assert list(names) == [style.coloured(label, colour) for label, colour in zip(RUNS, colours, strict=True)][::-1]


def test_matrices_are_drawn_in_the_colours_of_magnitudes_and_never_of_a_run() -> None:
    heat_map = matrices.heat_map(np.eye(2), rows=RUNS[:2], columns=RUNS[:2], low=0, high=1, decimals=1).to_dict()
    similarity = matrices.similarity_map(np.eye(4), [], low=0, high=1).to_dict()
    expected = go.Figure(go.Heatmap(colorscale=palette.MAGNITUDE)).to_dict()["data"][0]["colorscale"]
    for trace in (*heat_map["data"], *similarity["data"]):
        assert trace["colorscale"] == expected and not trace["showscale"]
