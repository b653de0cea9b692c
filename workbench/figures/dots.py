"""Dots with their intervals on a common axis: a row per model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from workbench.figures.drawing import Drawing, tip
from workbench.figures.style import FAINT, INK, MUTED, NOTE, PAPER, TEXT, Sheet, text_width, widest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 21.0  # height of a row
NAME_ROW = 11.0  # of a baseline's name, above the rows
DASHES = (0, (4, 3))


@dataclass(frozen=True)
class Dot:
    """A number in a row, from 0 on downwards, and its interval if both ends are finite.

    Attributes:
        outer: ends of a wider interval, drawn thin around the other.
        note: written beside it.
        tip: told where the mouse rests.
        marker: ``o`` or ``s``.
    """

    row: float
    value: float
    low: float | None = None
    high: float | None = None
    colour: str = INK
    hollow: bool = False
    note: str = ""
    tip: str = ""
    marker: str = "o"
    outer: tuple[float, ...] = ()

    @property
    def ends(self) -> tuple[float, ...]:
        ends = tuple(end for end in (self.low, self.high) if end is not None and math.isfinite(end))
        return ends if len(ends) == 2 else ()


@dataclass(frozen=True)
class Baseline:
    """A dashed line across all rows, which reaches up to its name if that is not empty."""

    value: float
    colour: str
    tip: str
    name: str = ""


def offsets(n: int) -> list[float]:
    """Distances from the middle of a row, in rows, at which ``n`` dots do not hide one another."""
    return [(index - (n - 1) / 2) * (0.37 if n < 3 else 0.7 / (n - 1)) for index in range(n)]


def plot(
    sheet: Sheet,
    left: float,
    top: float,
    width: float,
    rows: int,
    dots: Sequence[Dot],
    baselines: Sequence[Baseline] = (),
    *,
    least: float = 0.0,
    zero: bool = False,
) -> "Axes":
    """Draw dots on an axis with round ticks.

    Args:
        least: what the axis spans at least, so that small differences look small.
        zero: let the axis reach zero, and draw a line there.
    """
    axes = sheet.axes(left, top, width, ROW * rows)
    values = [value for dot in dots for value in (dot.value, *dot.ends, *dot.outer)] + [
        line.value for line in baselines
    ]
    ticks = round_ticks([*values, 0.0] if zero else values, least)
    axes.set(xlim=(ticks[0], ticks[-1]), ylim=(rows - 0.5, -0.5))
    axes.set_xticks(ticks, [f"{round(tick, 9):g}".replace("-", "\N{MINUS SIGN}") for tick in ticks])
    axes.hlines(range(rows), ticks[0], ticks[-1], FAINT, linewidth=0.8, zorder=0)
    if zero:
        axes.axvline(0, color=MUTED, linewidth=1, zorder=0)
    named = [line for line in baselines if line.name]
    for line in baselines:
        above = NAME_ROW * (len(named) - named.index(line)) if line.name else 0.0
        reach, look = 1 + above / (ROW * rows), {"color": line.colour, "linewidth": 1, "linestyle": DASHES}
        tip(axes.axvline(line.value, 0, reach, clip_on=False, **look), line.tip)
        right = line.value < (ticks[0] + ticks[-1]) / 2
        axes.annotate(
            line.name, (line.value, -0.5), (3 if right else -3, above - NOTE), textcoords="offset points",
            ha="left" if right else "right", size=NOTE, color=line.colour, bbox=_paper(),
        )  # fmt: skip
    for dot in dots:
        for ends, thickness in ((dot.outer, 0.8), (dot.ends, 1.8)):
            if ends:
                axes.plot(ends, [dot.row] * 2, color=dot.colour, linewidth=thickness, clip_on=False)
        face, size = (PAPER, 4.5) if dot.hollow else (dot.colour, 6)
        (mark,) = axes.plot(
            dot.value, dot.row, dot.marker, markersize=size, color=dot.colour, markerfacecolor=face, clip_on=False
        )  # fmt: skip
        tip(mark, dot.tip)
        if dot.note:
            _beside(axes, dot, width)
    return axes


def round_ticks(values: Sequence[float], least: float = 0.0) -> list[float]:
    """Round numbers at equal distances, the first below and the last above all values."""
    from matplotlib.ticker import MaxNLocator

    low, high = (min(values), max(values)) if values else (0.0, 100.0)
    beyond = max(0.0, ((least or 1e-9 * max(abs(low), 1.0)) - high + low) / 2)
    return [float(tick) for tick in MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low - beyond, high + beyond)]


def _beside(axes: "Axes", dot: Dot, width: float) -> None:
    """A dot's note: right of it and its interval, or left where there is no room."""
    low, high = axes.get_xlim()
    ends = (dot.value, *dot.ends, *dot.outer)
    right = (high - max(ends)) / (high - low) * width > text_width(dot.note, NOTE) + 8
    axes.annotate(
        dot.note, (max(ends) if right else min(ends), dot.row), (7 if right else -7, 0), textcoords="offset points",
        ha="left" if right else "right", va="center_baseline", size=NOTE, color=MUTED, bbox=_paper(),
    )  # fmt: skip


def _paper() -> dict[str, object]:
    """A ground for text that lines run through."""
    return {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8}


@dataclass(frozen=True)
class Dots(Drawing):
    """A dot with its interval per row: a label on the left, the number on the right.

    Attributes:
        title: of the axis, which reaches zero.
        dots: one a row, whose notes stand on the right.
    """

    title: str
    labels: Sequence[str]
    dots: Sequence[Dot]
    width: float = 500.0

    def heading(self) -> str:
        return self.title

    def draw(self, sheet: Sheet) -> None:
        left, right = widest(self.labels) + 12, widest([dot.note for dot in self.dots]) + 14
        width = max(170.0, self.width - left - right)
        bare = [replace(dot, note="") for dot in self.dots]  # the notes stand on the right
        plot(sheet, left, 0, width, len(self.labels), bare, zero=True)
        for row, label in enumerate(self.labels):
            sheet.text(left - 12, ROW * (row + 0.5) + TEXT / 3, label, align="right")
        for dot in self.dots:
            sheet.text(left + width + 14, ROW * (dot.row + 0.5) + TEXT / 3, dot.note)
        sheet.text(left + width / 2, ROW * len(self.labels) + 30, self.title, align="center", color=MUTED)
