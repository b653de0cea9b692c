"""Under every figure, small: save it as PNG, as SVG, or its data as CSV. The browser does it, on a click."""

import re
from functools import cache
from pathlib import Path

import streamlit as st

CSS = """<style>
.st-key-saving {display: none;}
.wb-save {display: flex; justify-content: flex-end; gap: .1rem; margin: -1.1rem 0 -.2rem;}
.wb-save button {border: 0; padding: 0 .3rem; background: none; color: var(--wb-muted); font: inherit;
  font-size: .72rem; line-height: 1.2; letter-spacing: .03em; cursor: pointer; border-radius: 3px;}
.wb-save button:hover {color: inherit; text-decoration: underline;}
</style>"""


@cache
def script() -> str:
    """The script that the buttons call."""
    return f"<script>{Path(__file__).with_suffix('.js').read_text(encoding='utf-8')}</script>"


def prepare() -> None:
    """Once per page: what :func:`buttons` need."""
    st.html(CSS)
    with st.container(key="saving"):
        st.html(script(), unsafe_allow_javascript=True)


def class_name(key: str) -> str:
    """A key as Streamlit writes it into class names."""
    return re.sub(r"[^a-zA-Z0-9_-]", "-", key.strip())


def buttons(key: str) -> None:
    """The buttons of the plotly figure with this key."""
    name = class_name(key)
    kinds = {"PNG": "figure as PNG", "SVG": "figure as SVG", "CSV": "data as CSV"}
    made = "".join(f'<button type="button" title="Save {what}">{kind}</button>' for kind, what in kinds.items())
    st.html(f'<div class="wb-save" data-chart="{name}">{made}</div>')
