"""Similarity: what looks alike?"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import streamlit as st

from app.figures import image_grid
from app.figures.matrices import heat_map, image_map, similarity_map, thin
from app.reading import files, verdict
from app.reading.choice import Choice
from app.state import chosen_images
from app.widgets import gaps, page, subset, verdicts
from workbench.format import decimals, finite_number
from workbench.store import Probe, Run

TITLE = "Similarity"
QUESTION = "Which images have similar features?"
EVALUATIONS = ("similarity",)
CORNER = 10
SCALES = ["one per model", "shared by all models", "full range, -1 to 1"]
OWN, SHARED, FULL = SCALES
SCALE_TEXT = (
    "colours: from the median similarity of different images to the median of the diagonal, or to the "
    "99th percentile where that is higher; full range: from -1 to 1"
)
LOWEST, HIGHEST = 50, 99  # percentiles of the similarities of different images between which colours differ


class SimilarityMap(NamedTuple):
    """A model's matrix (n, n) in one of its spaces, what the ends of its colour scale mean, and which rows (n,) of the
    stored matrix it has: all of them, or those of the selected images."""

    choice: Choice
    space: str
    matrix: np.ndarray
    limits: tuple[float, float]
    rows: np.ndarray


def render() -> None:
    chosen, missing, probe = gaps.with_evaluation("similarity", usable_spaces)
    if chosen:
        page.verdict(answer(chosen))
        chosen = subset.subset_of(chosen)
        scale = page.switch("Colour scale", SCALES, "scale")
        shared = scale != OWN
        tables = {choice: matrix(choice, picked(choice)) for choice in chosen}
        limits = colour_limits({choice: table[::3, ::3] for choice, table in tables.items()}, scale)
        models = []
        for choice, table in tables.items():
            rows = kept_rows(choice, len(table))
            models.append(SimilarityMap(choice, picked(choice), table[np.ix_(rows, rows)], limits[choice], rows))
        instances(models, probe, shared)
        corners(models, probe)
        classes(models, probe, scale)
    gaps.explain(missing, "similarity")


def answer(chosen: Sequence[Choice]) -> str:
    """Whose features find an image's second view most often, each in its headline space."""

    def row_of(run: Run, space: str | None) -> dict[str, Any] | None:
        rows = files.rows(run.evaluation("similarity"), model="run", metric="matching", space=space)
        return next(iter(rows), None)

    numbers = verdicts.of_groups(chosen, "similarity", row_of)
    return verdict.ranking(numbers, "share of images whose second view is the most similar image", "%")


def usable_spaces(choice: Choice) -> list[str]:
    """Spaces of a run that have a matrix, the default first."""
    names = files.spaces(choice.run.evaluation("similarity"))
    return [space for space in names if files.square(choice.run.array(f"similarity-{space}")) is not None]


def kept_rows(choice: Choice, n: int) -> np.ndarray:
    """The rows of the selected images where at least two of them are among the ``n`` compared ones, else all."""
    ids = files.matrix(choice.run.array("similarity-ids"), (n,))
    rows = chosen_images.selected_rows(ids) if ids is not None else None
    return rows if rows is not None and len(rows) > 1 else np.arange(n)


def picked(choice: Choice) -> str:
    """The space that was picked above the model's matrix, the default at first."""
    options, choice_before = usable_spaces(choice), st.session_state.get(f"space-{choice.index}")
    return choice_before if choice_before in options else options[0]


def matrix(choice: Choice, space: str) -> np.ndarray:
    table = files.square(choice.run.array(f"similarity-{space}"))
    assert table is not None
    return table


