"""Every pair of models on the same test images: whether they differ, and a figure of the differences."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from app import theme
from app.figures.dots import Dot, forest
from app.figures.style import shorten
from app.state.seeds import SeedGroup
from app.widgets import page
from workbench import palette
from workbench.comparison.differences import Difference, group_differences, left_out
from workbench.comparison.seeds import Group
from workbench.errors import WorkbenchError
from workbench.store import Run

Members = tuple[tuple[str, tuple[Path, ...], tuple[int | None, ...]], ...]
"""Groups by label, folders and seeds."""


@st.cache_data(max_entries=32, show_spinner="Comparing every pair on the same images")
def _compare(members: Members, evaluated: tuple[str | None, ...]) -> tuple[list[Difference], list[str]]:
    """Every pair, and what cannot be tested; computed once for each state of the probes."""
    groups = [Group(label, tuple(map(Run, paths)), seeds) for label, paths, seeds in members]
    return group_differences(groups), left_out(groups)


def differences(groups: Sequence[Group]) -> list[Difference]:
    """Every pair of models, by their linear probes; what cannot be tested is said on the page."""
    members = tuple((group.label, tuple(run.path for run in group.runs), group.seeds) for group in groups)
    evaluated = tuple(run.evaluation("linear").get("created") for group in groups for run in group.runs)
    try:
        pairs, untested = _compare(members, evaluated)
    except WorkbenchError as error:
        st.warning(str(error))
        return []
    for sentence in untested:
        st.caption(theme.literal(sentence))
    return pairs


def among(pairs: Sequence[Difference], groups: Sequence[SeedGroup], few: Sequence[SeedGroup]) -> list[Difference]:
    """Of the pairs of ``groups``, those of a ``few`` with one another and with baselines."""
    hidden = {member.group.label for member in groups} - {member.group.label for member in few}
    return [pair for pair in pairs if not {pair.name, pair.other_name} & hidden]


def chart(pairs: Sequence[Difference], comparisons: int, colours: Mapping[str, str], key: str) -> None:
    """The differences with their intervals.

    Args:
        comparisons: made together, for which the intervals are corrected; ``pairs`` may be some of them.
        colours: by run; pairs without a significant difference are grey.
    """
    dots = [
        Dot(
            str(pair),
            colours.get(pair.run, palette.GREY) if pair.significant else palette.GREY,
            *pair.difference,
            main=pair.significant,
            outer=pair.simultaneous[1:],
        )
        for pair in pairs
    ]
    names = [
        f"{shorten(pair.name)} \N{MINUS SIGN}{'<br>' if long else ' '}{shorten(pair.other_name)}"
        for pair in pairs
        for long in [len(pair.name) + len(pair.other_name) > 34]
    ]
    page.chart(forest(names, dots, "difference in top-1, points"), key, "differences of accuracy with intervals")
    page.note(
        f"linear probe of each model's best space by validation · test split · n = {pairs[0].n:,} · thick: 95 % "
        f"interval of a single comparison · thin: corrected for {comparisons} comparisons · coloured: significant at "
        "5 % "
        "(thin line excludes 0)"
    )
