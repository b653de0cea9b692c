"""Curves: data -> plotly figure. Dots are in ``app.figures.dots``, matrices and maps in ``app.figures.matrices``."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from app.reading.curve import Curve
from workbench import palette

GRID = "rgba(139,146,154,.18)"
REFERENCE = {"color": palette.GREY, "width": 1.5, "dash": "dot"}
POINTS = 800  # of a curve; more cannot be seen


def smooth(values: np.ndarray, weight: float) -> np.ndarray:
    """Exponential moving average, unbiased at the start; ``weight`` in [0, 1) is what the past keeps."""
    result, mean, norm = np.empty(len(values)), 0.0, 0.0
    for index, value in enumerate(values):
        mean, norm = weight * mean + (1 - weight) * value, weight * norm + 1 - weight
        result[index] = mean / norm
    return result


def separate(places: Sequence[float], gap: float) -> list[float]:
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


def above_zero(lines: Sequence[Curve], zoom: tuple[float, float] | None = None) -> bool:
    """Whether a logarithmic axis has anything to show."""
    start, stop = zoom or (-np.inf, np.inf)
    return any((line.y[(line.x >= start) & (line.x <= stop)] > 0).any() for line in lines)


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
        labels: write the names; without, the hover tells.
        zoom: the part of the x axis that is shown; the y axis fits what is in it.
    """
    figure = go.Figure()
    log = log and above_zero(lines, zoom)
    start, stop = zoom or (-np.inf, np.inf)
    seen: list[float] = []
    ends: list[tuple[str, str, float, float]] = []
    for line in lines:
        smoothed = smooth(line.y, smoothing) if smoothing else line.y
        # One point beyond each edge, so that the line runs out of the picture.
        inside = np.flatnonzero((line.x >= start) & (line.x <= stop))
        if not len(inside):
            continue
        edges = np.clip([start, stop], line.x[0], line.x[-1])
        seen += [*line.y[inside], *smoothed[inside], *np.interp(edges, line.x, smoothed)]
        first, last = max(inside[0] - 1, 0), min(inside[-1] + 1, len(line.x) - 1)
        keep = np.linspace(first, last, min(POINTS, last - first + 1)).round().astype(int)
        end = inside[-1]
        hover = f"{line.label}: %{{y:.4~g}}<extra></extra>"
        style = {"mode": "lines", "showlegend": False, "name": line.label}
        if smoothing:
            faint = {"color": line.colour, "width": 1}
            raw = style | {"name": f"{line.label}, not smoothed"}
            figure.add_scatter(x=line.x[keep], y=line.y[keep], line=faint, opacity=0.25, hoverinfo="skip", **raw)
        figure.add_scatter(
            x=line.x[keep], y=smoothed[keep], line={"color": line.colour, "width": 2.2}, hovertemplate=hover, **style
        )
        figure.add_scatter(
            x=line.x[end : end + 1],
            y=smoothed[end : end + 1],
            mode="markers",
            marker={"color": line.colour, "size": 7},
            hoverinfo="skip",
            showlegend=False,
            cliponaxis=False,
        )
        ends.append((line.label, line.colour, float(line.x[end]), float(smoothed[end])))
    for name, value in (references or {}).items():
        figure.add_hline(y=value, line=REFERENCE, name=name)
        figure.add_annotation(
            x=0,
            xref="paper",
            y=np.log10(value) if log else value,
            text=name,
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            font={"color": palette.GREY, "size": 12},
        )
    shown = np.array([*seen, *(references or {}).values()])
    constant = len(shown) > 0 and np.ptp(shown) <= 1e-6 * np.abs(shown).max()
    log = log and not constant
    if labels and ends:
        place_labels(figure, ends, log, height)
    figure.update_layout(
        height=height,
        margin={"l": 62, "r": 130 if labels else 12, "t": 12, "b": 44},
        hovermode="x unified",
        selectdirection="h",
    )
    whole = max((float(line.x[-1]) for line in lines), default=1.0)
    figure.update_xaxes(title=x_title, gridcolor=GRID, zeroline=False, range=zoom or (0, whole * 1.005))
    figure.update_yaxes(
        title=y_title, type="log" if log else "linear", gridcolor=GRID, zeroline=False, nticks=7, tickformat=".4~g"
    )
    if log and len(shown):
        decades = np.ptp(np.log10(shown[shown > 0]))
        figure.update_yaxes(dtick=max(1, round(decades / 4)) if decades > 1.5 else "D2")
    if constant:  # no axis of rounding errors
        margin = 0.1 * abs(shown[0]) or 1.0
        figure.update_yaxes(range=[shown[0] - margin, shown[0] + margin], tickformat=".3~g")
    elif zoom and len(shown):
        values = np.log10(shown[shown > 0]) if log else shown
        margin = 0.05 * np.ptp(values)
        figure.update_yaxes(range=[values.min() - margin, values.max() + margin])
    return figure


def place_labels(figure: go.Figure, ends: Sequence[tuple[str, str, float, float]], log: bool, height: int) -> None:
    """Names to the right of the plot, at the height of their curves' ends, moved apart where they would overlap."""
    values = np.concatenate([trace.y for trace in figure.data])  # pyright: ignore[reportAttributeAccessIssue]
    if log:
        values, ends = np.log10(values[values > 0]), [(*end[:3], float(np.log10(end[3]))) for end in ends if end[3] > 0]
    span = float(np.ptp(values)) * 1.1 if len(values) else 1.0
    apart = separate([end[3] for end in ends], (span or 1.0) * 17 / (height - 56))
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