def colour_limits(tables: Mapping[Choice, np.ndarray], scale: str) -> dict[Choice, tuple[float, float]]:
    """What the ends of each model's colour scale mean.

    The scale begins at the median similarity of different images, and ends where most of the diagonal lies
    (its median), unless different images are more similar; so the diagonal is seen where it stands out at all.
    Entries that are no numbers are left out; a table of nothing else is drawn from 0 to 1.

    Args:
        tables: similarities (n, n) by model, in [-1, 1].
        scale: of :data:`SCALES`; the same for every model has the widest ends of all.
    """
    if scale == FULL:
        return dict.fromkeys(tables, (-1.0, 1.0))
    ends = {choice: data_limits(np.asarray(table, np.float64)) for choice, table in tables.items()}
    lows, highs = zip(*ends.values(), strict=True)
    return dict.fromkeys(ends, (min(lows), max(highs))) if scale == SHARED else ends


def data_limits(table: np.ndarray) -> tuple[float, float]:
    """The ends of the colour scale for one matrix (n, n); see :func:`colour_limits`."""
    diagonal, others = np.diag(table), table[~np.eye(len(table), dtype=bool)]
    diagonal, others = diagonal[np.isfinite(diagonal)], others[np.isfinite(others)]
    if not len(diagonal) + len(others):
        return 0.0, 1.0
    low, high = np.percentile(others if len(others) else diagonal, (LOWEST, HIGHEST))
    high = max(float(high), float(np.median(diagonal)) if len(diagonal) else -1.0)
    return (float(low), high) if high > low else (float(low) - 0.01, high + 0.01)


def legend(limits: tuple[float, float], what: str) -> None:
    low, high = (f"{end:.2f}" for end in limits)
    beyond = limits != (-1.0, 1.0)
    st.html(image_grid.colour_bar(low + " or less" * beyond, high + " or more" * beyond, what))


def class_labels(model: SimilarityMap, probe: Probe | None) -> list[str]:
    """Class names of the matrix's images, or nothing where they have none."""
    labels = files.matrix(model.choice.run.array("similarity-labels"), (None,))
    if labels is None or labels.min() < 0 or len(labels) <= model.rows.max():
        return []
    labels = np.asarray(labels[model.rows])
    names = files.label_names(probe.info().get("classes") if probe else None, labels)
    return [names[int(label)] for label in labels]


def image_names(model: SimilarityMap, probe: Probe | None) -> list[str]:
    """The matrix's images by file name or sample id, and class, as far as they are known."""
    ids, labels = files.matrix(model.choice.run.array("similarity-ids"), (None,)), class_labels(model, probe)
    ids = ids if ids is not None and len(ids) > model.rows.max() else None
    titles = dict(zip(np.asarray(probe.ids()).tolist(), files.image_titles(probe), strict=True)) if probe else {}
    known = None if ids is None else [titles.get(image, f"image {image}") for image in ids[model.rows].tolist()]
    names = known or [f"row {row}" for row in model.rows]
    return [f"{name}, {label}" for name, label in zip(names, labels, strict=True)] if labels else names


def instances(models: Sequence[SimilarityMap], probe: Probe | None, shared: bool) -> None:
    """The large matrices, one per model."""
    if chosen_images.selected_ids():
        parts = {len(model.rows) for model in models if len(model.rows) < len(matrix(model.choice, model.space))}
        counts = " / ".join(f"{part:,}" for part in sorted(parts))
        page.note(
            f"{counts} of the selected images are available and shown; clear the selection above to see all."
            if parts
            else "Fewer than two of the selected images are available, so all are shown."
        )
    if shared:
        legend(models[0].limits, "cosine similarity")
    for model in page.side_by_side(models):
        choice, (low, high) = model.choice, model.limits
        page.heading(choice.label, choice.colour)
        options, key = usable_spaces(choice), f"space-{choice.index}"
        st.selectbox("Space", options, options.index(model.space), key=key, label_visibility="collapsed")
        if not shared:
            legend(model.limits, "cosine")
        labels, names = class_labels(model, probe), image_names(model, probe)
        height = page.side(len(models)) + 15
        figure = similarity_map(model.matrix, labels, low=low, high=high, names=names, height=height)
        page.chart(figure, f"similarity-{choice.index}", f"cosine similarity in {choice.label}, {model.space}")
        spaces = files.section(choice.run.evaluation("similarity"), "spaces")
        if numbers := files.section(spaces, model.space):
            page.note(summary(numbers))
    choices = [model.choice for model in models]
    page.protocol(choices, "similarity", "rows: view A, columns: view B, sorted by class", SCALE_TEXT)


