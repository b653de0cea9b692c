"""Colours, numbers and style that every page shares."""

import re
import time
from datetime import UTC, datetime

from workbench import palette

CLASS_SYMBOLS = {"circle": "\N{BLACK CIRCLE}", "diamond": "\N{BLACK DIAMOND}", "cross": "\N{HEAVY GREEK CROSS}"}
STATUS = {
    "running": "blue",
    "finished": "green",
    "interrupted": "orange",
    "stalled": "orange",
    "failed": "red",
    "unreadable": "gray",
}

CSS = """<style>
.stApp {--wb-muted: color-mix(in srgb, currentColor 72%, transparent);}
.stMainBlockContainer {padding-top: 4.2rem; padding-bottom: 4rem; max-width: 1680px;}
.wb-note {color: var(--wb-muted); font-size: .82rem; line-height: 1.45; margin: -.35rem 0 .6rem 0;}
.wb-verdict {font-size: 1.28rem; line-height: 1.4; font-weight: 500; margin: 0 0 .4rem; max-width: 62rem;
  overflow-wrap: anywhere;}
.wb-protocol {color: var(--wb-muted); font-size: .82rem; line-height: 1.45; margin: -.35rem 0 .6rem 0;}
.wb-protocol summary {cursor: pointer; width: max-content;}
.wb-protocol div {margin: .15rem 0 .3rem; max-width: 62rem; overflow-wrap: anywhere;}
[role="tab"] {position: relative;}
[role="tablist"]:has([role="tab"]:is(:hover, :focus-visible)) {overflow: visible !important;}
[role="tab"]::before {position: absolute; top: 100%; left: 0; z-index: 9; width: max-content; max-width: 19rem;
  white-space: normal; text-align: left; padding: .35rem .6rem; border-radius: 6px; font-size: .82rem; line-height: 1.4;
  background: var(--st-secondary-background-color); pointer-events: none;}
[data-testid=stElementContainer]:has(> div > .wb-note) + [data-testid=stElementContainer]:has(> div > .wb-protocol) {
  margin-top: -1.1rem;}
[data-testid=stButtonGroup], [data-testid=stButtonGroup] > div {max-width: 100%; flex-wrap: wrap;}
.st-key-protocols {display: none;}
.wb-name {display: flex; align-items: center; gap: .45rem; font-weight: 600; font-size: .95rem;
  flex-wrap: wrap; overflow-wrap: anywhere; min-width: 0;}
.wb-name span:not(.wb-dot) {min-width: 0; flex: 0 1 auto; max-width: calc(100% - 1.3rem);}
.wb-name small {font-weight: 400; color: var(--wb-muted); font-size: .82rem;}
[data-testid="stCaptionContainer"] {color: var(--wb-muted); opacity: 1;}
[data-testid="stCaptionContainer"] code, .stCode .token {color: inherit !important;}
.stButton kbd {color: inherit !important; opacity: 1 !important;}
.wb-dot {display: inline-block; width: .68rem; height: .68rem; border-radius: 50%; flex: none;}
.wb-ramp {display: flex; align-items: center; gap: .5rem; color: var(--wb-muted); font-size: .82rem;
  margin: .1rem 0 .3rem;}
.wb-ramp i {display: inline-block; width: 150px; height: 9px; border-radius: 2px;}
.wb-sheet {overflow-x: auto; padding-bottom: .4rem;}
.wb-grid {display: grid; gap: 4px 6px; align-items: start; width: max-content; max-width: 100%;}
.wb-grid figure {margin: 0; text-align: center;}
.wb-grid figcaption {color: var(--wb-muted); font-size: .74rem; line-height: 1.25; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere;}
.wb-grid img, .wb-strip img {display: block; border-radius: 2px;}
.wb-grid img {width: 100%; height: auto;}
.st-key-chips button {border-radius: 99px; min-height: 1.9rem; padding: .05rem .7rem;}
.st-key-chosen {max-height: 9.5rem; overflow-y: auto; max-width: 100%; flex: 0 1 auto; width: auto;}
.st-key-chosen [class*="st-key-chip_"] button::before {content: "";
  width: .62rem; height: .62rem; border-radius: 50%; flex: none; margin-right: .45rem;}
.wb-px {image-rendering: pixelated;}
.wb-row {position: sticky; left: 0; z-index: 1; width: 150px; padding: .25rem .5rem .25rem 0;
  font-size: .86rem; font-weight: 600; line-height: 1.25; background: var(--st-background-color); align-self:
  stretch; overflow-wrap: anywhere;}
.wb-row small {display: block; font-weight: 400; color: var(--wb-muted); font-size: .78rem;}
.wb-gap {grid-column: 1 / -1; height: 8px;}
.wb-strip {display: flex; flex-wrap: wrap; gap: 8px;}
.wb-strip figure {margin: 0; font-size: .76rem; color: var(--wb-muted); text-align: center;}
.wb-table {border-collapse: collapse; font-size: .88rem; width: 100%;}
.wb-table th {text-align: left; font-weight: 600; padding: .4rem .9rem .4rem 0; min-width: 9rem;
  overflow-wrap: anywhere; border-bottom: 1px solid rgba(139,146,154,.45);}
.wb-table td {padding: .32rem .9rem .32rem 0; border-bottom: 1px solid rgba(139,146,154,.2);
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere;}
.wb-table td:first-child {color: var(--wb-muted); font-size: .82rem;
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;}
.wb-table mark {background: rgba(230,159,0,.22); color: inherit; padding: .1rem .35rem; border-radius: 4px;}
.wb-none {color: var(--wb-muted);}
.wb-cell {text-align: center; align-self: center; font-size: .8rem; overflow-wrap: anywhere;}
.wb-cell mark {background: rgba(213,94,0,.2); color: inherit; padding: .08rem .3rem; border-radius: 4px;}
</style>"""


def literal(text: str) -> str:
    """A text as Streamlit's Markdown shows it letter by letter: names of runs may hold links, images or colours."""
    text = re.sub(r"([\\`*_\[\]$~|]|[<:&](?=[\w/!#]))", r"\\\1", text)
    return re.sub(r"^(\s*\d*)([-+#>.)])", r"\1\\\2", text)  # what begins a list, a heading or a quotation


def class_style(index: int, dark: bool = False) -> tuple[str, str]:
    """Colour and symbol of a class; 27 classes can be told apart."""
    colours, symbols = palette.CLASSES[dark], list(CLASS_SYMBOLS)
    return colours[index % len(colours)], symbols[index // len(colours) % len(symbols)]


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
