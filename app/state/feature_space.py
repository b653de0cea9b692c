"""Which space stands for a model: its default, or the one that its linear probe likes best on validation images."""

from typing import Any

import streamlit as st

from app.reading import files
from app.reading.choice import Choice
from workbench.format import finite_number

READINGS = {"default": "default space", "best": "best space of the linear probe"}


def space_switch(**others: str) -> str:
    """The switch between the readings, and further ones by name; one choice for all pages."""
    named = READINGS | others
    found = st.segmented_control(
        "Read from",
        list(named),
        format_func=named.__getitem__,
        default="default",
        required=True,
        key="read-from",
        bind="query-params",
    )
    return found or "default"


def space_of(choice: Choice, evaluation: dict[str, Any], how: str) -> str | None:
    """The run's space in an evaluation that is read in this way; the default where its linear probe is not known."""
    known = files.spaces(evaluation)
    if how == "best":
        probed = files.rows(choice.run.evaluation("linear"), model="run", metric="top1")
        scores = {str(row.get("space")): finite_number(row.get("validation")) for row in probed}
        found = {space: score for space, score in scores.items() if score is not None and space in known}
        if found:
            return max(found, key=found.__getitem__)
    return known[0] if known else None
