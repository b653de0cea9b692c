"""How figures look, and the sheet on which their parts are placed. Lengths are in points (1/72 inch)."""

import textwrap
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from workbench import palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, FAINT, PAPER = palette.INK[0], "#5c6670", "#e4e7ea", palette.GROUND[0]
TITLE, TEXT, NOTE = 12.0, 9.0, 8.0  # sizes of letters
LINE = 11.0  # from one line of notes to the next
FONT = "DejaVu Sans"  # comes with matplotlib, and is wider than what a browser takes in its place
SETTINGS: dict[Any, Any] = {
    "font.family": FONT,
    "font.size": TEXT,
    "text.color": INK,
    "text.parse_math": False,  # a run's name may hold dollars
    "axes.edgecolor": MUTED,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": NOTE,
    "ytick.labelsize": NOTE,
    "lines.solid_capstyle": "butt",
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.15,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "workbench",  # the same file from the same numbers
    "pdf.fonttype": 42,  # TrueType, which editors can change
    "pgf.texsystem": "pdflatex",
    "pgf.rcfonts": False,  # the font of the document
    "pgf.preamble": r"\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}",
}
_lock = threading.RLock()


@contextmanager
def style() -> Iterator[None]:
    """matplotlib with our settings and nobody else's, for one thread at a time: its settings are global."""
    import matplotlib

    with _lock, matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # SVG has the letter all the same
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


class Sheet:
    """A matplotlib figure, as large as its parts, which are placed in points from its top left corner."""

    def __init__(self) -> None:
        from matplotlib.figure import Figure

        self.figure = Figure(figsize=(1, 1), dpi=72)

    def axes(self, left: float, top: float, width: float, height: float) -> "Axes":
        """Axes with nothing but a transparent ground and the line at the bottom."""
        axes = self.figure.add_axes((left / 72, -(top + height) / 72, width / 72, height / 72))
        axes.patch.set_visible(False)
        axes.set_yticks([])
        return axes

    def text(self, x: float, y: float, words: str, *, align: str = "left", **more: Any) -> None:
        """One line of text on the baseline ``y``; ``align`` is left, center or right."""
        self.figure.text(x / 72, -y / 72, words, ha=align, **more)

    def dot(self, x: float, y: float, colour: str) -> None:
        """A dot of a legend."""
        from matplotlib.lines import Line2D

        self.figure.add_artist(Line2D([x / 72], [-y / 72], marker="o", markersize=5.5, color=colour))

    def lines(self, x: float, y: float, lines: Sequence[str], **more: Any) -> float:
        """Lines of text below one another, in small letters; returns the baseline that would be next."""
        for line in lines:
            self.text(x, y, line, **({"size": NOTE, "color": MUTED} | more))
            y += LINE
        return y


@lru_cache(8192)
def text_width(words: str, size: float = TEXT, bold: bool = False) -> float:
    """How wide a line of text is."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=FONT, size=size, weight="bold" if bold else "normal")
    return text_to_path.get_text_width_height_descent(words, font, ismath=False)[0]


def widest(lines: Sequence[str], size: float = TEXT, bold: bool = False) -> float:
    """The width of the widest of several lines of text."""
    return max((text_width(line, size, bold) for line in lines), default=0.0)


def wrap(words: str, width: float, size: float = NOTE) -> list[str]:
    """Text in lines of at most this width; only a word that is longer is broken."""
    for columns in range(max(int(width / size / 0.4), 1), 0, -1):
        if widest(lines := textwrap.wrap(words, columns), size) <= width:
            return lines
    return list(words)


def light_or_dark(colour: Sequence[float]) -> str:
    """The ink that is read on a colour (red, green, blue from 0 to 1)."""
    return palette.text_on("#" + "".join(f"{round(255 * part):02x}" for part in colour))
