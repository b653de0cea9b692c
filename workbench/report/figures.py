"""Figures as SVG text, for print: dots with intervals, a heat map, a strip of images. Text takes the page's ink."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

from workbench.figures.viridis import viridis

# Okabe and Ito 2008, as in the app.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7", "#A89F00", "#5c6670")
GREY = "#8b929a"
WIDTH = 900
LETTER = 7.6  # width of a letter at 13 px


@dataclass(frozen=True)
class Dot:
    """A line of :func:`dots`; ``low`` and ``high`` may be NaN."""

    label: str
    value: float
    low: float
    high: float
    colour: str
    text: str
    hollow: bool = False


def colour_of(group: int | None) -> str:
    """The colour of a group by its index; grey for what belongs to none."""
    return GREY if group is None else COLOURS[group % len(COLOURS)]


def dots(lines: Sequence[Dot], title: str, zero: bool = False) -> str:
    """A dot with its interval per line, and what it says on the right.

    Args:
        title: of the axis.
        zero: draw a line at zero, as differences want it.
    """
    left = min(420.0, 20 + LETTER * max(len(line.label) for line in lines))
    right = WIDTH - 20 - LETTER * max(len(line.text) for line in lines)
    ends = [end for line in lines for end in (line.value, line.low, line.high) if np.isfinite(end)]
    low, high = min([*ends, 0.0]), max([*ends, 0.0])
    low, high = low - 0.03 * (high - low) * (low < 0), high + 0.03 * (high - low) or 1.0
    ticks = _ticks(low, high)

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    height = 30 * len(lines) + 52
    parts = []
    for tick in ticks:
        strong = 'stroke-width="1.5"' if zero and tick == 0 else 'stroke-opacity=".3"'
        parts.append(
            f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="4" y2="{height - 44}" stroke="{GREY}" {strong}/>'
        )
        parts.append(_text(x(tick), height - 28, f"{tick:g}", "middle", GREY))
    parts.append(_text((left + right) / 2, height - 8, title, "middle", GREY))
    for index, line in enumerate(lines):
        y = 18 + 30 * index
        parts.append(_text(left - 14, y + 4.5, line.label, "end"))
        if np.isfinite(line.low) and np.isfinite(line.high):
            bar = f'<line x1="{x(line.low):.1f}" x2="{x(line.high):.1f}" y1="{y}" y2="{y}"'
            parts.append(f'{bar} stroke="{line.colour}" stroke-width="3"/>')
        fill = "var(--page, #fff)" if line.hollow else line.colour
        dot = f'<circle cx="{x(line.value):.1f}" cy="{y}" r="6" fill="{fill}" stroke="{line.colour}" stroke-width="2"/>'
        parts += [dot, _text(right + 14, y + 4.5, line.text, "start")]
    return _svg(parts, height)


def heat_map(values: np.ndarray, text: Sequence[Sequence[str]], rows: Sequence[str], columns: Sequence[str]) -> str:
    """Cells (rows, columns) in viridis from 0 to 1, grey where NaN, with their text; the columns' names are above."""
    left = 24 + LETTER * max(len(row) for row in rows)
    wide = min(150.0, (WIDTH - left - 10) / len(columns))
    lines = [_wrapped(column, int(wide / LETTER)) for column in columns]
    top = 12 + 15 * max(map(len, lines))
    parts = []
    for j, words in enumerate(lines):
        for k, word in enumerate(words):
            parts.append(_text(left + (j + 0.5) * wide, top - 8 - 15 * (len(words) - 1 - k), word, "middle"))
    for i, row in enumerate(rows):
        y = top + 34 * i
        parts.append(_text(left - 12, y + 21, row, "end"))
        for j in range(len(columns)):
            value = values[i, j]
            known = bool(np.isfinite(value))
            fill = viridis(value) if known else "none"
            ink = "#16191c" if known and value > 0.55 else "#fff" if known else GREY
            box = f'<rect x="{left + j * wide + 1:.1f}" y="{y + 1}" width="{wide - 2:.1f}" height="32" fill="{fill}"/>'
            parts += [box, _text(left + (j + 0.5) * wide, y + 21, text[i][j], "middle", ink)]
    return _svg(parts, top + 34 * len(rows) + 8)


def strip(rows: Mapping[str, np.ndarray], side: int = 60) -> str:
    """Images uint8 (n, H, W, C) by name, a row each; the same column is the same image."""
    left = 24 + LETTER * min(26, max(map(len, rows)))
    most = max(1, int((WIDTH - left) // (side + 4)))
    parts = []
    for index, (name, images) in enumerate(rows.items()):
        y = 4 + index * (side + 6)
        parts.append(_text(left - 12, y + side / 2 + 4, name[:26], "end"))
        for column, image in enumerate(images[:most]):
            place = f'x="{left + column * (side + 4):.0f}" y="{y}" width="{side}" height="{side}"'
            parts.append(f'<image {place} href="{uri(image)}" style="image-rendering:pixelated"/>')
    return _svg(parts, len(rows) * (side + 6) + 4)


def uri(image: np.ndarray) -> str:
    """A uint8 image (H, W, C) with 1 or 3 channels as a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers between ``low`` and ``high``."""
    raw = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(raw))
    step = float(power * next(factor for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999))
    return [round(step * k, 10) + 0.0 for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def _wrapped(text: str, most: int) -> list[str]:
    """Words in lines of at most ``most`` letters; a longer word is cut."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= most:
            lines[-1] += f" {word}"
        else:
            lines.append(word if len(word) <= most else word[: max(1, most - 1)] + "\N{HORIZONTAL ELLIPSIS}")
    return lines or [""]


def _text(x: float, y: float, text: str, anchor: str, fill: str = "currentColor") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{escape(text)}</text>'


def _svg(parts: Sequence[str], height: float) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" font-size="13"'
    return f'{head} font-family="system-ui, sans-serif" role="img">{"".join(parts)}</svg>'
