"""Colours, numbers and style that every page shares."""

import math
import re
import time
from datetime import UTC, datetime

# Okabe and Ito 2008; black gives way to the theme's ink, see ``run_colours``.
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7", "#F0E442")
# Tol's "muted" scheme for classes, so that a class is never taken for a run; indigo is lighter, to be seen on dark.
CLASS_COLOURS = ("#CC6677", "#5F56BD", "#DDCC77", "#117733", "#88CCEE", "#882255", "#44AA99", "#999933", "#AA4499")
CLASS_SYMBOLS = {"circle": "\N{BLACK CIRCLE}", "diamond": "\N{BLACK DIAMOND}", "cross": "\N{HEAVY GREEK CROSS}"}
GREY = "#8b929a"
MAGNITUDE = "viridis"
CIRCULAR = "Phase"
STATUS = {
    "running": "blue",
    "finished": "green",
    "interrupted": "orange",
    "stalled": "orange",
    "failed": "red",
    "unreadable": "gray",
}

CSS = """<style>
.stMainBlockContainer {padding-top: 4.2rem; padding-bottom: 4rem; max-width: 1680px;}
.wb-note {color: #8b929a; font-size: .82rem; line-height: 1.45; margin: -.35rem 0 .6rem 0;}
.wb-name {display: flex; align-items: center; gap: .45rem; font-weight: 600; font-size: .95rem;
  white-space: nowrap; overflow: hidden; text-overflow: ellipsis;}
.wb-name small {font-weight: 400; color: #8b929a; font-size: .82rem;}
.wb-dot {display: inline-block; width: .68rem; height: .68rem; border-radius: 50%; flex: none;}
.wb-ramp {display: flex; align-items: center; gap: .5rem; color: #8b929a; font-size: .82rem; margin: .1rem 0 .3rem;}
.wb-ramp i {display: inline-block; width: 150px; height: 9px; border-radius: 2px;}
.wb-sheet {overflow-x: auto; padding-bottom: .4rem;}
.wb-grid {display: grid; gap: 4px 6px; align-items: start; width: max-content; max-width: 100%;}
.wb-grid figure {margin: 0; text-align: center;}
.wb-grid figcaption {color: #8b929a; font-size: .74rem; line-height: 1.25; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere;}
.wb-grid img, .wb-strip img {display: block; border-radius: 2px;}
.wb-grid img {width: 100%; height: auto;}
.st-key-chips button {border-radius: 99px; min-height: 1.9rem; padding: .05rem .7rem;}
.st-key-chips [class*="st-key-chip_"]:not(.st-key-chip_images) button::before {content: "";
  width: .62rem; height: .62rem; border-radius: 50%; flex: none; margin-right: .45rem;}
.wb-px {image-rendering: pixelated;}
.wb-row {position: sticky; left: 0; z-index: 1; width: 150px; padding: .25rem .5rem .25rem 0;
  font-size: .86rem; font-weight: 600; line-height: 1.25; background: var(--st-background-color); align-self:
  stretch; overflow-wrap: anywhere;}
.wb-row small {display: block; font-weight: 400; color: #8b929a; font-size: .78rem;}
.wb-gap {grid-column: 1 / -1; height: 8px;}
.wb-strip {display: flex; flex-wrap: wrap; gap: 8px;}
.wb-strip figure {margin: 0; font-size: .76rem; color: #8b929a; text-align: center;}
.wb-table {border-collapse: collapse; font-size: .88rem; width: 100%;}
.wb-table th {text-align: left; font-weight: 600; padding: .4rem .9rem .4rem 0; white-space: nowrap;
  border-bottom: 1px solid rgba(139,146,154,.45);}
.wb-table td {padding: .32rem .9rem .32rem 0; border-bottom: 1px solid rgba(139,146,154,.2);
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere;}
.wb-table td:first-child {color: #8b929a; font-size: .82rem;
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;}
.wb-table mark {background: rgba(230,159,0,.22); color: inherit; padding: .1rem .35rem; border-radius: 4px;}
.wb-none {color: #8b929a;}
.wb-cell {text-align: center; align-self: center; font-size: .8rem; overflow-wrap: anywhere;}
.wb-cell mark {background: rgba(213,94,0,.2); color: inherit; padding: .08rem .3rem; border-radius: 4px;}
</style>"""


def literal(text: str) -> str:
    """A text as Streamlit's Markdown shows it letter by letter: names of runs may hold links, images or colours."""
    text = re.sub(r"([\\`*_\[\]$~|]|[<:&](?=[\w/!#]))", r"\\\1", text)
    return re.sub(r"^(\s*\d*)([-+#>.)])", r"\1\\\2", text)  # what begins a list, a heading or a quotation


def run_colours(dark: bool) -> tuple[str, ...]:
    """The eight colours that runs can have."""
    return (*OKABE_ITO, "#e8eaed" if dark else "#1c2024")


def class_style(index: int) -> tuple[str, str]:
    """Colour and symbol of a class; 27 classes can be told apart."""
    symbols = list(CLASS_SYMBOLS)
    return CLASS_COLOURS[index % len(CLASS_COLOURS)], symbols[index // len(CLASS_COLOURS) % len(symbols)]


def decimals(half_width: float) -> int:
    """Digits after the point that an interval of this half-width carries."""
    return 1 if not 0 < half_width < math.inf else min(4, max(0, -math.floor(math.log10(half_width))))


def quantity(value: float, low: float | None = None, high: float | None = None, digits: int = 1) -> str:
    """A number with as many digits as its interval carries, and the interval: ``71 (69-73)``, ``-3 (-5 to -1)``."""
    if low is None or high is None or high <= low:
        return f"{value:.{digits}f}"
    places = decimals((high - low) / 2)
    to = "\N{EN DASH}" if low >= 0 else " to "
    return f"{value:.{places}f} ({low:.{places}f}{to}{high:.{places}f})"


def count(value: float | None) -> str:
    """A count with three figures: 950, 12.3k, 2.81M."""
    if value is None:
        return ""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def duration(seconds: float | None) -> str:
    """A duration to two units: 42 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def age(created: object) -> float | None:
    """Seconds since an ISO 8601 time, or None where it is none."""
    try:
        then = datetime.fromisoformat(str(created))
    except ValueError:
        return None
    return time.time() - (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp()


def ago(seconds: float | None) -> str:
    """An age in its largest unit."""
    if seconds is None:
        return ""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return "just now"
