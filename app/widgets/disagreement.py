"""The images on which two models disagree: what they find alike, and what they take them for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from app.figures import image_grid
from app.figures.image_grid import ImageRow
from app.reading.choice import Choice
from app.reading.neighbours import ProbeSet, Retriever, pixels_retriever, probe_set, run_retriever, untrained_retriever
from app.state import chosen_images, feature_space
from app.widgets import gaps, page
from workbench.store import Probe

ACROSS, DEEP = 10, 3  # images across, neighbours of each down


def show(first: Choice, other: Choice | str, chosen: Sequence[Choice], probe: Probe | None, how: str) -> None:
    """Both sections for a pair of models, as far as what they need is stored."""
    known = probe_set(probe)
    if known is None or probe is None:
        return
    sides = side(first, how, known), baseline(first, other, chosen, probe, how, known)
    st.subheader("Largest disagreement between neighbours", anchor=False)
    if any(model.nearest is None for model in sides):
        pair = zip((first, other), sides, strict=True)
        runs = [choice for choice, model in pair if model.nearest is None and isinstance(choice, Choice)] or [first]
        if able := gaps.evaluable(runs, gaps.NAMES["retrieval"]):
            command = gaps.evaluate(able, "retrieval")
            gaps.box("Neighbours not computed yet", "Run this command:", command)
    else:
        neighbours(*sides, known)
    verdicts(*sides, known)


def side(choice: Choice, how: str, known: ProbeSet) -> Retriever:
    return run_retriever(choice, feature_space.space_of(choice, choice.run.evaluation("agreement"), how), known.ids)


def baseline(
    first: Choice, other: Choice | str, chosen: Sequence[Choice], probe: Probe, how: str, known: ProbeSet
) -> Retriever:
    """The other side of the pair: a run, the first one's untrained network, or pixels."""
    if isinstance(other, Choice):
        return side(other, how, known)
    if other == "pixels":
        return pixels_retriever(probe, known.ids, chosen)
    return untrained_retriever(first, feature_space.space_of(first, first.run.evaluation("agreement"), how), known.ids)


def overlap(nearest: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How many neighbours (n,) of each image two models have in common, of rows (n, k) each."""
    k = min(nearest.shape[1], other.shape[1])
    return (nearest[:, :k, None] == other[:, None, :k]).any(axis=2).sum(axis=1)


def share(model: Retriever, known: ProbeSet) -> np.ndarray:
    """Part (n,) of each image's neighbours that are of its class; zero where nothing is known of either."""
    if model.nearest is None or known.labels is None:
        return np.zeros(len(known.ids))
    return (known.labels[model.nearest] == known.labels[:, None]).mean(axis=1)


def neighbours(first: Retriever, other: Retriever, known: ProbeSet) -> None:
    """The images whose neighbours have least in common, and these neighbours."""
    assert first.nearest is not None and other.nearest is not None
    common, k = overlap(first.nearest, other.nearest), min(first.nearest.shape[1], other.nearest.shape[1])
    apart = np.abs(share(first, known) - share(other, known))
    rows = chosen_images.selected_or_all(known.ids)
    rows = rows[np.lexsort((-apart[rows], common[rows]))]
    keep = rows[:ACROSS]
    captions = [f"{common[row]} of {k}" for row in keep]
    sheet = [ImageRow("image", known.images[keep], f"common neighbours of {k}", captions)]
    for model in (first, other):
        assert model.nearest is not None
        for rank in range(min(DEEP, k)):
            nearest = model.nearest[keep, rank]
            label, small, colour = (model.label, model.small, model.colour) if rank == 0 else ("", "", "")
            captions = [verdict(int(row), int(query), known) for row, query in zip(nearest, keep, strict=True)]
            sheet.append(ImageRow(label, known.images[nearest], small, captions, colour, gap=rank == 0))
    st.html(image_grid.sheet(sheet))
    order = ", sorted by difference of their classes" if known.labels is not None else ""
    none = f" · no common neighbours: {int((common[rows] == 0).sum()):,} of {len(rows):,} images"
    page.note(f"images with the fewest common neighbours of {k}{order}, each with its {DEEP} nearest{none}")
    take("Select these images", keep, known, "take-neighbours")


def verdict(row: int, query: int, known: ProbeSet) -> str:
    """Whether a neighbour is of the image's class, and which it is of."""
    if known.labels is None:
        return ""
    mark = "\N{CHECK MARK}" if known.labels[row] == known.labels[query] else "\N{MULTIPLICATION X}"
    return f"{mark} {known.label(row)}"


def verdicts(first: Retriever, other: Retriever, known: ProbeSet) -> None:
    """The images that one model's linear probe gets right and the other's wrong, the clearest first."""
    if known.labels is None or first.predicted is None or other.predicted is None:
        return
    rows = chosen_images.selected_or_all(known.ids)
    both = (first.predicted[rows] >= 0) & (other.predicted[rows] >= 0)
    right, other_right = (predicted[rows] == known.labels[rows] for predicted in (first.predicted, other.predicted))
    clear = share(first, known) - share(other, known)
    st.subheader("Classified correctly by one model only", anchor=False)
    sheet: list[ImageRow] = []
    for model, against, only, sign in (
        (first, other, right & ~other_right, 1),
        (other, first, other_right & ~right, -1),
    ):
        rows_right = rows[both & only]
        keep = rows_right[np.argsort(-sign * clear[rows_right], kind="stable")][:ACROSS]
        if len(keep):
            assert against.predicted is not None
            captions = [f"{known.label(row)}, not {name(against.predicted, row, known)}" for row in keep]
            small = f"correct, {against.label} wrong: {len(rows_right)} images"
            sheet.append(ImageRow(model.label, known.images[keep], small, captions, model.colour, gap=bool(sheet)))
    if not sheet:
        return page.note("None: both linear probes misclassify the same images.")
    st.html(image_grid.sheet(sheet))
    n = int(both.sum())
    page.note(
        f"linear probes of {first.label}{of(first)} and {other.label}{of(other)} on {n:,} probe images · sorted by "
        "how clearly the neighbours favour the correct model"
    )


def of(model: Retriever) -> str:
    return f" ({model.small})" if model.small else ""


def name(predicted: Any, row: int, known: ProbeSet) -> str:
    index = int(predicted[row])
    return known.names[index] if index < len(known.names) else str(index)


def take(label: str, rows: np.ndarray, known: ProbeSet, key: str) -> None:
    """A button that selects images, so that every page shows them."""
    ids = [int(image) for image in known.ids[rows]]
    st.button(label, icon=":material/ads_click:", on_click=chosen_images.select_images, args=(ids,), key=key)
