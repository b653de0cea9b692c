"""Accuracy over the layers of a network and the ways in which they are read: rows of an evaluation -> plotly figure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from app.figures import matrices
from workbench.format import finite_number, format_interval

Row = dict[str, Any]
UNTRAINED, PIXELS = "untrained", "pixels"
ROW_HEIGHT, HEAD = 34, 28  # px
GAP = 0.25  # of a column
RING = (("#16191c", 6), ("#ffffff", 2.5))  # dark around bright, to be seen on every colour and theme


class LayerGrid(NamedTuple):
    """The cells of one run's map.

    Attributes:
        rows: its layers' names, the image first where pixels were probed.
        columns: the ways in which layers are read, what is not trained last.
        cells: the evaluation's row by (layer, column).
    """

    rows: list[str]
    columns: list[str]
    cells: dict[tuple[str, str], Row]


def layer_grid(trained: Sequence[Row], untrained: Sequence[Row], pixels: Row | None) -> LayerGrid:
    """A run's rows of one width as a map: layers down, noise levels or other readings across.

    Args:
        trained: of the run, in order through the network.
        untrained: of its untrained network; the best reading of each layer is shown.
        pixels: of the raw pixels, if they were probed.
    """
    tokens = any(row.get("reading") == "class token" for row in trained)
    cells = {(str(row["layer"]), _column(row, tokens)): row for row in trained}
    columns = sorted({column for _, column in cells}, key=_place)
    rows = list(dict.fromkeys(layer for layer, _ in cells))
    for layer in rows:
        found = [row for row in untrained if row["layer"] == layer]
        if found:
            cells[layer, UNTRAINED] = max(found, key=validation)
    if pixels is not None:
        rows = [PIXELS, *rows]
        cells[PIXELS, UNTRAINED] = pixels
    return LayerGrid(rows, [*columns, UNTRAINED], cells)


def _column(row: Row, tokens: bool) -> str:
    level = finite_number(row.get("t"))
    if level is not None:
        return f"t = {level:.0f}"
    return "class token" if row.get("reading") == "class token" else "patches" if tokens else "trained"


def _place(column: str) -> tuple[int, str]:
    return (int(column[4:]), "") if column.startswith("t = ") else (-1, column)


def validation(row: Row) -> float:
    """What the best cell is chosen by; accuracy on the test images chooses nothing."""
    found = finite_number(row.get("validation"))
    return -1.0 if found is None else found


def best_row(rows: Sequence[Row]) -> Row | None:
    """The row that does best on the validation images, the first among equals."""
    return max(rows, key=validation, default=None)


def layer_map(shown: LayerGrid, ringed: Row | None, low: float, high: float) -> go.Figure:
    """Layers down, readings across, accuracy as colour and in print; beside a gap what is not trained.

    Args:
        ringed: the row whose cell gets a ring.
        low, high: what the ends of the colour scale mean; the same for all models.
    """
    columns = [*shown.columns[:-1], "", shown.columns[-1]]  # the empty one is the gap
    edges = np.cumsum([0.0, *(1.0 if column else GAP for column in columns)])
    values = np.full((len(shown.rows), len(columns)), np.nan)
    told, low_ends, high_ends = (np.full(values.shape, blank, dtype=object) for blank in ("", None, None))
    for (layer, column), row in shown.cells.items():
        place = shown.rows.index(layer), columns.index(column)
        values[place], told[place] = row["value"], _told(row, row is ringed)
        low_ends[place], high_ends[place] = finite_number(row.get("low")), finite_number(row.get("high"))
    names = [name.replace("_", " ") for name in shown.rows]
    height = ROW_HEIGHT * len(names) + HEAD + 10
    figure = matrices.heat_map(
        values, rows=names, columns=columns, low=low, high=high, decimals=0, square=False, height=height
    )
    meta = {"x title": "reading", "y title": "layer", "x": columns}
    meta |= {"low": low_ends.tolist(), "high": high_ends.tolist()}
    figure.update_traces(x=edges, text=told, hovertemplate="%{text}<extra></extra>", meta=meta)
    named = [index for index, column in enumerate(columns) if column]
    figure.update_xaxes(
        side="top",
        range=[0, edges[-1]],
        fixedrange=True,  # the ring would not follow
        tickvals=[(edges[index] + edges[index + 1]) / 2 for index in named],
        ticktext=[columns[index] for index in named],
        tickangle=0,
        automargin=False,
    )
    figure.update_yaxes(tickfont={"size": 13}, fixedrange=True)
    figure.update_layout(margin={"t": HEAD})
    for (layer, column), row in shown.cells.items():
        if row is ringed:
            index, down = columns.index(column), shown.rows.index(layer)
            left, right = edges[index : index + 2] / edges[-1]
            _ring(figure, left, right, 1 - down / len(names), 1 - (down + 1) / len(names))
    return figure


def _ring(figure: go.Figure, left: float, right: float, top: float, bottom: float) -> None:
    """Around a cell, given in parts of the axes: only there is a shape not cut off at the plot's edge."""
    for colour, width in RING:
        line = {"color": colour, "width": width}
        place = {"xref": "x domain", "yref": "y domain", "x0": left, "x1": right, "y0": top, "y1": bottom}
        figure.add_shape(type="rect", line=line, **place)


def _told(row: Row, best: bool) -> str:
    interval = format_interval(row["value"], finite_number(row.get("low")), finite_number(row.get("high")))
    dim, width = finite_number(row.get("dim")), row.get("width")
    size = (
        "" if dim is None else f"{dim:.0f} dimensions" + (f", reduced to {width}" if width not in ("full", dim) else "")
    )
    chosen = "<br>best on the validation images" * best
    return f"<b>{row.get('space')}</b><br>{interval} %<br>{size}{chosen}"
