"""The figure of a study of augmentations: a heat map as SVG, from what ``composition.json`` holds."""

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

from workbench.figures import svg
from workbench.figures.viridis import viridis

WIDTH, HEIGHT = 82, 52  # of a cell in pixels
LEFT, TOP, GAP = 118, 96, 10
NARROWEST = 640


def heat_map(record: Mapping[str, Any]) -> str:
    """A square of cells with its row and column means, the baselines and the protocol beneath.

    Args:
        record: with ``transformations``, ``rows``, ``means``, ``protocol``, ``n``, ``seeds``, ``method``, ``data``;
            cells that are not there yet stay empty.
    """
    names = list(record["transformations"])
    cells = {(row["first"], row["second"] or row["first"]): row for row in record["rows"] if row["model"] == "run"}
    values = [row["value"] for row in cells.values()]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    parts = []
    for y, first in enumerate(names):
        parts.append(svg.text(LEFT - 12, _top(y) + HEIGHT / 2 + 5, first, anchor="end"))
        parts.append(svg.text(_left(y) + WIDTH / 2, TOP - 12, first))
        for x, second in enumerate(names):
            if (row := cells.get((first, second))) is not None:
                parts.append(_cell(_left(x), _top(y), row, low, high))
            else:
                parts.append(f'<rect x="{_left(x)}" y="{_top(y)}" width="{WIDTH}" height="{HEIGHT}" fill="#eee"/>')
    last = len(names)
    for row in record["means"]:
        x, y = (last, names.index(row["first"])) if "first" in row else (names.index(row["second"]), last)
        parts.append(_cell(_left(x) + GAP * (x == last), _top(y) + GAP * (y == last), row, low, high))
    parts.append(svg.text(_left(last) + GAP + WIDTH / 2, TOP - 12, "mean"))
    parts.append(svg.text(LEFT - 12, _top(last) + GAP + HEIGHT / 2 + 5, "mean", anchor="end"))
    middle = LEFT + WIDTH * last / 2
    parts.append(svg.text(middle, TOP - 36, "second transformation", size=13, colour="#666"))
    across = f'transform="rotate(-90 20 {TOP + HEIGHT * last / 2})"'
    parts.append(svg.text(20, TOP + HEIGHT * last / 2, "first transformation", size=13, colour="#666", more=across))
    title = f"Linear probe of {record['method']} on {record['data']}, top-1 %, by the transformations of one view"
    parts.append(svg.text(20, 30, title, anchor="start", size=16))
    width = max(_left(last + 1) + GAP + 24, NARROWEST)
    y = _top(last + 1) + GAP + 30
    for line in _notes(record, (width - 40) // 6):
        parts.append(svg.text(20, y, line, anchor="start", size=12, colour="#444"))
        y += 18
    return svg.document(width, y, title, parts)


def _left(x: int) -> int:
    return LEFT + x * WIDTH


def _top(y: int) -> int:
    return TOP + y * HEIGHT


def _notes(record: Mapping[str, Any], columns: int) -> list[str]:
    """The baselines, and how all was measured, as lines."""
    baselines = [
        f"{row['model']} {row['value']:.1f} % [{row['low']:.1f}, {row['high']:.1f}]"
        for row in record["rows"]
        if row["model"] != "run"
    ]
    seeds = ", ".join(str(seed) for seed in record["seeds"])
    told = f"On the diagonal one transformation alone. {record['protocol']} n = {record['n']:,}, seed {seeds}."
    return [*wrap(f"For comparison: {', '.join(baselines)}." if baselines else "", columns), *wrap(told, columns)]


def _cell(x: float, y: float, row: Mapping[str, Any], low: float, high: float) -> str:
    share = (row["value"] - low) / (high - low) if high > low else 0.5
    fill = viridis(share)
    red, green, blue = bytes.fromhex(fill[1:])
    ink = "#000" if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else "#fff"
    box = f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" fill="{fill}"/>'
    interval = f"{row['low']:.1f} to {row['high']:.1f}"
    value = svg.text(x + WIDTH / 2, y + 24, f"{row['value']:.1f}", size=16, colour=ink)
    return box + value + svg.text(x + WIDTH / 2, y + 41, interval, size=10, colour=ink)
