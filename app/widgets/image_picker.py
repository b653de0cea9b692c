"""Beside the chips: how many images are selected, and a box to select some by words or by a confusion matrix's cell."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import theme
from app.reading import files
from app.reading.choice import Choice
from app.state import chosen_images, chosen_runs, image_query, seeds
from app.widgets import confusion_images
from workbench.errors import WorkbenchError
from workbench.format import finite_number

CELL = ("cell-model", "cell-true", "cell-told")
CLICKABLE = 40  # classes; cells of more are too small to hit


def chip(chosen: Sequence[Choice]) -> None:
    """The number of selected images with a way to clear, and the box to select others."""
    text, images = chosen_images.images_text(), chosen_images.selected_ids()
    if text:
        number = f"{len(images):,} image{'s' * (len(images) != 1)}" if images else "images of another data set"
        st.button(
            f"{number} selected",
            key="chip_images",
            type="primary",
            icon=":material/close:",
            icon_position="right",
            help="Clear the selection",
            on_click=clear,
        )
    if sets := chosen_runs.probes(chosen):
        with st.popover("Select images", icon=":material/search:"):
            known = image_query.image_table(sets[0], chosen)
            if known is not None:
                box(known)


def clear() -> None:
    """Select no image."""
    for key in ("image-search", confusion_images.KEY, *CELL):
        st.session_state.pop(key, None)
    chosen_images.select_images([])


def box(known: image_query.ImageTable) -> None:
    """The text box, and the cell of a confusion matrix."""
    st.text_input(
        "Search images",
        key="image-search",
        placeholder=example(known),
        on_change=searched,
        args=(known,),
        help="All terms must match. class:ring,bar · id:10..90 · size>0.5 · NAME:CLASS for the class that the linear "
        "probe of model NAME predicts, NAME:wrong for its errors.",
    )
    if problem := st.session_state.pop("image-problem", ""):
        st.caption(f":red[{theme.literal(problem)}]")
    else:
        st.caption("fields: " + theme.literal(", ".join(known.columns)))
    if known.models and known.classes:
        st.caption("Or by a cell of a confusion matrix:")
        classes = range(len(known.classes))  # by index, since names may not be unique
        fields = (("Model", known.models), ("True class", classes), ("Predicted class", classes))
        for key, (label, options) in zip(CELL, fields, strict=True):
            now: Any = st.session_state.get(key)
            st.selectbox(
                label,
                options,
                index=options.index(now) if now in options else None,
                format_func=lambda value: known.classes[value] if isinstance(value, int) else value,
                key=key,
                on_change=celled,
                args=(known,),
            )


def example(known: image_query.ImageTable) -> str:
    """A question that has an answer here."""
    words = f"class:{known.classes[0]}" if known.classes else f"id:{int(known.ids[0])}"
    factor = next((name for name in known.columns if name not in ("id", "class", *known.models)), None)
    return words if factor is None else f"{words} {factor}>{float(np.median(known.columns[factor])):.3g}"


def searched(known: image_query.ImageTable) -> None:
    """Select what the words in the box describe."""
    try:
        ids = image_query.matching_ids(st.session_state["image-search"], known)
    except WorkbenchError as error:
        st.session_state["image-problem"] = str(error)
        return
    if st.session_state["image-search"].strip():
        take(ids)
    else:
        chosen_images.select_images([])


def take(ids: np.ndarray) -> None:
    """Select the images that were found, or say that there are none."""
    if len(ids):
        chosen_images.select_images(ids)
    else:
        st.session_state["image-problem"] = "No images in the probe set match."


def celled(known: image_query.ImageTable) -> None:
    """Select the images of a confusion matrix's cell, once it is complete."""
    model, true, predicted = (st.session_state.get(key) for key in CELL)
    if isinstance(model, str) and model in known.models and true is not None and predicted is not None:
        st.session_state["image-search"] = ""
        take(image_query.cell_ids(known, model, true, predicted))


def cells(figure: go.Figure, choice: Choice, key: str, share: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Let the cells of a confusion matrix be clicked, which selects their images.

    Args:
        figure: the heat map, onto which invisible points are put, since only points can be selected.
        key: of the chart.
        share: (n, n) in %, rows are true classes.

    Returns:
        further options of ``page.chart``.
    """
    n = len(classes)
    if n > CLICKABLE:
        return {}
    true, predicted = (part.ravel() for part in np.mgrid[:n, :n])
    unseen, pairs = {"marker": {"opacity": 0}}, zip(true, predicted, strict=True)
    text = [f"{classes[i]} → {classes[j]}<br><b>{share[i, j]:.3g}</b> %" for i, j in pairs]
    figure.add_scatter(
        x=predicted,
        y=true,
        mode="markers",
        marker={"symbol": "square", "size": max(6, 260 // n), "opacity": 0},
        selected=unseen,
        unselected=unseen,
        text=text,
        hovertemplate="%{text}<extra></extra>",
    )
    return {"on_select": partial(clicked, choice, key), "selection_mode": "points"}


def clicked(choice: Choice, key: str) -> None:
    """Select the probe images of the cell that was clicked, and show them beside the matrix."""
    points = st.session_state[key]["selection"]["points"]
    cell = [finite_number(points[0].get(axis)) for axis in ("y", "x")] if points else []
    probe = files.probe(choice.run)
    if probe is None or len(cell) != 2 or cell[0] is None or cell[1] is None:
        return
    ids = np.asarray(probe.ids())
    labels, predicted = (
        files.matrix(probe.labels(), (len(ids),)),
        seeds.predicted(choice, ids),
    )
    if labels is None or predicted is None:
        return
    true, taken = int(cell[0]), int(cell[1])
    images = ids[(labels == true) & (predicted == taken)]
    confusion_images.remember(key, choice, true, taken, images.tolist())
    if len(images):
        chosen_images.select_images(images)
