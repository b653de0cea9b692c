"""Curves: data -> plotly figure. Dots are in ``app.intervals``, matrices and maps in ``app.maps``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from app import look

GRID = "rgba(139,146,154,.18)"
REFERENCE = {"color": look.GREY, "width": 1.5, "dash": "dot"}
POINTS = 800  # of a curve; more cannot be seen


@dataclass(frozen=True)
class Curve:
    """A quantity over training: ``x`` and ``y`` (n,)."""

    label: str
    colour: str
    x: np.ndarray
    y: np.ndarray


def smooth(values: np.ndarray, weight: float) -> np.ndarray:
    """Exponential moving average, unbiased at the start; ``weight`` in [0, 1) is what the past keeps."""
    result, mean, norm = np.empty(len(values)), 0.0, 0.0
    for index, value in enumerate(values):
        mean, norm = weight * mean + (1 - weight) * value, weight * norm + 1 - weight
        result[index] = mean / norm
    return result


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Move labels apart until neighbours are ``gap`` away, as little as possible and in the same order."""
    order = np.argsort(places, kind="stable")
    moved = np.asarray(places, float)[order]
    for _ in range(60):
        close = np.flatnonzero(np.diff(moved) < gap * 0.999)
        if not len(close):
            break
        for i in close:
            push = (gap - (moved[i + 1] - moved[i])) / 2
            moved[i], moved[i + 1] = moved[i] - push, moved[i + 1] + push
    result = np.empty(len(moved))
    result[order] = moved
    return result.tolist()


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
) -> go.Figure:
    """Curves with their names at their ends.

    Args:
        references: horizontal grey lines by name.
        smoothing: weight of :func:`smooth`; the raw curve stays behind, faint.
        labels: write the names; without, the hover tells.
    """
    figure = go.Figure()
    ends: list[tuple[str, str, float, float]] = []
    for line in lines:
        keep = np.linspace(0, len(line.x) - 1, min(POINTS, len(line.x))).round().astype(int)
        hover = f"{line.label}: %{{y:.4~g}}<extra></extra>"
        style = {"mode": "lines", "showlegend": False, "name": line.label}
        smoothed = smooth(line.y, smoothing) if smoothing else line.y
        if smoothing:
            faint = {"color": line.colour, "width": 1}
            figure.add_scatter(x=line.x[keep], y=line.y[keep], line=faint, opacity=0.25, hoverinfo="skip", **style)
        figure.add_scatter(
            x=line.x[keep], y=smoothed[keep], line={"color": line.colour, "width": 2.2}, hovertemplate=hover, **style
        )
        figure.add_scatter(
            x=line.x[-1:],
            y=smoothed[-1:],
            mode="markers",
            marker={"color": line.colour, "size": 7},
            hoverinfo="skip",
            showlegend=False,
            cliponaxis=False,
        )
        ends.append((line.label, line.colour, float(line.x[-1]), float(smoothed[-1])))
    for name, value in (references or {}).items():
        figure.add_hline(y=value, line=REFERENCE)
        figure.add_annotation(
            x=0,
            xref="paper",
            y=np.log10(value) if log else value,
            text=name,
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            font={"color": look.GREY, "size": 12},
        )
    if labels and ends:
        place_labels(figure, ends, log, height)
    x_end = max((end[2] for end in ends), default=1.0)
    figure.update_layout(
        height=height,
        margin={"l": 62, "r": 130 if labels else 12, "t": 12, "b": 44},
        hovermode="x unified",
        uirevision=x_title,
    )
    figure.update_xaxes(title=x_title, gridcolor=GRID, zeroline=False, range=[0, x_end * 1.005])
    figure.update_yaxes(
        title=y_title, type="log" if log else "linear", gridcolor=GRID, zeroline=False, nticks=7, tickformat=".4~g"
    )
    shown = np.concatenate([line.y for line in lines]) if lines else np.zeros(0)
    if len(shown) and np.ptp(shown) <= 1e-6 * np.abs(shown).max():  # a constant: no axis of rounding errors
        figure.update_yaxes(
            range=[shown[0] - 0.1 * abs(shown[0]), shown[0] + 0.1 * abs(shown[0])], type="linear", tickformat=".3~g"
        )
    return figure


def place_labels(figure: go.Figure, ends: Sequence[tuple[str, str, float, float]], log: bool, height: int) -> None:
    """Names to the right of the plot, at the height of their curves' ends, moved apart where they would overlap."""
    values = np.concatenate([trace.y for trace in figure.data])  # pyright: ignore[reportAttributeAccessIssue]
    if log:
        values, ends = np.log10(values[values > 0]), [(*end[:3], float(np.log10(end[3]))) for end in ends if end[3] > 0]
    span = float(np.ptp(values)) * 1.1 if len(values) else 1.0
    apart = spread([end[3] for end in ends], (span or 1.0) * 17 / (height - 56))
    for (label, colour, _, _), place in zip(ends, apart, strict=True):
        figure.add_annotation(
            x=1,
            xref="paper",
            xshift=6,
            y=place,
            text=label,
            showarrow=False,
            xanchor="left",
            font={"color": colour, "size": 13},
        )
