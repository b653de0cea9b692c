"""Curves over a model's noise levels, with intervals: data -> plotly figure."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from app.figures import style
from app.reading.curve import Curve
from workbench import palette


def level_curves(
    curves: Sequence[Curve], x_title: str, y_title: str, *, log: bool = False, height: int = 340
) -> go.Figure:
    """Curves with their names at their right ends and their intervals as bands.

    Args:
        log: a logarithmic y axis.
    """
    figure, ends = go.Figure(), []
    for curve in curves:
        if curve.low is not None and curve.high is not None:
            style.add_band(figure, curve.x, curve.low, curve.high, curve.colour, name=f"{curve.label}, interval")
        figure.add_scatter(
            x=curve.x,
            y=curve.y,
            mode="lines",
            line={"color": curve.colour, "width": 1.5 if curve.dash == "dot" else 2.4, "dash": curve.dash},
            name=curve.label,
            hovertemplate=f"{curve.label}: %{{y:.3~g}}<extra></extra>",
        )
        ends.append((curve.label, curve.colour, float(curve.y[np.argmax(curve.x)])))
    style.add_curve_labels(figure, ends, log, height)
    right = 150  # px, for the names
    style.need_width(figure, 420)
    figure.update_layout(height=height, margin={"l": 62, "r": right, "t": 12, "b": 44}, hovermode="x unified")
    figure.update_xaxes(title=x_title, **style.VALUES, nticks=9)
    figure.update_yaxes(title=y_title, type="log" if log else "linear", **style.VALUES, tickformat=".3~g")
    if log:
        style.space_decades(figure, np.concatenate([curve.y for curve in curves]), 5)
    return figure


def reference_curve(label: str, x: np.ndarray, y: np.ndarray) -> Curve:
    """A grey curve beside those of the models."""
    return Curve(label, palette.GREY, x, y, dash="dot")
