"""What the likelihood's evaluation knows of a run's latent variables."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import theme
from app.reading import files
from app.reading.choice import Choice


def of_run(choice: Choice) -> dict[str, Any]:
    """The entry on latent variables, or an empty one."""
    return files.section(choice.run.evaluation("likelihood"), "latent")


def warn_of_collapse(chosen: Sequence[Choice]) -> None:
    """Warn of the runs whose posterior has collapsed, in the evaluation's words."""
    for choice in chosen:
        if isinstance(collapse := of_run(choice).get("collapse"), str):
            st.warning(theme.literal(f"{choice.label}: {collapse}"))
