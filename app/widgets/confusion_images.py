"""The images of the confusion matrix's cell that was clicked, beside the matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import streamlit as st

from app.figures import image_grid
from app.reading import files, predictions
from app.reading.choice import Choice
from app.state import chosen_images, seeds
from app.widgets import page

KEY = "confusion-cell"
MOST = 120  # images


@dataclass(frozen=True)
class Cell:
    """A cell that was clicked.

    Attributes:
        chart: key of the matrix.
        run: id of the run whose predictions it reads.
        true, predicted: class indices.
        images: sample ids of its images in the probe set.
        click: number of the click in this session.
    """

    chart: str
    run: str
    true: int
    predicted: int
    images: tuple[int, ...]
    click: int


def remember(chart: str, choice: Choice, true: int, predicted: int, images: Sequence[int]) -> None:
    """Keep the cell that was clicked, until other images are selected."""
    before = st.session_state.get(KEY)
    number = before.click + 1 if isinstance(before, Cell) else 1
    st.session_state[KEY] = Cell(chart, choice.run.id, true, predicted, tuple(images), number)


def current() -> Cell | None:
    """The cell whose images are the selected ones, or that has none."""
    cell = st.session_state.get(KEY)
    if not isinstance(cell, Cell) or (cell.images and set(cell.images) != set(chosen_images.selected_ids())):
        return None
    return cell


def show(cell: Cell, choice: Choice, others: Sequence[Choice], classes: Sequence[str]) -> None:
    """The cell's images with what every other model predicts for them."""
    probe = files.probe(choice.run)
    images = files.pictures(probe.images()) if probe is not None else None
    if probe is None or images is None or choice.run.id != cell.run:
        return
    ids = np.asarray(probe.ids())
    rows = np.flatnonzero(np.isin(ids, cell.images))[:MOST]
    table = predictions.confusion(choice.run, seeds.headline_space(choice), len(classes))
    total = int(table[cell.true, cell.predicted]) if table is not None else len(cell.images)
    # A token that changes with every click brings the images into view once.
    page.reveal(f"{cell.chart}-{cell.click}")
    true, predicted = escape(classes[cell.true]), escape(classes[cell.predicted])
    page.heading(f"{choice.label}: true {classes[cell.true]}, predicted {classes[cell.predicted]}", choice.colour)
    seed = f" Predictions of {choice.run.id[-4:]}, one of {len(choice.members)} seeds." * (len(choice.members) > 1)
    page.note(count_text(len(rows), len(cell.images), max(total, len(cell.images))) + seed)
    if not len(rows):
        return
    models = [(other, values) for other in others if (values := seeds.predicted(other, ids)) is not None]
    lines = [
        (other.colour, other.label, [_class_name(int(values[row]), classes) for row in rows])
        for other, values in models
        if other.run.id != cell.run
    ]
    titles = files.image_titles(probe)
    st.html(
        f'<div class="wb-cell-images" aria-label="images of true class {true}, predicted {predicted}">'
        + image_grid.wrapped_tiles(np.asarray(images[rows]), [titles[row] for row in rows], lines=lines)
        + "</div>"
    )
    key = " · ".join(
        f'<span class="wb-dot" style="background:{colour}"></span> {escape(label)}' for colour, label, _ in lines
    )
    if key:
        st.html(f'<div class="wb-note">predictions of the other models: {key}</div>')


def count_text(pictures: int, stored: int, total: int) -> str:
    """How many of a cell's test images are shown, in words.

    Args:
        pictures: images on the page.
        stored: images of the cell in the probe set.
        total: test images of the cell.
    """
    noun = "image" if total == 1 else "images"
    if not total:
        return "No test image is in this cell."
    if not stored:
        return f"None of the {total:,} test {noun} of this cell is in the probe set, so there is no stored picture."
    rest = total - stored
    verb = "is" if stored == 1 else "are"
    limit = " and shown" if pictures == stored else f"; the first {pictures:,} are shown"
    other = f"; {rest:,} other{'s have' if rest > 1 else ' has'} no stored picture" if rest else ""
    return f"{stored:,} of {total:,} test {noun} of this cell {verb} in the probe set{limit}{other}."


def _class_name(index: int, classes: Sequence[str]) -> str:
    return "not tested" if index == predictions.UNKNOWN else classes[index] if index < len(classes) else str(index)
