"""Matrices and maps: data -> plotly figure. Lines and dots are in ``app.figures.lines`` and ``app.figures.dots``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from app.figures import image_grid
from workbench import palette
from workbench.format import decimals

BRIGHT = 0.55  # where on the colour scale black text is read more easily than white


def thin(size: int, most: int) -> np.ndarray:
    """At most ``most`` evenly spaced indices below ``size``: thinning keeps a diagonal bright, averaging would not."""
    return np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(int))


def blocks(labels: Sequence[str]) -> tuple[list[float], list[str], list[float]]:
    """Runs of equal labels in a sorted list: their centres, their names, and the borders between them."""
    starts = [0] + [index for index in range(1, len(labels)) if labels[index] != labels[index - 1]]
    ends = [*starts[1:], len(labels)]
    centres = [(start + end - 1) / 2 for start, end in zip(starts, ends, strict=True)]
    return centres, [labels[start] for start in starts], [start - 0.5 for start in starts[1:]]


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
        decimals: print the values in the cells with so many.
        text: print these instead.
    """
    printed = {"texttemplate": f"%{{z:.{decimals}f}}"} if decimals is not None else {}
    printed = {"text": text, "texttemplate": "%{text}"} if text is not None else printed
    values = np.asarray(values, np.float32)
    bright = values > low + BRIGHT * (high - low)
    figure = go.Figure()
    # Two layers, because a heat map's text has one colour: white on dark cells, black on bright ones.
    for shown, ink in ((~bright, "#ffffff"), (bright, "#16191c")):
        figure.add_heatmap(
            z=np.where(shown, values, np.nan),
            x=list(range(len(columns))),
            y=list(range(len(rows))),
            zmin=low,
            zmax=high,
            colorscale=palette.MAGNITUDE,
            showscale=False,
            xgap=1,
            ygap=1,
            textfont={"size": 12, "color": ink},
            hoverongaps=False,
            customdata=np.array([[f"{row} → {column}" for column in columns] for row in rows]),
            hovertemplate=f"%{{customdata}}<br><b>%{{z:.3~g}}</b>{unit}<extra></extra>",
            **(printed | ({"text": np.where(shown, np.array(text), "")} if text is not None else {})),
        )
    figure.update_xaxes(
        tickvals=list(range(len(columns))),
        ticktext=list(columns),
        title=x_title,
        showgrid=False,
        zeroline=False,
        ticks="",
    )
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=list(rows),
        title=y_title,
        autorange="reversed",
        showgrid=False,
        zeroline=False,
    )
    if square:
        figure.update_xaxes(constrain="domain", constraintoward="left")
        figure.update_yaxes(scaleanchor="x", constrain="domain", constraintoward="top")
    figure.update_layout(height=height, margin={"l": 10, "r": 10, "t": 8, "b": 10})
    return figure


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
    keep = thin(len(matrix), most)
    classes = [str(labels[index]) for index in keep] if labels else []
    called = [str(names[index] if names else index) for index in keep]
    figure = go.Figure(
        go.Heatmap(
            z=np.asarray(matrix[np.ix_(keep, keep)], np.float32),
            zmin=low,
            zmax=high,
            colorscale=palette.MAGNITUDE,
            showscale=False,
            meta={"x": called, "y": called},
            hovertemplate="view A of %{y}, view B of %{x}<br><b>%{z:.2f}</b><extra></extra>",
        )
    )
    axis: dict[str, Any] = {"showgrid": False, "zeroline": False, "ticks": ""}
    if classes:
        centres, ticks, _ = blocks(classes)
        axis |= {"tickvals": centres, "ticktext": ticks} if len(ticks) <= 16 else {"showticklabels": False}
    figure.update_xaxes(title="view B", constrain="domain", constraintoward="left", **axis)
    figure.update_yaxes(
        title="view A", autorange="reversed", scaleanchor="x", constrain="domain", constraintoward="top", **axis
    )
    figure.update_layout(height=height, margin={"l": 10, "r": 10, "t": 8, "b": 10})
    return figure


def image_map(
    matrix: np.ndarray,
    images: np.ndarray | None,
    *,
    names: Sequence[str],
    low: float,
    high: float,
    height: int = 440,
) -> go.Figure:
    """A few rows and columns of a similarity matrix with printed values, their images along both edges.

    Args:
        matrix: (n, n), small.
        images: uint8 (n, H, W, C), or None.
        names: of the images; the hover and the saved data tell them.
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
        # Enlarged here because a browser would blur the pixels of an SVG image.
        enlarged = [np.kron(image, np.ones((3, 3, 1), np.uint8)) for image in images]
        for index, image in enumerate(enlarged):
            shared = {"source": image_grid.uri(image), "xref": "x", "yref": "y", "sizex": 0.92, "sizey": 0.92}
            shared |= {"xanchor": "center", "yanchor": "middle", "layer": "above"}
            figure.add_layout_image(x=-1.05, y=index, **shared)
            figure.add_layout_image(x=index, y=-1.05, **shared)
        figure.update_xaxes(range=[-1.6, n - 0.5])
        figure.update_yaxes(range=[n - 0.5, -1.6], autorange=False)
    return figure


def fade(figure: go.Figure, faded: np.ndarray) -> None:
    """Veil the cells (rows, columns) of a :func:`heat_map` where ``faded`` is true, so that they stand back quietly."""
    for row, column in zip(*np.nonzero(faded), strict=True):
        corners = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
        figure.add_shape(type="rect", fillcolor="rgba(139,146,154,.5)", line={"width": 0}, **corners)
