"""Accuracy by layer of a network and by reading of the layer: rows of an evaluation -> plotly figure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from app.figures import matrices
from app.reading import files
from workbench.format import finite_number

Row = dict[str, Any]
UNTRAINED, PIXELS = "untrained", "pixels"
ROW_HEIGHT, HEAD = 34, 28  # px
GAP = 0.25  # of a column
RING = (("#16191c", 6), ("#ffffff", 2.5))  # dark around bright, visible on every colour and theme


class LayerGrid(NamedTuple):
    """The cells of one run's map.

    Attributes:
        rows: its layers' names, the image first where pixels were probed.
        columns: the readings of a layer, the untrained network last.
        cells: the evaluation's row by (layer, column).
    """

    rows: list[str]
    columns: list[str]
    cells: dict[tuple[str, str], Row]


def layer_grid(trained: Sequence[Row], untrained: Sequence[Row], pixels: Row | None) -> LayerGrid:
    """A run's rows of one width as a map: layers down, noise levels or other readings across.

    Args:
        trained: of the run, in order through the network.
        untrained: of its untrained network; the best reading of each layer is grid.
        pixels: of the raw pixels, if they were probed.
    """
    tokens = any(row.get("reading") == "class token" for row in trained)
    cells = {(str(row["layer"]), _column(row, tokens)): row for row in trained}
    columns = sorted({column for _, column in cells}, key=_place)
    rows = list(dict.fromkeys(layer for layer, _ in cells))
    for layer in rows:
        if readings := [row for row in untrained if row["layer"] == layer]:
            cells[layer, UNTRAINED] = max(readings, key=validation)
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
    """The accuracy on the validation images, by which the best cell is chosen; the test images select nothing."""
    accuracy = finite_number(row.get("validation"))
    return -1.0 if accuracy is None else accuracy


def best_row(rows: Sequence[Row]) -> Row | None:
    """The row with the best accuracy on the validation images, the first among equals."""
    return max(rows, key=validation, default=None)


def layer_map(grid: LayerGrid, ringed: Row | None, low: float, high: float) -> go.Figure:
    """Layers down, readings across, accuracy as colour and in print; the untrained network stands beyond a gap.

    Args:
        ringed: the row whose cell gets a ring.
        low, high: what the ends of the colour scale mean; the same for all models.
    """
    columns = [*grid.columns[:-1], "", grid.columns[-1]]  # the empty one is the gap
    edges = np.cumsum([0.0, *(1.0 if column else GAP for column in columns)])
    values = np.full((len(grid.rows), len(columns)), np.nan)
    text, low_ends, high_ends = (np.full(values.shape, blank, dtype=object) for blank in ("", None, None))
    for (layer, column), row in grid.cells.items():
        place = grid.rows.index(layer), columns.index(column)
        values[place], text[place] = row["value"], _hover_text(row, row is ringed)
        low_ends[place], high_ends[place] = files.bounds(row)
    names = [name.replace("_", " ") for name in grid.rows]
    height = ROW_HEIGHT * len(names) + HEAD + 10
    figure = matrices.heat_map(
        values, rows=names, columns=columns, low=low, high=high, decimals=0, square=False, height=height
    )
    meta = {"x title": "reading", "y title": "layer", "x": columns}
    meta |= {"low": low_ends.tolist(), "high": high_ends.tolist()}
    figure.update_traces(x=edges, text=text, hovertemplate="%{text}<extra></extra>", meta=meta)
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
    for (layer, column), row in grid.cells.items():
        if row is ringed:
            index, down = columns.index(column), grid.rows.index(layer)
            left, right = edges[index : index + 2] / edges[-1]
            _ring(figure, left, right, 1 - down / len(names), 1 - (down + 1) / len(names))
    return figure


def _ring(figure: go.Figure, left: float, right: float, top: float, bottom: float) -> None:
    """A ring around a cell, placed in shares of the axes: only such shapes are not cut off at the edge of the plot."""
    for colour, width in RING:
        line = {"color": colour, "width": width}
        place = {"xref": "x domain", "yref": "y domain", "x0": left, "x1": right, "y0": top, "y1": bottom}
        figure.add_shape(type="rect", line=line, **place)


def _hover_text(row: Row, best: bool) -> str:
    dim, width = finite_number(row.get("dim")), row.get("width")
    reduced = f", reduced to {width}" if width not in ("full", dim) else ""
    size = "" if dim is None else f"{dim:.0f} dimensions{reduced}"
    chosen = "<br>best on the validation images" * best
    return f"<b>{row.get('space')}</b><br>{files.format_row(row)} %<br>{size}{chosen}"
