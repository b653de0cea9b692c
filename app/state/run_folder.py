"""The folder of runs behind the app."""

import os
from pathlib import Path
from typing import Any

import streamlit as st

from workbench.format import finite_number
from workbench.hints import default_runs
from workbench.store import list_summaries


def runs_folder() -> Path:
    """The folder with which ``workbench app`` was started; ``$WORKBENCH_RUNS`` stays that of the shell, for hints."""
    return Path(os.environ.get("WORKBENCH_APP_RUNS") or default_runs())


@st.cache_resource(ttl=2, show_spinner=False)
def summaries(folder: Path) -> list[dict[str, Any]]:
    """The summaries of all runs in a folder, newest first, at most two seconds old; shared: do not change them."""
    return list_summaries(folder)


def evaluated(folder: Path) -> bool:
    """Whether a run of the folder has an evaluation."""
    return any(
        finite_number(summary.get("linear")) is not None
        or finite_number(summary.get("knn")) is not None
        or any((folder / summary["id"] / "evaluations").glob("[!.]*.json"))
        for summary in summaries(folder)
    )
