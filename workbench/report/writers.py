"""Documents as HTML, Markdown and LaTeX, by the templates beside: whatever a document holds is text there, not markup.

Every value that a template prints goes through the escape of its format, unless a filter here has made it markup.
"""

import html
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from workbench.figures import style, tex
from workbench.figures.drawing import Drawing
from workbench.palette import SHADES, run_colour, run_colours
from workbench.report.document import Document

if TYPE_CHECKING:
    from jinja2 import Environment

PAGE_COLOURS = {style.INK: "--ink", style.MUTED: "--grey", style.FAINT: "--line", style.PAPER: "--page"}
RUN_COLOURS = {run_colour(index): run_colour(index, True) for index in range(len(run_colours()) * SHADES)}
"""Colours of runs on dark ground by those on light."""


def write(document: Document, suffix: str, figures: Mapping[str, str] | None = None) -> str:
    """The document as text in the format of a suffix.

    Args:
        suffix: ``.html`` with figures in it, ``.md`` without, or ``.tex``.
        figures: for LaTeX the paths of figures by name; figures without one are left out.
    """
    paths = figures or {}
    pgf = any(path.endswith(".pgf") for path in paths.values())
    return _environment(suffix).get_template(f"report{suffix}").render(document=document, figures=paths, pgf=pgf)


def escape_markdown(text: str) -> str:
    """Text in which nothing is taken for markup; ``code`` between backticks stays."""
    parts = re.split(r"(`[^`]+`)", text)  # every second one is code
    return "".join(part if index % 2 else _backslashed(part) for index, part in enumerate(parts)).replace("\n", " ")


def _backslashed(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)


@cache
def _environment(suffix: str) -> "Environment":
    """Where templates of a format are found, with its escape and filters."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    options: dict[str, Any] = {"autoescape": suffix == ".html"}
    escapes: dict[str, Callable[[str], str]] = {".md": escape_markdown, ".tex": tex.escape}
    if escape := escapes.get(suffix):
        options["finalize"] = lambda value: value if isinstance(value, Markup) else escape(str(value))
    if suffix == ".tex":
        options |= {"block_start_string": "<%", "block_end_string": "%>", "variable_start_string": "<<"}
        options |= {"variable_end_string": ">>", "comment_start_string": "<#", "comment_end_string": "#>"}
    environment = Environment(
        loader=PackageLoader("workbench.report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )
    environment.tests["kind"] = lambda block, name: type(block).__name__ == name
    filters: dict[str, Callable[..., str]] = {
        "words": lambda text: re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text)),
        "svg": _themed,
        "html": html.escape,
        "fenced": _fenced,
        "cell": lambda text: _backslashed(text).replace("\n", " "),
        "typed": lambda text: tex.escape(text).replace("--", "-{}-"),  # two hyphens are no dash in a command
        "path": str,  # its folder and name hold letters, digits and =._- alone
    }
    environment.filters |= {name: lambda value, make=make: Markup(make(value)) for name, make in filters.items()}
    return environment


def _fenced(text: str) -> str:
    """Text as a block of code, between more backticks than it has in a row."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"


def _themed(drawing: Drawing) -> str:
    """A drawing as SVG in the page's colours, light or dark."""
    svg = drawing.svg()
    for colour, name in PAGE_COLOURS.items():
        svg = svg.replace(f": {colour}", f": var({name})")
    for light, dark in RUN_COLOURS.items():
        svg = svg.replace(f": {light.lower()}", f": light-dark({light.lower()}, {dark.lower()})")
    return svg
