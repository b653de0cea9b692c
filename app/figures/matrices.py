"""Matrices as heat maps: data -> plotly figure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from app.figures import image_grid, style
from workbench import palette
from workbench.format import decimals

BRIGHT = 0.46  # share of the colour scale above which black text is easier to read than white


def thin(size: int, most: int) -> np.ndarray:
    """At most ``most`` evenly spaced indices below ``size``: thinning keeps a diagonal bright, averaging would not."""
    return np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(int))


def blocks(labels: Sequence[str]) -> tuple[list[float], list[str], list[float]]:
    """Runs of equal labels in a sorted list: their centres, their names, and the borders between them."""
    starts = [0] + [index for index in range(1, len(labels)) if labels[index] != labels[index - 1]]
    ends = [*starts[1:], len(labels)]
    centres = [(start + end - 1) / 2 for start, end in zip(starts, ends, strict=True)]
    return centres, [labels[start] for start in starts], [start - 0.5 for start in starts[1:]]


def add_heat_map(figure: go.Figure, values: np.ndarray, low: float, high: float, **trace: Any) -> None:
    """Draw a matrix (rows, columns) in the colours of magnitudes, its text, if any, in a colour that can be read.

    Args:
        low, high: what the ends of the colour scale mean; the same for figures that are compared.
        trace: plotly's options of a heat map; ``texttemplate`` prints a text in every cell.
    """
    values = np.asarray(values, np.float32)
    look = {"zmin": low, "zmax": high, "colorscale": palette.MAGNITUDE, "showscale": False, "hoverongaps": False}
    if "texttemplate" not in trace:
        figure.add_heatmap(z=values, **look, **trace)
        return
    bright = values > low + BRIGHT * (high - low)
    # Two layers, because a heat map's text has one colour: white on dark cells, black on bright ones.
    for cells, ink in ((~bright, "#ffffff"), (bright, "#000000")):
        text = {"text": np.where(cells, np.array(trace["text"]), "")} if "text" in trace else {}
        font = {"size": 12, "color": ink}
        figure.add_heatmap(z=np.where(cells, values, np.nan), textfont=font, **(look | trace | text))


def heat_map(
    values: np.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    low: float,
    high: float,
    decimals: int | None = None,
    x_title: str = "",
    y_title: str = "",
    unit: str = "",
    height: int = 380,
    square: bool = True,
    text: Sequence[Sequence[str]] | None = None,
) -> go.Figure:
    """A matrix (rows, columns) with its first row on top and named rows and columns.

    Args:
        low, high: what the ends of the colour scale mean; the same for figures that are compared.
        decimals: digits after the point of the values printed in the cells; nothing is printed without.
        text: printed instead of the values.
    """
    printed = {"texttemplate": f"%{{z:.{decimals}f}}"} if decimals is not None else {}
    printed = {"text": text, "texttemplate": "%{text}"} if text is not None else printed
    figure = go.Figure()
    add_heat_map(
        figure,
        values,
        low,
        high,
        x=list(range(len(columns))),
        y=list(range(len(rows))),
        xgap=1,
        ygap=1,
        customdata=np.array([[f"{row} → {column}" for column in columns] for row in rows]),
        hovertemplate=f"%{{customdata}}<br><b>%{{z:.3~g}}</b>{unit}<extra></extra>",
        meta={"x": list(columns), "y": list(rows)},
        **printed,
    )
    across, down = ([style.shorten(name) for name in names] for names in (columns, rows))
    figure.update_xaxes(tickvals=list(range(len(columns))), ticktext=across, title=style.shorten(x_title, 40))
    figure.update_yaxes(tickvals=list(range(len(rows))), ticktext=down, title=style.shorten(y_title, 34))
    _arrange(figure, height, square)
    if not square:
        style.need_width(figure, 7 * max(map(len, down)) + 38 * len(columns) + 60)
        if max(map(len, across)) > 14:
            figure.update_xaxes(tickangle=-90)
    return figure


def _arrange(figure: go.Figure, height: int, square: bool) -> None:
    """The first row on top, without grid and ticks; cells as wide as high where the matrix is ``square``."""
    figure.update_xaxes(showgrid=False, zeroline=False, ticks="")
    figure.update_yaxes(showgrid=False, zeroline=False, ticks="", autorange="reversed")
    if square:
        figure.update_xaxes(constrain="domain", constraintoward="left")
        figure.update_yaxes(scaleanchor="x", constrain="domain", constraintoward="top")
    figure.update_layout(height=height, margin={"l": 10, "r": 10, "t": 8, "b": 10})


def similarity_map(
    matrix: np.ndarray,
    labels: Sequence[str],
    *,
    low: float,
    high: float,
    names: Sequence[str] = (),
    height: int = 440,
    most: int = 320,
) -> go.Figure:
    """Cosine of every image's view A (down) with every image's view B (across), sorted by class.

    Args:
        matrix: (n, n); larger ones than ``most`` are thinned.
        labels: class of each image, sorted; or none.
        names: of the images, for the saved data; by default their rows.
    """
    rows = thin(len(matrix), most)
    images = [str(names[index] if names else index) for index in rows]
    figure = go.Figure()
    hover = "view A of %{y}, view B of %{x}<br><b>%{z:.2f}</b><extra></extra>"
    meta = {"x": images, "y": images}
    add_heat_map(figure, matrix[np.ix_(rows, rows)], low, high, meta=meta, hovertemplate=hover)
    axis: dict[str, Any] = {}
    if labels:
        centres, ticks, _ = blocks([str(labels[index]) for index in rows])
        axis = {"tickvals": centres, "ticktext": ticks} if len(ticks) <= 16 else {"showticklabels": False}
    figure.update_xaxes(title="view B", **axis)
    figure.update_yaxes(title="view A", **axis)
    _arrange(figure, height, square=True)
    return figure


def image_map(
    matrix: np.ndarray, images: np.ndarray | None, *, names: Sequence[str], low: float, high: float, height: int = 440
) -> go.Figure:
    """A few rows and columns of a similarity matrix with printed values, their images along both edges.

    Args:
        matrix: (n, n), small.
        images: uint8 (n, H, W, C), or None.
        names: of the images, for the hover and the saved data.
    """
    n = len(matrix)
    digits = decimals((high - low) / 20)
    figure = heat_map(matrix, rows=names, columns=names, low=low, high=high, decimals=digits, height=height)
    figure.update_traces(
        hovertemplate="%{customdata}<br><b>%{z:.3f}</b><extra></extra>",
        textfont={"size": 11 if digits < 3 else 9},
        meta={"x title": "view B", "y title": "view A"},
    )
    figure.update_xaxes(showticklabels=False)
    figure.update_yaxes(showticklabels=False)
    if images is not None:
        for index, image in enumerate(images):
            place = {"source": image_grid.sharp_uri(image), "xref": "x", "yref": "y", "sizex": 0.92, "sizey": 0.92}
            place |= {"xanchor": "center", "yanchor": "middle", "layer": "above"}
            figure.add_layout_image(x=-1.05, y=index, **place)
            figure.add_layout_image(x=index, y=-1.05, **place)
        figure.update_xaxes(range=[-1.6, n - 0.5])
        figure.update_yaxes(range=[n - 0.5, -1.6], autorange=False)
    return figure


def fade(figure: go.Figure, faded: np.ndarray) -> None:
    """Cover the cells (rows, columns) of a :func:`heat_map` in translucent grey where ``faded`` is true."""
    for row, column in zip(*np.nonzero(faded), strict=True):
        corners = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
        figure.add_shape(type="rect", fillcolor=palette.rgba(palette.GREY, 0.5), line={"width": 0}, **corners)