def summary(numbers: dict[str, Any]) -> str:
    """Diagonal against the rest, in words."""
    texts = {
        "diagonal": "same image {:.2f}",
        "off_diagonal": "other images {:.2f}",
        "matching": "second view most similar for {:.0f} %",
    }
    values = {key: finite_number(numbers.get(key)) for key in texts}
    return " · ".join(texts[key].format(value) for key, value in values.items() if value is not None)


def corners(models: Sequence[SimilarityMap], probe: Probe | None) -> None:
    """Ten images, spread over the classes, with printed values."""
    ten = "Ten" if any(len(model.rows) >= CORNER for model in models) else "Each"
    st.subheader(f"{ten} images with values", anchor=False)
    for model in page.side_by_side(models):
        choice, (low, high) = model.choice, model.limits
        page.heading(choice.label, choice.colour, model.space)
        keep = thin(len(model.matrix), CORNER)
        values = np.asarray(model.matrix[np.ix_(keep, keep)])
        images = thumbnails(choice, probe, model.rows[keep])
        names = np.array(image_names(model, probe))[keep].tolist()
        height = page.side(len(models)) + 20
        figure = image_map(values, images, names=names, low=low, high=high, height=height)
        alt = f"cosine similarity of ten images in {choice.label}, {model.space}"
        page.chart(figure, f"corner-{choice.index}", alt)
    page.note("the same images for all models, spread over the classes · rows: view A, columns: view B")
    page.details("thumbnails before augmentation · colours as above")


def thumbnails(choice: Choice, probe: Probe | None, keep: np.ndarray) -> np.ndarray | None:
    """The probe images of rows ``keep`` of a matrix, uint8 (n, H, W, C), or None where they are not known."""
    ids, known = choice.run.array("similarity-ids"), probe.ids() if probe else None
    images = files.pictures(probe.images()) if probe else None
    if ids is None or known is None or images is None or len(ids) <= keep.max():
        return None
    place = {int(image): index for index, image in enumerate(known)}
    wanted = [place[int(ids[index])] for index in keep if int(ids[index]) in place]
    return np.asarray(images[wanted]) if len(wanted) == len(keep) else None


def classes(models: Sequence[SimilarityMap], probe: Probe | None, scale: str) -> None:
    """Mean similarity between classes."""
    shared = scale != OWN
    spaces = {model.choice: model.space for model in models}
    tables = {c: files.square(c.run.array(f"class-similarity-{space}")) for c, space in spaces.items()}
    tables = {choice: table for choice, table in tables.items() if table is not None}
    if not tables:
        return
    limits = colour_limits(tables, scale)
    st.subheader("Similarity between classes", anchor=False)
    if shared:
        legend(next(iter(limits.values())), "mean cosine similarity")
    for choice, table in page.side_by_side(tables.items()):
        names = files.class_names(probe.info().get("classes") if probe else None, len(table))
        low, high = limits[choice]
        digits = decimals((high - low) / 20) if len(names) <= 10 else None
        height = page.side(len(tables))
        page.heading(choice.label, choice.colour, spaces[choice])
        if not shared:
            legend(limits[choice], "mean cosine")
        figure = heat_map(table, rows=names, columns=names, low=low, high=high, decimals=digits, height=height)
        alt = f"mean cosine similarity of classes in {choice.label}, {spaces[choice]}"
        page.chart(figure, f"classes-{choice.index}", alt)
    empty = " · empty: no pairs of different images" if any(np.isnan(table).any() for table in tables.values()) else ""
    page.note("mean cosine between the images of two classes, view A against view B" + empty)
