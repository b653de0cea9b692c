"""For pages that show one network of every group, and not more of them than the eye can compare."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from app import theme
from app.reading.choice import Choice
from app.state import run_folder, subset

FEW = 6
"""Models that a page shows side by side."""


def subset_of(chosen: Sequence[Choice], most: int = FEW, single: bool = True, subject: str = "Showing") -> list[Choice]:
    """The choices that a page shows, at most ``most``; a line names them and offers others where there are more.

    Args:
        single: whether one network of every group is shown; another line then names its seed.
        subject: how the line begins, where not the whole page is meant.
    """
    some = subset.picked(chosen, most) if len(chosen) > most else list(chosen)
    if len(some) < len(chosen):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            names = ", ".join(choice.label for choice in some)
            st.markdown(theme.literal(f"{subject} {len(some)} of {len(chosen)}: {names}."), width="content")
            with st.popover("Choose others", type="tertiary"):
                others(chosen, some, most)
    if not single:
        return some
    represented([choice for choice in some if len(choice.members) > 1 and not choice.single])
    return [replace(choice, single=True) for choice in some]


def others(chosen: Sequence[Choice], some: Sequence[Choice], most: int) -> None:
    """A list from which the shown models are picked."""
    labels = {choice.run.id: choice.label for choice in chosen}
    key = f"pick {[choice.run.id for choice in some]} {most}"
    st.multiselect(
        f"Models on this page, at most {most}",
        list(labels),
        default=[choice.run.id for choice in some],
        format_func=labels.__getitem__,
        max_selections=most,
        key=key,
        on_change=lambda: subset.pick(st.session_state[key]),
    )


def represented(several: Sequence[Choice]) -> None:
    """Which seed is shown of every group that has more."""
    folder = run_folder.content(run_folder.runs_folder())
    parts = [
        f"{choice.label} seed {choice.summary.get('seed', '?')} ({folder.short[choice.run.id]}) of "
        f"{len(choice.members)}"
        for choice in several
    ]
    if parts:
        st.caption(theme.literal("One seed per model: " + ", ".join(parts) + ". Select others in the chips above."))
