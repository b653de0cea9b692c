"""The theme in which the page is shown."""

import streamlit as st


def dark() -> bool:
    """Whether the ground is dark."""
    return st.context.theme.type == "dark"
