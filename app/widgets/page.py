"""What every page is made of: the verdict, figures with headings, caption and protocol, switches and columns."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Literal, TypeVar

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import component
from app.figures.style import write_in_ink
from app.reading.choice import Choice
from app.state import appearance, feature_space
from app.state.seeds import SeedGroup
from app.widgets import downloads, protocol_line
from workbench.headline import elsewhere

CHART = {"displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "autoScale2d"]}
Item = TypeVar("Item")
Option = TypeVar("Option")


def prepare() -> None:
    """Once per page: what :func:`details`, :func:`reveal` and the lightbox of pictures need."""
    folder = Path(__file__).parent
    st.html(f"<style>{(folder / 'lightbox.css').read_text(encoding='utf-8')}</style>")
    with st.container(key="protocols"):
        for name in ("page.js", "lightbox.js"):
            script = (folder / name).read_text(encoding="utf-8")
            st.html(f"<script>{script}</script>", unsafe_allow_javascript=True)


def verdict(text: str) -> None:
    """The answer of a page or section, above its figures: computed from the stored numbers, or that they give none."""
    st.html(f'<p class="wb-verdict">{escape(text or "No results for this page.")}</p>')


def note(text: str) -> None:
    """The caption of a figure: one plain line."""
    st.html(f'<div class="wb-note">{escape(text)}</div>')


def details(*texts: str) -> None:
    """How a figure was measured and how it is read in full, behind a toggle; open or closed on all pages."""
    body = "".join(f"<div>{escape(text)}</div>" for text in texts if text)
    if body:
        st.html(f'<details class="wb-protocol"><summary>Protocol</summary>{body}</details>')


def reveal(token: str) -> None:
    """A place that is scrolled into view with what follows it, once for every new ``token``."""
    st.html(f'<i class="wb-reveal" data-token="{escape(token)}"></i>')


def measured(
    choices: Sequence[Choice], task: str, *more: str, before: str = "", groups: Sequence[SeedGroup] = ()
) -> str:
    """How a figure's numbers were measured; see :func:`protocol_line.describe`."""
    evaluations = [(choice.label, choice.run.evaluation(task)) for choice in choices]
    return before + protocol_line.describe(evaluations, *more, groups=[seeds.group for seeds in groups])


def protocol(choices: Sequence[Choice], task: str, *more: str, groups: Sequence[SeedGroup] = ()) -> None:
    """:func:`details` of one evaluation."""
    details(measured(choices, task, *more, groups=groups))


def other_spaces(groups: Sequence[SeedGroup], task: str, before: str = "") -> None:
    """A line that names the groups whose evaluation was not measured in the space of their headline numbers."""
    lines = [line for seeds in groups if (line := elsewhere(seeds.group.label, seeds.group.runs, task))]
    if lines:
        note(before + "; ".join(lines))


def heading(label: str, colour: str = "", small: str = "") -> None:
    """A model's name above its figure."""
    dot = f'<span class="wb-dot" style="background:{colour}"></span>' if colour else ""
    more = f"<small>{escape(small)}</small>" if small else ""
    st.html(f'<div class="wb-name" title="{escape(label)}">{dot}<span>{escape(label)}</span>{more}</div>')


def names(choices: Iterable[Choice]) -> str:
    """The labels of runs, separated by commas."""
    return ", ".join(choice.label for choice in choices)


def chart(figure: go.Figure, key: str, alt: str, **selecting: Any) -> None:
    """A figure that keeps its zoom over reruns and can be saved; ``selecting``: Streamlit's options for selections."""
    figure.update_layout(showlegend=False)  # names stand beside curves and dots
    write_in_ink(figure, appearance.dark())
    if isinstance(least := (figure.layout.meta or {}).get("width"), int):  # pyright: ignore[reportAttributeAccessIssue]
        # A narrower page scrolls the figure sideways instead of heaping its names.
        place = f".st-key-{downloads.class_name(key)}"
        st.html(f"<style>{place} {{overflow-x: auto}} {place} > div {{min-width: {least}px}}</style>")
    st.plotly_chart(figure, key=key, config=CHART, alt=alt, **selecting)
    downloads.buttons(key)


def linked_curves(figure: go.Figure, key: str, alt: str, whole: float, zoomed: Callable[[], None]) -> None:
    """A figure over training that zooms with all others on the page and can be saved; see
    :func:`component.linked_curves`."""
    figure.update_layout(showlegend=False)
    component.linked_curves(figure, key, alt, whole, zoomed)
    downloads.buttons(key)


def numbers(rows: Iterable[Mapping[str, Any]], height: int | Literal["auto", "content"] = "content") -> None:
    """The figures' numbers as a folded table; rows that several runs share, such as those of pixels, appear once."""
    with st.expander("All numbers"):
        st.dataframe(pd.DataFrame(list(rows)).drop_duplicates(ignore_index=True), hide_index=True, height=height)


def switch(
    label: str, options: Mapping[Option, str] | Sequence[Option], key: str, in_url: bool = True, **style: Any
) -> Option:
    """A choice of one among a few, at first the first one.

    Args:
        options: the values, with the text of each where it differs from the value.
        in_url: whether the choice is part of the page's address.
        style: further options of ``st.segmented_control``.
    """
    values = list(options)
    chosen = st.segmented_control(
        label,
        values,
        format_func=options.__getitem__ if isinstance(options, Mapping) else str,
        default=values[0],
        required=True,
        key=key,
        bind="query-params" if in_url else None,
        **style,
    )
    return values[0] if chosen is None else chosen


def space_switch(**others: str) -> str:
    """A switch between ways to choose a feature space, and ``others`` (label by key); it holds on all pages."""
    return switch("Features", feature_space.READINGS | others, "read-from")


def columns(n: int, across: int | None = None) -> list:
    """Places for ``n`` figures side by side.

    Args:
        across: in a row; by default as many as there are, from two to four.
    """
    across = across or min(max(n, 2), 4)
    return [place for _ in range(-(-n // across)) for place in st.columns(across, gap="medium")][:n]


def side_by_side(items: Iterable[Item], across: int | None = None) -> Iterator[Item]:
    """Items in :func:`columns`: what a loop over them draws stands in the item's column."""
    items = list(items)
    for place, item in zip(columns(len(items), across), items, strict=True):
        with place:
            yield item


def with_room(n: int) -> list[tuple[Any, Any]]:
    """Places for ``n`` figures as :func:`columns` has them, each with a place for what belongs to it: the empty
    columns of its row, or else below the row."""
    across, places = min(max(n, 2), 4), []
    for start in range(0, n, across):
        row = min(across, n - start)
        widths = [1] * row + [across - row] * (across > row)
        columns = st.columns(widths, gap="medium")
        room = columns[row] if across > row else st.container()
        places += [(column, room) for column in columns[:row]]
    return places


def side(n: int) -> int:
    """Height in pixels of a square figure among ``n`` side by side."""
    return {3: 400, 4: 310}.get(min(max(n, 2), 4), 560)
