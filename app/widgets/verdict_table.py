"""What the linear probes say of the selected images: image, truth, and what each model takes it for."""

from collections.abc import Sequence
from html import escape

import numpy as np
import streamlit as st

from app.figures import image_grid
from app.reading import files, predictions
from app.reading.choice import Choice
from app.state import chosen_images, chosen_runs, seeds
from app.widgets import page

ACROSS = 10


def verdict_table(chosen: Sequence[Choice]) -> None:
    """A column per selected image, those first that most models get wrong; nothing where no image is selected."""
    if not chosen_images.images_text():
        return
    st.subheader("Selected images", anchor=False)
    probe = next(iter(chosen_runs.probes(chosen)), None)
    ids = files.matrix(probe.ids(), (None,)) if probe is not None else None
    rows = chosen_images.selected_rows(ids) if ids is not None else None
    if probe is None or ids is None or rows is None or not len(rows):
        return page.note("The selected images are not in this probe set.")
    images, labels = files.pictures(probe.images()), files.matrix(probe.labels(), (len(ids),))
    predicted = {choice: seeds.predicted(choice, ids) for choice in chosen_runs.of_probe(chosen, probe)}
    predicted = {choice: values for choice, values in predicted.items() if values is not None}
    if images is None or len(images) != len(ids) or labels is None or not predicted:
        return page.note("No predictions are stored for the selected images.")
    names = files.label_names(probe.info().get("classes"), np.concatenate([labels, *predicted.values()]))
    columns = disputed_first(rows, labels, list(predicted.values()))[:ACROSS]
    lines = [
        line(choice, [verdict(values[row], labels[row], names) for row in columns])
        for choice, values in predicted.items()
    ]
    truth = [escape(names[int(labels[row])]) for row in columns]
    titles = files.image_titles(probe)
    st.html(image_grid.captioned_sheet(np.asarray(images[columns]), [titles[row] for row in columns], truth, lines))
    scores = {choice.label: right(values, labels, rows) for choice, values in predicted.items()}
    shares = [f"{label} {share:.0f} %" for label, share in scores.items() if share is not None]
    first = (
        f"{len(columns)} shown, sorted by the number of models that misclassify them"
        if len(rows) > len(columns)
        else ""
    )
    every = f"accuracy on the {len(rows):,} selected images: {', '.join(shares)}" if shares else ""
    page.note(" · ".join(filter(None, ("linear probe of the best space by validation", every, first))))


def disputed_first(rows: np.ndarray, labels: np.ndarray, predicted: Sequence[np.ndarray]) -> np.ndarray:
    """Rows by the number of models that err on them, most first; images that were not predicted count as no error."""
    guesses = np.stack([values[rows] for values in predicted])
    wrong = np.sum((guesses != labels[rows]) & (guesses != predictions.UNKNOWN), axis=0)
    return rows[np.argsort(-wrong, kind="stable")]


def right(predicted: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> float | None:
    """Share in % of the predicted ones among ``rows`` that were right, or None where none was predicted."""
    known = rows[predicted[rows] != predictions.UNKNOWN]
    return 100 * float((predicted[known] == labels[known]).mean()) if len(known) else None


def verdict(predicted: np.ndarray, truth: np.ndarray, names: Sequence[str]) -> str:
    """A predicted class, a number (), as HTML, marked where it is wrong."""
    if predicted == predictions.UNKNOWN:
        return '<span class="wb-none">not tested</span>'
    name = escape(names[int(predicted)])
    return name if predicted == truth else f"<mark>{name}</mark>"


def line(choice: Choice, cells: Sequence[str]) -> tuple[str, Sequence[str]]:
    """A model's name and its cells, as HTML."""
    return f'<span class="wb-dot" style="background:{choice.colour}"></span> {escape(choice.label)}', cells
