"""Which of many chosen models a page shows that has room for a few; the pick is part of the URL, for all pages."""

from collections.abc import Iterable, Sequence

import streamlit as st

from app.reading.choice import Choice
from app.state import chosen_runs, run_folder

KEY = "shown"


def picked(chosen: Sequence[Choice], most: int) -> list[Choice]:
    """At most ``most`` of the choices: those of the URL that are among them, or else the first ones."""
    ids, _ = chosen_runs.parse(_text(), run_folder.content(run_folder.runs_folder()).group)
    by_id = {choice.run.id: choice for choice in chosen}
    wanted = [by_id[run_id] for run_id in ids if run_id in by_id]
    return (wanted or list(chosen))[:most]


def pick(run_ids: Iterable[str]) -> None:
    """Show these models on pages that have no room for all."""
    ids = list(run_ids)
    _keep(chosen_runs.write(ids, run_folder.content(run_folder.runs_folder()).short) if ids else "")


def _text() -> str:
    text = st.query_params.get(KEY, st.session_state.get("picked", ""))
    _keep(text)
    return text


def _keep(text: str) -> None:
    """Write the pick into the URL and into the session, which survives a change of pages."""
    st.session_state["picked"] = text
    if text and st.query_params.get(KEY) != text:
        st.query_params[KEY] = text
    elif not text and KEY in st.query_params:
        del st.query_params[KEY]
