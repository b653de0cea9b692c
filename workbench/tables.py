"""Tables in print: on a terminal the least important columns give way, elsewhere every row is one whole line."""

import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

GAP = 2
LEAST = 24
"""Characters that a column of words is given before another column is left out."""
BREAKS = re.compile(r"(?<=\s)(?=\S)|(?<=\w\w[-_/])(?=\w\w)")
"""Where a line may end: between words, and within names and paths after a hyphen, an underscore or a slash."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        cells: a text for each row.
        rank: 0 for a column that is always printed; of the others the highest rank is left out first.
        right: aligned to the right, as numbers are.
        words: a cell may go on in the next line, between two words.
        short: narrower texts of the cells, which come before any column is left out.
        short_note: what the narrower texts are, such as "ids by their last four characters".
    """

    heading: str
    cells: Sequence[str]
    rank: int = 0
    right: bool = False
    words: bool = False
    short: Sequence[str] | None = None
    short_note: str = ""

    @property
    def width(self) -> int:
        """Characters of the widest cell."""
        return max(map(cell_len, (self.heading, *self.cells)))

    @property
    def unbroken(self) -> int:
        """Characters that the column needs so that no word is cut."""
        parts = (part.rstrip() for cell in self.cells for part in BREAKS.split(cell))
        return max(map(cell_len, (self.heading, *parts))) if self.words else self.width

    @property
    def least(self) -> int:
        """Characters that the column is given before another one is left out."""
        return max(self.unbroken, min(self.width, LEAST))


@dataclass(frozen=True)
class Layout:
    """A table of some width: its columns with their widths, the headings left out, and what was shortened.

    Attributes:
        empty: rows left out, since they have values in no other columns than those left out.
    """

    columns: tuple[Column, ...]
    widths: tuple[int, ...]
    left_out: tuple[str, ...] = ()
    shortened: tuple[str, ...] = ()
    empty: tuple[int, ...] = ()

    @property
    def note(self) -> str:
        """A sentence about what is missing, or nothing."""
        parts = [f"Left out: {', '.join(self.left_out)}"] if self.left_out else []
        if self.empty:
            parts.append(f"rows with values only there: {', '.join(self.columns[0].cells[row] for row in self.empty)}")
        parts += self.shortened
        text = "; ".join(parts)
        return f"{text[0].upper()}{text[1:]}; --wide shows all." if text else ""

    def lines(self) -> list[tuple[int | None, str]]:
        """The lines of the table, each with its row; the headings' row is None."""
        headings = self._joined([column.heading for column in self.columns])
        lines: list[tuple[int | None, str]] = [(None, headings)]
        for row in (row for row in range(len(self.columns[0].cells)) if row not in self.empty):
            cells = [
                wrapped(column.cells[row], width) if column.words else [column.cells[row]]
                for column, width in zip(self.columns, self.widths, strict=True)
            ]
            for number in range(max(map(len, cells))):
                lines.append((row, self._joined([cell[number] if number < len(cell) else "" for cell in cells])))
        return lines

    def _joined(self, cells: Sequence[str]) -> str:
        padded = []
        for column, width, cell in zip(self.columns, self.widths, cells, strict=True):
            space = " " * (width - cell_len(cell))
            padded.append(space + cell if column.right else cell + space)
        return (" " * GAP).join(padded).rstrip()


def layout(columns: Sequence[Column], width: int | None = None) -> Layout:
    """Fit a table into ``width`` characters, or into as many as it needs.

    In this order: cells take their short texts, words go on in a further line, columns are left out by rank. No word is
    cut: where the columns of rank 0 alone are too wide, so is the table. Rows that have values only in columns that are
    left out are left out, too.
    """
    whole = [column.width for column in columns]
    if width is None or _total(whole) <= width:
        return Layout(tuple(columns), tuple(whole))
    notes = tuple(column.short_note for column in columns if column.short is not None)
    shown = [column if column.short is None else replace(column, cells=column.short) for column in columns]
    left_out: list[Column] = []
    while _total([column.least for column in shown]) > width and any(column.rank for column in shown):
        left_out.append(max(shown, key=lambda column: column.rank))
        shown.remove(left_out[-1])
    least = [column.least for column in shown]
    if _total(least) > width:
        least = [column.unbroken for column in shown]
    spare = max(width - _total(least), 0)
    widths = []
    for column, narrow in zip(shown, least, strict=True):
        more = min(column.width - narrow, spare) if column.words else 0
        spare -= more
        widths.append(narrow + more)
    headings = tuple(column.heading for column in columns if column not in shown and column in left_out)
    empty = [
        row
        for row in range(len(columns[0].cells))
        if any(column.cells[row] for column in left_out) and not any(column.cells[row] for column in shown[1:])
    ]
    return Layout(tuple(shown), tuple(widths), headings, notes, tuple(empty) if len(shown) > 1 else ())


def wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most ``width`` characters, unless one of its words is longer."""
    lines, line = [], ""
    for part in BREAKS.split(text):
        if line and cell_len(line + part.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += part
    return [*lines, line.rstrip()]


def on_terminal() -> bool:
    """Whether standard output is a terminal, and so has a width."""
    return sys.stdout.isatty()


def output() -> Console:
    """Standard output; a terminal's lines end between words, elsewhere a line ends where its text does."""
    return Console(highlight=False, markup=False, soft_wrap=not on_terminal())


def print_table(columns: Sequence[Column], wide: bool = False, dim: Collection[int] = ()) -> None:
    """Print a table, and below it what a narrow terminal leaves out; in a pipe, or with ``wide``, nothing is.

    Args:
        dim: rows in a weaker colour.
    """
    console = output()
    table = layout(columns, console.width if on_terminal() and not wide else None)
    for row, line in table.lines():
        style = "bold" if row is None else "dim" if row in dim else ""
        console.print(Text(line, style), soft_wrap=True)
    if table.note:
        console.print(table.note, style="dim")


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)
