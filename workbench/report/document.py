"""What a report is made of, whatever format it is written in."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.figures.drawing import Drawing


@dataclass(frozen=True)
class Heading:
    text: str


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; ``small`` ones say how numbers came about."""

    text: str
    small: bool = False


@dataclass(frozen=True)
class Points:
    """A list of sentences, each with whether it is to stand out."""

    items: Sequence[tuple[str, bool]]


@dataclass(frozen=True)
class Table:
    """Rows of printed cells under headings.

    Attributes:
        words: how many of the first columns hold words, which are aligned to the left; numbers are to the right.
        grey: indices of rows that are baselines.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    grey: Sequence[int] = ()
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A drawing, which formats without figures leave out; ``name`` is that of its file."""

    name: str
    drawing: Drawing
    caption: str


@dataclass(frozen=True)
class Code:
    """Text to be typed or kept; ``title`` folds it away where a format can."""

    text: str
    title: str = ""


Block = Heading | Paragraph | Points | Table | Figure | Code


@dataclass(frozen=True)
class Document:
    """A report: its title, one line below, and its blocks in order."""

    title: str
    subtitle: str
    blocks: Sequence[Block] = ()
