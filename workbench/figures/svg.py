"""Parts of figures as SVG: text, axes, dots with intervals, and the document around them."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

STYLE = "font-family: system-ui, sans-serif; font-variant-numeric: tabular-nums"
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito
LETTER = 6.1  # px, about, of text of size 12


def document(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """A whole figure on white."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" style="{STYLE}">\n<title>{escape(title)}</title>\n'
        '<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def with_seeds(cells: Sequence[str], costs: Sequence[Mapping[str, Any]], seeds: int) -> dict[str, str]:
    """What to call each cell of a sweep: where some of its ``seeds`` runs are missing, their number is told.

    Args:
        costs: of ``sweep.json``, a row for each run.
    """
    found = Counter(row["cell"] for row in costs)
    fewer = {cell: f" ({found[cell]} of {seeds} seeds)" for cell in cells if 0 < found[cell] < seeds}
    return {cell: cell + fewer.get(cell, "") for cell in cells}


def text(
    x: float, y: float, words: str, *, anchor: str = "middle", size: int = 14, colour: str = "#111", more: str = ""
) -> str:
    """Words at a place; ``anchor`` is start, middle or end."""
    place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}" fill="{colour}" {more}'.rstrip()
    return f"<text {place}>{escape(words)}</text>"


def scale(values: Sequence[float], narrowest: float) -> tuple[float, float, list[float]]:
    """Ends of an axis around values, and its ticks at round numbers.

    Args:
        narrowest: that it shows at least, so that small differences look small.
    """
    if not values:
        return 0.0, 100.0, [0.0, 50.0, 100.0]
    beyond = max(0.0, (narrowest - max(values) + min(values)) / 2)
    values = [min(values) - beyond, max(values) + beyond]
    rough = (values[1] - values[0]) / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first, last = math.floor(min(values) / step), math.ceil(max(values) / step)
    return first * step, last * step, [step * index for index in range(first, last + 1)]


def at(value: float, low: float, high: float, left: float, width: float) -> float:
    """Where a value stands on an axis from ``left`` on."""
    return left + width * (value - low) / (high - low)


def axis(left: float, bottom: float, width: float, low: float, high: float, ticks: Sequence[float]) -> list[str]:
    """A horizontal axis with its ticks."""
    parts = [f'<line x1="{left}" x2="{left + width}" y1="{bottom}" y2="{bottom}" stroke="#999"/>']
    for tick in ticks:
        x = at(tick, low, high, left, width)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 5}" stroke="#999"/>')
        parts.append(text(x, bottom + 19, f"{round(tick, 9):g}", size=11, colour="#666"))
    return parts


def dot(x: float, y: float, colour: str, tip: str, *, filled: bool, ends: Sequence[float] = ()) -> list[str]:
    """A mark, its interval's ends if there are any, and what is told of it where the mouse rests."""
    parts = []
    if ends:
        first, last = ends
        parts.append(f'<line x1="{first:.1f}" x2="{last:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>')
    fill, radius = (colour, 4.5) if filled else ("#fff", 3.5)
    mark = f'<circle cx="{x:.1f}" cy="{y}" r="{radius}" fill="{fill}" stroke="{colour}">'
    return [*parts, f"{mark}<title>{escape(tip)}</title></circle>"]


def spread(n: int) -> list[float]:
    """Vertical distances from the middle of a row at which ``n`` marks do not hide one another."""
    return [(index - (n - 1) / 2) * (11 if n < 3 else 21 / (n - 1)) for index in range(n)]
