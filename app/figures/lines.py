"""Curves over training: data -> plotly figure."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from app.figures import style
from app.reading.curve import Curve

POINTS = 800  # drawn of a curve; more cannot be told apart


def smooth(values: np.ndarray, weight: float) -> np.ndarray:
    """Exponential moving average, unbiased at the start; ``weight`` in [0, 1) is the weight of the past."""
    result, mean, norm = np.empty(len(values)), 0.0, 0.0
    for index, value in enumerate(values):
        mean, norm = weight * mean + (1 - weight) * value, weight * norm + 1 - weight
        result[index] = mean / norm
    return result


def above_zero(lines: Sequence[Curve], zoom: tuple[float, float] | None = None) -> bool:
    """Whether any curve has a value above zero, which a logarithmic axis needs."""
    start, stop = zoom or (-np.inf, np.inf)
    return any((line.y[(line.x >= start) & (line.x <= stop)] > 0).any() for line in lines)


def length(lines: Sequence[Curve]) -> float:
    """End of an x axis that shows all of the longest curve."""
    return 1.005 * max((float(line.x[-1]) for line in lines), default=1.0)


def curves(
    lines: Sequence[Curve],
    *,
    y_title: str,
    x_title: str,
    smoothing: float = 0.0,
    log: bool = False,
    references: Mapping[str, float] | None = None,
    height: int = 300,
    labels: bool = True,
    zoom: tuple[float, float] | None = None,
) -> go.Figure:
    """Curves with their names at their ends.

    Args:
        references: horizontal grey lines by name.
        smoothing: weight of :func:`smooth`; the raw curve stays behind, faint.
        log: a logarithmic y axis, unless nothing is :func:`above_zero`.
        labels: write the names; without them they appear on hover only.
        zoom: the visible part of the x axis; the y axis is fitted to it.
    """
    figure = go.Figure()
    log = log and above_zero(lines, zoom)
    start, stop = zoom or (-np.inf, np.inf)
    heights: list[float] = [*(references or {}).values()]
    ends: list[tuple[str, str, float]] = []
    for line in lines:
        smoothed = smooth(line.y, smoothing) if smoothing else line.y
        inside = np.flatnonzero((line.x >= start) & (line.x <= stop))
        if not len(inside):
            continue
        edges = np.clip([start, stop], line.x[0], line.x[-1])
        heights += [*line.y[inside], *smoothed[inside], *np.interp(edges, line.x, smoothed)]
        # One point beyond each edge, so that the line runs out of the picture.
        first, last = max(inside[0] - 1, 0), min(inside[-1] + 1, len(line.x) - 1)
        rows = np.linspace(first, last, min(POINTS, last - first + 1)).round().astype(int)
        if smoothing:
            figure.add_scatter(
                x=line.x[rows],
                y=line.y[rows],
                mode="lines",
                line={"color": line.colour, "width": 1},
                opacity=0.25,
                name=f"{line.label}, not smoothed",
                hoverinfo="skip",
            )
        figure.add_scatter(
            x=line.x[rows],
            y=smoothed[rows],
            mode="lines",
            line={"color": line.colour, "width": 2.2, "dash": line.dash},
            name=line.label,
            hovertemplate=f"{line.label}: %{{y:.4~g}}<extra></extra>",
        )
        end = inside[-1]
        figure.add_scatter(
            x=line.x[end : end + 1],
            y=smoothed[end : end + 1],
            mode="markers",
            marker={"color": line.colour, "size": 7},
            hoverinfo="skip",
            cliponaxis=False,
        )
        if text := line.label if line.end is None else line.end:
            ends.append((text, line.colour, float(smoothed[end])))
    for name, value in (references or {}).items():
        style.add_reference(figure, name, value, name, log)
    values = np.array(heights)
    constant = len(values) > 0 and np.ptp(values) <= 1e-6 * np.abs(values).max()
    log = log and not constant
    height = max(height, 56 + style.LABEL_HEIGHT * len(ends)) if labels else height
    if labels and ends:
        style.add_curve_labels(figure, ends, log, height)
    figure.update_layout(
        height=height,
        margin={"l": 62, "r": 146 if labels else 12, "t": 12, "b": 44},
        hovermode="x unified",
    )
    figure.update_xaxes(title=x_title, **style.VALUES, range=zoom or (0, length(lines)))
    figure.update_yaxes(
        title=y_title, fixedrange=True, type="log" if log else "linear", **style.VALUES, nticks=7, tickformat=".4~g"
    )
    if log and len(values):
        style.space_decades(figure, values, 4)
    if constant:  # no axis of rounding errors
        margin = 0.1 * abs(values[0]) or 1.0
        figure.update_yaxes(range=[values[0] - margin, values[0] + margin], tickformat=".3~g")
    elif zoom and len(values):
        values = np.log10(values[values > 0]) if log else values
        margin = 0.05 * np.ptp(values)
        figure.update_yaxes(range=[values.min() - margin, values.max() + margin])
    return figure
