"""Where the views are in the app, for links between pages."""

from collections.abc import Mapping
from types import ModuleType

import streamlit as st

Place = tuple[st.Page, dict[str, str]]
"""A page, and the parameters of its URL that open a tab."""


def register(places: Mapping[str, Place]) -> None:
    """Tell where views are, by the name of their module."""
    st.session_state["places"] = dict(places)


def link(view: ModuleType | str, label: str) -> None:
    """A link to a view; nothing where the view is shown outside the app's navigation."""
    name = view if isinstance(view, str) else view.__name__
    if place := st.session_state.get("places", {}).get(name):
        page, parameters = place
        st.page_link(page, label=label, icon=":material/arrow_forward:", query_params=parameters)
