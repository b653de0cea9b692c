"""Curves over a model's noise levels, with intervals: data -> plotly figure."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from app.figures.lines import GRID, place_labels
from app.reading.curve import Curve
from workbench import palette


def shaded(colour: str) -> str:
    """A ``#rrggbb`` colour, faint."""
    return "rgba({}, {}, {}, .18)".format(*(int(colour[at : at + 2], 16) for at in (1, 3, 5)))


def level_curves(
    lines: Sequence[Curve],
    x_title: str,
    y_title: str,
    *,
    log: bool = False,
    height: int = 340,
) -> go.Figure:
    """Lines with their names at their right ends and their intervals as bands.

    Args:
        log: a logarithmic y axis.
    """
    figure, ends = go.Figure(), []
    for line in lines:
        if line.low is not None and line.high is not None:
            figure.add_scatter(
                x=[*line.x, *line.x[::-1]],
                y=[*line.high, *line.low[::-1]],
                fill="toself",
                fillcolor=shaded(line.colour),
                line={"width": 0},
                mode="lines",
                hoverinfo="skip",
                showlegend=False,
                name=f"{line.label}, interval",
            )
        figure.add_scatter(
            x=line.x,
            y=line.y,
            mode="lines",
            line={"color": line.colour, "width": 1.5 if line.dash == "dot" else 2.4, "dash": line.dash},
            name=line.label,
            showlegend=False,
            hovertemplate=f"{line.label}: %{{y:.3~g}}<extra></extra>",
        )
        last = int(np.argmax(line.x))
        ends.append((line.label, line.colour, float(line.x[last]), float(line.y[last])))
    place_labels(figure, ends, log, height)
    right = min(240, max(150, 7 * max((len(line.label) for line in lines), default=0) + 18))  # px, for the names
    figure.update_layout(height=height, margin={"l": 62, "r": right, "t": 12, "b": 44}, hovermode="x unified")
    figure.update_xaxes(title=x_title, gridcolor=GRID, zeroline=False, nticks=9)
    figure.update_yaxes(title=y_title, type="log" if log else "linear", gridcolor=GRID, zeroline=False)
    figure.update_yaxes(tickformat=".3~g")
    if log:
        values = np.concatenate([line.y for line in lines])
        decades = np.ptp(np.log10(values[values > 0]))
        if decades > 0.7:  # below, plotly's own ticks are as in a linear axis
            figure.update_yaxes(dtick=max(1, round(decades / 5)) if decades > 1.5 else "D2")
    return figure


def reference_curve(label: str, x: np.ndarray, y: np.ndarray) -> Curve:
    """What stands beside the models, in grey."""
    return Curve(label, palette.GREY, x, y, dash="dot")
