"""The line on top of every page: the chosen runs in their colours, the selected images, and the probe set."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from app import theme
from app.reading import files
from app.reading.choice import Choice
from app.state import chosen_runs, seeds
from app.widgets import image_picker


def show() -> None:
    """The chosen runs, each with a way to remove it, the selected images, and the probe set."""
    chosen = chosen_runs.choices()
    if not chosen:
        return
    style = "".join(
        f".st-key-chip_{c.index} button{{border:1.5px solid {c.colour}}}"
        f".st-key-chip_{c.index} button::before{{background:{c.colour}}}"
        for c in chosen
    )
    st.html(f"<style>{style}</style>")
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="chips"):
        for choice in chosen:
            status = choice.status
            state = "" if status == "finished" else f" :{theme.STATUS.get(status, 'gray')}[{status}]"
            st.button(
                theme.literal(choice.label) + state,
                key=f"chip_{choice.index}",
                icon=":material/close:",
                icon_position="right",
                help=f"{choice.run.id}: click to remove",
                on_click=chosen_runs.choose,
                args=([other.run.id for other in chosen if other is not choice],),
            )
        seeds.switch(chosen)
        image_picker.chip(chosen)
        st.html(f'<span class="wb-note">{escape(probe_sets(chosen))}</span>')


def probe_sets(chosen: Sequence[Choice]) -> str:
    """The probe sets of the chosen runs in words."""
    texts = {}
    for choice in chosen:
        probe = files.probe(choice.run)
        if probe is not None:
            info = probe.info()
            texts[probe.path.name] = f"{info.get('data', 'probe set')}, {info.get('n', '?')} images"
    if not texts:
        return "no probe set yet"
    return ("probe set: " if len(texts) == 1 else f"{len(texts)} different probe sets: ") + "; ".join(texts.values())
