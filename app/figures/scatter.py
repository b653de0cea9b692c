"""One quantity of runs against another: data -> plotly figure."""

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from app.figures.style import VALUES, error_bars
from app.reading.quantities import Value

HEIGHT = 520


@dataclass(frozen=True)
class ScatterPoint:
    """A run or group of seeds at its two values."""

    label: str
    colour: str
    x: Value
    y: Value


def scatter(points: Sequence[ScatterPoint], x_title: str, y_title: str, log_x: bool = False) -> go.Figure:
    """Points with their intervals; names on hover, and beside the points where there are few.

    Args:
        log_x: a logarithmic x axis, for numbers above zero.
    """
    figure = go.Figure()
    few = len(points) <= 12
    for point in points:
        low, high = ([getattr(value, end) for value in (point.x, point.y)] for end in ("low", "high"))
        bars = {
            f"error_{axis}": error_bars(point.colour, [value.value], [low[index]], [high[index]], thickness=1.5)
            for index, (axis, value) in enumerate((("x", point.x), ("y", point.y)))
            if isinstance(value.value, float | int)
        }
        figure.add_scatter(
            x=[point.x.value],
            y=[point.y.value],
            mode="markers+text" if few else "markers",
            text=[f"  {point.label}"] if few else None,
            textposition="middle right",
            marker={"size": 11, "color": point.colour},
            name=point.label,
            cliponaxis=False,
            hovertemplate=f"<b>{point.label}</b><br>{x_title}: {point.x}<br>{y_title}: {point.y}<extra></extra>",
            **bars,
        )
    words = any(isinstance(point.x.value, str) for point in points)
    figure.update_xaxes(title=x_title, type="category" if words else "log" if log_x else "linear", **VALUES)
    if not words:
        figure.update_xaxes(tickformat=".4~g")
    figure.update_yaxes(title=y_title, tickformat=".4~g", **VALUES)
    margin = {"l": 70, "r": 190 if few else 20, "t": 12, "b": 52}  # names stand at the right of their points
    figure.update_layout(height=HEIGHT, margin=margin, hovermode="closest")
    return figure
