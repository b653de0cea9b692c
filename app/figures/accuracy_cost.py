"""Accuracy against its cost, in labels or compute: data -> plotly figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from app.figures.style import (
    LABEL_HEIGHT,
    VALUES,
    add_end_labels,
    add_reference,
    add_text,
    coloured,
    error_bars,
    need_width,
    shorten,
)
from workbench import palette
from workbench.format import format_count, format_interval

HEIGHT = 440


@dataclass(frozen=True)
class Point:
    """A model's accuracy in % with its interval, at a cost ``x``."""

    label: str
    colour: str
    x: float
    value: float
    low: float | None
    high: float | None
    detail: str = ""


@dataclass(frozen=True)
class LabelCurve:
    """A model's points in the order of ``x``; baselines are drawn thin and dashed."""

    label: str
    colour: str
    points: Sequence[Point]
    baseline: bool = False


def accuracy_by_labels(lines: Sequence[LabelCurve], shares: Mapping[float, str]) -> go.Figure:
    """Accuracy against the number of labels on a logarithmic axis, each model's name at its curve's end.

    Args:
        shares: the labels of the axis by number of labelled images.
    """
    figure = go.Figure()
    for index, line in enumerate(lines):
        # Moved apart a little, so that intervals at the same number of labels do not cover one another.
        shift = 1.025 ** (index - (len(lines) - 1) / 2)
        figure.add_scatter(
            x=[point.x * shift for point in line.points],
            y=[point.value for point in line.points],
            mode="lines+markers",
            line={
                "color": line.colour,
                "width": 1.5 if line.baseline else 2.5,
                "dash": "dot" if line.baseline else None,
            },
            marker={"size": 6 if line.baseline else 10, "color": line.colour},
            error_y=_intervals(line.points, line.colour),
            name=line.label,
            meta={"x": [point.x for point in line.points]},
            text=[_hover(point) for point in line.points],
            hovertemplate="%{text}<extra></extra>",
        )
    low, high = _reach([point for line in lines for point in line.points])
    ends = [(line.label, line.colour, line.points[-1].value) for line in lines]
    add_end_labels(figure, ends, (high - low) * LABEL_HEIGHT / (HEIGHT - 70), shift=8, most=26)
    _axes(figure, low, high, right=210)
    figure.update_xaxes(title="labelled images", tickvals=list(shares), ticktext=list(shares.values()), type="log")
    return figure


def accuracy_by_cost(
    points: Sequence[Point], untrained: Sequence[Point], references: Mapping[str, float], title: str, suffix: str = ""
) -> go.Figure:
    """Accuracy against a cost on a logarithmic axis, with the Pareto front.

    Args:
        untrained: the same networks before training, drawn as short grey lines at their model's cost.
        references: horizontal grey lines by name.
        suffix: unit behind the numbers of the axis.
    """
    figure = go.Figure()
    for name, value in references.items():
        add_reference(figure, name, value, f"{name} {value:.0f}")
    front = pareto(points)
    figure.add_scatter(
        x=[point.x for point in front],
        y=[point.value for point in front],
        mode="lines",
        line={"color": palette.GREY, "width": 1.5, "shape": "hv"},
        name="Pareto front",
        hoverinfo="skip",
    )
    for point in untrained:
        figure.add_scatter(
            x=[point.x],
            y=[point.value],
            mode="markers",
            marker={"symbol": "line-ew", "size": 18, "line": {"color": palette.GREY, "width": 3}},
            name=f"{point.label} untrained",
            hovertemplate=f"{point.label} untrained: %{{y:.1f}} %<extra></extra>",
        )
    logs = np.log10([point.x for point in points])
    middle = logs.min() + 0.5 * max(float(np.ptp(logs)), 0.3)  # names stand on the side of their points with more room
    for point in points:
        figure.add_scatter(
            x=[point.x],
            y=[point.value],
            mode="markers",
            marker={"size": 15, "color": point.colour},
            error_y=_intervals([point], point.colour),
            name=point.label,
            text=[_hover(point)],
            hovertemplate="%{text}<extra></extra>",
        )
        interval = format_interval(point.value, point.low, point.high, digits=1)
        text = coloured(f"<b>{shorten(point.label)}</b> {interval}", point.colour)
        side = {"xanchor": "right", "xshift": -12} if np.log10(point.x) > middle else {"xanchor": "left", "xshift": 12}
        add_text(figure, np.log10(point.x), point.value, text, yshift=11, **side)
    low, high = _reach(points, [*(point.value for point in untrained), *references.values()])
    _axes(figure, low, high, right=20)
    span = max(float(np.ptp(logs)), 0.3)
    left, right = logs.min() - 0.12 * span, logs.max() + 0.12 * span
    ticks = _ticks(left, right)
    labels = [format_count(tick) + suffix for tick in ticks]
    figure.update_xaxes(title=title, type="log", range=[left, right], tickvals=ticks, ticktext=labels)
    return figure


def pareto(points: Sequence[Point]) -> list[Point]:
    """The points that no other one is both cheaper (or as cheap) and better than, from the cheapest up."""
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.x, -point.value)):
        if not front or point.value > front[-1].value:
            front.append(point)
    return front


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two powers of ten, few enough to be read."""
    exponents = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    for steps in ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**exponent for exponent in exponents for step in steps]
        ticks = [tick for tick in ticks if low <= np.log10(tick) <= high]
        if len(ticks) <= 9:
            return ticks
    return ticks[:: -(-len(ticks) // 9)]


def _hover(point: Point) -> str:
    return f"<b>{point.label}</b> {point.detail}<br>{format_interval(point.value, point.low, point.high, digits=1)} %"


def _intervals(points: Sequence[Point], colour: str) -> dict:
    values, low, high = ([getattr(point, name) for point in points] for name in ("value", "low", "high"))
    return error_bars(colour, values, low, high, thickness=2)


def _reach(points: Sequence[Point], others: Sequence[float] = ()) -> tuple[float, float]:
    """The ends of the accuracy axis."""
    lows = [point.value if point.low is None else point.low for point in points]
    highs = [point.value if point.high is None else point.high for point in points]
    low, high = min([*lows, *others]), max([*highs, *others])
    margin = 0.08 * max(high - low, 5.0)
    return max(0.0, low - margin), high + 1.5 * margin


def _axes(figure: go.Figure, low: float, high: float, right: int) -> None:
    need_width(figure, 700)
    figure.update_layout(height=HEIGHT, margin={"l": 62, "r": right, "t": 12, "b": 58})
    figure.update_xaxes(**VALUES)
    figure.update_yaxes(title="top-1 on test images, %", **VALUES, range=[low, high], nticks=8, tickformat=".3~g")
