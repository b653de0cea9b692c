"""What the linear probes say of the selected images: image, truth, and what each model takes it for."""

from collections.abc import Sequence
from html import escape

import numpy as np
import streamlit as st

from app.figures import image_grid
from app.reading import files, predictions
from app.reading.choice import Choice
from app.state import chosen_images, chosen_runs
from app.widgets import page

ACROSS = 10


def verdict_table(chosen: Sequence[Choice]) -> None:
    """A column per selected image, those first that most models get wrong; nothing where no image is selected."""
    if not chosen_images.images_text():
        return
    st.subheader("The selected images", anchor=False)
    probe = next(iter(chosen_runs.probes(chosen)), None)
    ids = files.matrix(probe.ids(), (None,)) if probe is not None else None
    rows = chosen_images.selected_rows(ids) if ids is not None else None
    if probe is None or ids is None or rows is None or not len(rows):
        return page.note("The selected images are not in this probe set.")
    images, labels = files.pictures(probe.images()), files.matrix(probe.labels(), (len(ids),))
    told = {choice: predictions.of_run(choice.run, ids) for choice in chosen_runs.of_probe(chosen, probe)}
    told = {choice: values for choice, values in told.items() if values is not None}
    if images is None or len(images) != len(ids) or labels is None or not told:
        return page.note("No prediction of the selected images is stored.")
    known = probe.info().get("classes")
    highest = max(int(labels.max()), *(int(values.max()) for values in told.values()))
    names = files.class_names(known, max(highest + 1, len(known) if isinstance(known, list) else 0))
    shown = disputed_first(rows, labels, list(told.values()))[:ACROSS]
    lines = [line(choice, [said(values[row], labels[row], names) for row in shown]) for choice, values in told.items()]
    truth = [escape(names[int(labels[row])]) for row in shown]
    st.html(image_grid.captioned_sheet(np.asarray(images[shown]), truth, lines))
    scores = {choice.label: right(values, labels, rows) for choice, values in told.items()}
    shares = [f"{label} {share:.0f} %" for label, share in scores.items() if share is not None]
    first = f"{len(shown)} of them, those first that most models get wrong" if len(rows) > len(shown) else ""
    every = f"right of the {len(rows):,} selected: {', '.join(shares)}" if shares else ""
    page.note(" · ".join(filter(None, ("linear probe of the default space", every, first))))


def disputed_first(rows: np.ndarray, labels: np.ndarray, told: Sequence[np.ndarray]) -> np.ndarray:
    """Rows by the number of models that err on them, most first; images that were not predicted count as no error."""
    wrong = np.sum([(values[rows] != labels[rows]) & (values[rows] != predictions.UNKNOWN) for values in told], axis=0)
    return rows[np.argsort(-wrong, kind="stable")]


def right(told: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> float | None:
    """Share in % of the predicted ones among ``rows`` that were right, or None where none was predicted."""
    asked = rows[told[rows] != predictions.UNKNOWN]
    return 100 * float((told[asked] == labels[asked]).mean()) if len(asked) else None


def said(told: np.ndarray, truth: np.ndarray, names: Sequence[str]) -> str:
    """A predicted class, a number (), as HTML, marked where it is wrong."""
    if told == predictions.UNKNOWN:
        return '<span class="wb-none">not tested</span>'
    name = escape(names[int(told)])
    return name if told == truth else f"<mark>{name}</mark>"


def line(choice: Choice, cells: Sequence[str]) -> tuple[str, Sequence[str]]:
    """A model's name and its cells, as HTML."""
    return f'<span class="wb-dot" style="background:{choice.colour}"></span> {escape(choice.label)}', cells
