"""What figures share: grid, reference lines, intervals, bands, and names beside curves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from workbench import palette

GRID = palette.rgba(palette.GREY, 0.18)
REFERENCE = {"color": palette.GREY, "width": 1.5, "dash": "dot"}
VALUES = {"gridcolor": GRID, "zeroline": False}  # an axis of numbers
LABEL_HEIGHT = 17  # px

Ends = Sequence[float | None] | np.ndarray
"""Ends of intervals (n,), None where they are not known."""


def coloured(label: str, colour: str | None) -> str:
    """A label behind a dot in its model's colour, as HTML; the text is in ink, for contrast."""
    return f'<span style="color:{colour}">●</span> {label}' if colour and colour != palette.GREY else label


def shorten(label: str, most: int = 26) -> str:
    """A label of at most ``most`` characters: its beginning and its end, which tells seeds apart; the whole stands in
    the hover."""
    if "<br>" in label:
        return "<br>".join(shorten(part, most) for part in label.split("<br>"))
    if len(label) <= most:
        return label
    end = most * 2 // 5
    return f"{label[: most - end - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}{label[-end:].lstrip()}"


def need_width(figure: go.Figure, pixels: int) -> None:
    """Where the page is narrower than a figure needs, the figure scrolls sideways; see ``page.chart``."""
    figure.update_layout(meta={"width": pixels})


def write_in_ink(figure: go.Figure, dark: bool) -> None:
    """Write axes and annotations that have no colour yet in the theme's ink; Streamlit's grey has a contrast of 3.7."""
    ink = palette.INK[dark]
    figure.update_layout(font_color=ink)
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(tickfont_color=ink, title_font_color=ink)
    figure.for_each_annotation(lambda text: text.update(font_color=text.font.color or ink))


def error_bars(
    colour: str,
    values: Sequence[float] | np.ndarray,
    low: Ends,
    high: Ends,
    *,
    thickness: float = 2.5,
    width: float = 0,
) -> dict[str, Any]:
    """Plotly's error bars from ``low`` to ``high`` (n,) about ``values`` (n,); none where an end is None."""
    above = [None if end is None else end - value for value, end in zip(values, high, strict=True)]
    below = [None if end is None else value - end for value, end in zip(values, low, strict=True)]
    bars = {"type": "data", "symmetric": False, "array": above, "arrayminus": below}
    return bars | {"color": colour, "thickness": thickness, "width": width}


def add_band(figure: go.Figure, x: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, **trace: Any) -> None:
    """Shade the interval from ``low`` to ``high`` (n,) along ``x`` (n,)."""
    figure.add_scatter(
        x=[*x, *x[::-1]],
        y=[*high, *low[::-1]],
        fill="toself",
        fillcolor=palette.rgba(colour, 0.18),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        **trace,
    )


def add_text(figure: go.Figure, x: float, y: float, text: str, size: int = 13, **where: Any) -> None:
    """A text at a point, in the theme's ink; ``where``: plotly's anchors, shifts and axes."""
    figure.add_annotation(x=x, y=y, text=text, showarrow=False, font={"size": size}, **where)


def add_reference(figure: go.Figure, name: str, value: float, label: str, log: bool = False) -> None:
    """A dotted horizontal line with its label at the left end, above the line."""
    figure.add_hline(y=value, line=REFERENCE, name=name)
    height = np.log10(value) if log else value
    add_text(figure, 0, height, label, 12, xref="paper", xanchor="left", yanchor="bottom")


def name_rows(figure: go.Figure, names: Sequence[str], low: float, high: float, **axis: Any) -> None:
    """Name the rows of a figure, the first on top at height n - 1, the last at 0; the axis runs from ``low`` to
    ``n + high``."""
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=list(names)[::-1],
        showgrid=False,
        zeroline=False,
        range=[low, len(names) + high],
        **axis,
    )


def separate(places: Sequence[float], gap: float) -> list[float]:
    """Move labels apart until neighbours are ``gap`` away, as little as possible in squares and in the same order.

    Less the gaps below them, the places are the non-decreasing ones nearest to those wanted (pool adjacent violators).
    """
    order = np.argsort(places, kind="stable")
    blocks: list[tuple[float, int]] = []  # mean and size
    for rank, place in enumerate(np.asarray(places, float)[order]):
        mean, size = float(place) - rank * gap, 1
        while blocks and blocks[-1][0] > mean:
            before, count = blocks.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        blocks.append((mean, size))
    result = np.empty(len(order))
    result[order] = np.repeat([mean for mean, _ in blocks], [size for _, size in blocks]) + gap * np.arange(len(order))
    return result.tolist()


def add_end_labels(
    figure: go.Figure, ends: Sequence[tuple[str, str, float]], gap: float, shift: float = 6, most: int = 15
) -> None:
    """Write labels to the right of the plot at the height of their curves' ends, moved apart where they would overlap.

    Args:
        ends: label, colour and height of each; heights are log10 where the axis is logarithmic.
        gap: height of a label in the same units.
        shift: distance from the plot in pixels.
        most: characters of a label.
    """
    for (label, colour, _), place in zip(ends, separate([end[2] for end in ends], gap), strict=True):
        add_text(figure, 1, place, coloured(shorten(label, most), colour), xref="paper", xshift=shift, xanchor="left")


def add_curve_labels(figure: go.Figure, ends: Sequence[tuple[str, str, float]], log: bool, height: int) -> None:
    """:func:`add_end_labels` with heights as they are, on an axis that fits the curves drawn so far."""
    values = np.concatenate([trace.y for trace in figure.data])  # pyright: ignore[reportAttributeAccessIssue]
    if log:
        values = np.log10(values[values > 0])
        ends = [(label, colour, float(np.log10(y))) for label, colour, y in ends if y > 0]
    span = float(np.ptp(values)) * 1.1 if len(values) else 1.0
    add_end_labels(figure, ends, (span or 1.0) * LABEL_HEIGHT / (height - 56))


def space_decades(figure: go.Figure, values: np.ndarray, most: int) -> None:
    """Ticks of a logarithmic y axis: at most about ``most`` powers of ten, or 1, 2 and 5 where there are few."""
    decades = np.ptp(np.log10(values[values > 0]))
    if decades > 0.7:  # below, plotly's own ticks are as on a linear axis
        figure.update_yaxes(dtick=max(1, round(decades / most)) if decades > 1.5 else "D2")
