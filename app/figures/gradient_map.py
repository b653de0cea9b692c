"""Gradient norms by layer over training below the kNN curve, and marks of spikes and dips: data -> plotly figure."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app.figures import lines
from app.figures.matrices import add_heat_map
from app.figures.style import VALUES
from app.reading.curve import Curve
from app.reading.training_health import Diagnosis, Gradients, Series
from workbench import palette

COLUMNS = 300  # of a map; each shows the highest norm of its rows of metrics
ROW, CURVE, HEAD, FOOT = 19, 130, 14, 44  # px
SPIKE, DIP, COLLAPSE = "triangle-up", "triangle-down", "x"


def binned(gradients: Gradients, window: tuple[float, float] | None) -> tuple[np.ndarray, np.ndarray]:
    """Edges (columns + 1,) in steps, and the highest norm of each column (layers, columns)."""
    low, high = window or (0.0, np.inf)
    inside = np.flatnonzero((gradients.steps > low) & (gradients.steps <= high))
    values = np.array([gradients.layers[name][inside] for name in gradients.layers])
    steps = gradients.steps[inside]
    starts = np.unique(np.linspace(0, len(inside), min(len(inside), COLUMNS) + 1).astype(int)[:-1])
    values = np.where(np.isfinite(values) & (values > 0), values, -np.inf)
    highest = np.maximum.reduceat(values, starts, axis=1)
    begin = max(low, float(steps[0] - np.median(np.diff(steps)))) if len(steps) > 1 else float(steps[0] - 1)
    edges = np.array([begin, *(float(steps[start - 1]) for start in starts[1:]), float(steps[-1])])
    return edges, np.where(np.isfinite(highest), highest, np.nan)


def envelope(curve: Curve, window: tuple[float, float] | None) -> Curve:
    """The upper envelope of the visible part of a curve, so that thinning drops no spike."""
    low, high = window or (-np.inf, np.inf)
    inside = np.flatnonzero((curve.x >= low) & (curve.x <= high))
    if len(inside) <= lines.POINTS:
        return curve
    parts = np.array_split(np.arange(max(inside[0] - 1, 0), min(inside[-1] + 2, len(curve.x))), lines.POINTS)
    rows = np.array([part[np.argmax(curve.y[part])] for part in parts])
    return replace(curve, x=curve.x[rows], y=curve.y[rows])


def norm_limits(values: np.ndarray) -> tuple[float, float]:
    """Ends of a logarithmic colour scale (log10): the 2nd percentile and the highest value."""
    known = np.log10(values[np.isfinite(values)])
    if not len(known):
        return 0.0, 1.0
    low, high = float(np.percentile(known, 2)), float(known.max())
    return low, max(high, low + 0.1)


def gradient_map(diagnosis: Diagnosis, colour: str, window: tuple[float, float] | None = None) -> go.Figure | None:
    """The kNN curve above a map of layers (down, from the image on) and steps (across), or None without gradients.

    Dips are shaded, spikes are lines through both.

    Args:
        window: the visible steps; all by default.
    """
    gradients = diagnosis.gradients
    if gradients is None or not gradients.layers:
        return None
    low, high = window or (-np.inf, np.inf)
    if not ((gradients.steps > max(low, 0)) & (gradients.steps <= high)).any():
        return None
    edges, values = binned(gradients, window)
    names = list(gradients.layers)
    plotted = CURVE + ROW * len(names) + 10
    heights = [CURVE, plotted - CURVE - 10]
    figure = make_subplots(2, 1, shared_xaxes=True, vertical_spacing=10 / plotted, row_heights=heights)
    if diagnosis.knn is not None:
        _knn(figure, diagnosis.knn, colour, window)
    start, end = norm_limits(values)
    digits = np.vectorize(lambda value: "" if np.isnan(value) else f"{value:.3g}")(values)
    add_heat_map(
        figure,
        np.log10(values),
        start,
        end,
        x=edges,
        y=list(range(len(names))),
        text=digits,
        customdata=np.array([[name] * values.shape[1] for name in names]),
        hovertemplate="%{customdata}, step %{x:.0f}<br>gradient norm <b>%{text}</b><extra></extra>",
        meta={"x": np.round(edges[1:]).tolist(), "drawn": "log10 of the norm"},
        row=2,
        col=1,
    )
    for dip in diagnosis.dips:
        after = dip.recovered if dip.recovered is not None else int(edges[-1])
        place = {"x0": dip.before, "x1": after, "y0": 0, "y1": 1, "xref": "x", "yref": "y domain"}
        figure.add_shape(type="rect", fillcolor=palette.rgba(colour, 0.18), line={"width": 0}, layer="below", **place)
    for spike in diagnosis.spikes:
        line = {"color": palette.GREY, "width": 1, "dash": "dot"}
        name = f"spike at step {spike.step}"
        figure.add_shape(
            type="line", x0=spike.step, x1=spike.step, y0=0, y1=1, xref="x", yref="paper", line=line, name=name
        )
    left, right = window or (0.0, float(max(edges[-1], diagnosis.knn.steps[-1] if diagnosis.knn is not None else 0)))
    figure.update_xaxes(range=[left, right], showgrid=False, zeroline=False)
    figure.update_xaxes(title="step", row=2, col=1)
    figure.update_yaxes(title="kNN, %", **VALUES, nticks=4, row=1, col=1)
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=names,
        range=[len(names) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
        tickfont={"size": 11},
        row=2,
        col=1,
    )
    margin = {"l": 84, "r": 10, "t": HEAD, "b": FOOT}
    figure.update_layout(height=plotted + HEAD + FOOT, margin=margin, hovermode="closest")
    return figure


def _knn(figure: go.Figure, knn: Series, colour: str, window: tuple[float, float] | None) -> None:
    low, high = window or (-np.inf, np.inf)
    inside = (knn.steps >= low) & (knn.steps <= high)  # beyond, readings would stretch the axis
    figure.add_scatter(
        x=knn.steps[inside],
        y=knn.values[inside],
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"size": 4},
        name="kNN",
        hovertemplate="step %{x}: <b>%{y:.1f} %</b><extra></extra>",
        row=1,
        col=1,
    )


def add_marks(
    figure: go.Figure,
    places: Sequence[tuple[float, float, str]],
    colour: str,
    symbol: str,
    window: tuple[float, float] | None,
) -> None:
    """Mark (step, value, hover text) in a figure of :func:`app.figures.lines.curves`."""
    low, high = window or (-np.inf, np.inf)
    places = [place for place in places if low <= place[0] <= high]
    if not places:
        return
    x, y, text = zip(*places, strict=True)
    figure.add_scatter(
        x=x,
        y=y,
        mode="markers",
        marker={"color": colour, "size": 11, "symbol": symbol, "line": {"color": palette.GREY, "width": 1}},
        text=text,
        hovertemplate="%{text}<extra></extra>",
        cliponaxis=False,
    )
