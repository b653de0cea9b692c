"""The folder of runs that the app shows."""

import os
from pathlib import Path
from typing import Any

import streamlit as st

from workbench.store import list_summaries


def runs_folder() -> Path:
    """The folder that is looked at: ``$WORKBENCH_RUNS``, or ``runs``."""
    return Path(os.environ.get("WORKBENCH_RUNS", "runs"))


@st.cache_resource(ttl=2, show_spinner=False)
def summaries(folder: Path) -> list[dict[str, Any]]:
    """The summaries of all runs in a folder, newest first, two seconds old at most; shared, so not to be changed."""
    return list_summaries(folder)
