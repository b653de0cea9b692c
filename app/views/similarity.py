"""Similarity: what looks alike?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from app import maps, pictures, pieces, reading, selection
from app.selection import Choice
from workbench.store import Probe

TITLE = "What looks alike?"
CORNER = 10


def render() -> None:
    chosen, probe = pieces.same_probe(selection.choices())
    chosen, missing = pieces.having(chosen, "similarity", lambda choice, evaluation: readable(choice, evaluation))
    if chosen:
        spaces = {choice: pick(choice) for choice in chosen}
        matrices = {choice: matrix(choice, space) for choice, space in spaces.items()}
        low = float(min(np.percentile(np.asarray(m[::3, ::3], np.float32), 2) for m in matrices.values()))
        low = np.floor(min(low, 0.9) * 10) / 10
        instances(matrices, spaces, probe, low)
        corners(matrices, probe, low)
        classes(spaces, probe)
    pieces.lacking(missing, "similarity")


def readable(choice: Choice, evaluation: dict[str, Any]) -> bool:
    """Whether a run has a matrix that can be drawn."""
    return any(
        reading.square(choice.run.array(f"similarity-{space}")) is not None for space in reading.spaces(evaluation)
    )


def pick(choice: Choice) -> str:
    """The space of a run that is shown: chosen above its matrix, the default at first."""
    evaluation = choice.run.evaluation("similarity")
    options = [
        space
        for space in reading.spaces(evaluation)
        if reading.square(choice.run.array(f"similarity-{space}")) is not None
    ]
    kept = st.session_state.get(f"space-{choice.index}")
    return kept if kept in options else options[0]


def matrix(choice: Choice, space: str) -> np.ndarray:
    found = reading.square(choice.run.array(f"similarity-{space}"))
    assert found is not None
    return found


def class_labels(choice: Choice, probe: Probe | None, n: int) -> list[str]:
    """Class names of the n images of a matrix, or nothing where they have none."""
    labels = (
        reading.matrix(choice.run.array("similarity-labels"), (n,))
        if choice.run.array("similarity-labels") is not None
        else None
    )
    if labels is None or labels.min() < 0:
        return []
    names = reading.class_names(
        probe.info().get("classes") if probe else None, known_classes(probe, int(labels.max()) + 1)
    )
    return [names[int(label)] for label in labels]


def known_classes(probe: Probe | None, at_least: int) -> int:
    names = probe.info().get("classes") if probe else None
    return max(at_least, len(names) if isinstance(names, list) else 0)


def instances(matrices: dict[Choice, np.ndarray], spaces: dict[Choice, str], probe: Probe | None, low: float) -> None:
    """The large matrices, one per model, on one scale."""
    st.html(pictures.colour_bar(f"{low:.1f}", "1", "cosine similarity"))
    for place, (choice, values) in zip(pieces.columns_of(len(matrices)), matrices.items(), strict=True):
        with place:
            pieces.name(choice.label, choice.colour)
            evaluation = choice.run.evaluation("similarity")
            options = [
                space
                for space in reading.spaces(evaluation)
                if reading.square(choice.run.array(f"similarity-{space}")) is not None
            ]
            st.selectbox(
                "Space",
                options,
                index=options.index(spaces[choice]),
                key=f"space-{choice.index}",
                label_visibility="collapsed",
            )
            figure = maps.similarity(
                values,
                class_labels(choice, probe, len(values)),
                low=low,
                high=1,
                height=pieces.side_of(len(matrices)) + 15,
            )
            pieces.chart(figure, f"similarity-{choice.index}", f"similarity matrix of {choice.label}")
            told = evaluation.get("spaces")
            numbers = told.get(spaces[choice]) if isinstance(told, dict) else None
            if isinstance(numbers, dict):
                pieces.note(summary(numbers))
    pieces.note(
        pieces.protocol(
            list(matrices),
            "similarity",
            "rows: view A, columns: view B, sorted by class",
            "one scale for all; values below it are drawn in its darkest colour",
        )
    )


def summary(numbers: dict[str, Any]) -> str:
    """Diagonal against the rest, in words."""
    parts = []
    for key, text in (
        ("diagonal", "same image {:.2f}"),
        ("off_diagonal", "other images {:.2f}"),
        ("matching", "{:.0f} % find their own second view first"),
    ):
        value = reading.number(numbers.get(key))
        if value is not None:
            parts.append(text.format(value))
    return " · ".join(parts)


def corner_indices(labels: Sequence[str], n: int) -> np.ndarray:
    """Ten images spread over the classes; without classes the first ten."""
    if not labels:
        return np.arange(min(CORNER, n))
    return maps.thin(n, CORNER)


def corners(matrices: dict[Choice, np.ndarray], probe: Probe | None, low: float) -> None:
    """Ten images with printed values."""
    st.subheader("Ten of them, with their values", anchor=False)
    for place, (choice, values) in zip(pieces.columns_of(len(matrices)), matrices.items(), strict=True):
        keep = corner_indices(class_labels(choice, probe, len(values)), len(values))
        with place:
            pieces.name(choice.label, choice.colour, pick(choice))
            figure = maps.corner(
                np.asarray(values[np.ix_(keep, keep)]),
                thumbnails(choice, probe, keep),
                low=low,
                high=1,
                height=pieces.side_of(len(matrices)) + 20,
            )
            pieces.chart(figure, f"corner-{choice.index}", f"ten images' similarities in {choice.label}")
    pieces.note(
        "ten images spread over the classes, the same for every model · thumbnails before augmentation · "
        "view A down, view B across"
    )


def thumbnails(choice: Choice, probe: Probe | None, keep: np.ndarray) -> np.ndarray | None:
    """The probe images of rows ``keep`` of a matrix, uint8 (n, H, W, C), or None where they are not known."""
    ids, known = choice.run.array("similarity-ids"), probe.ids() if probe else None
    images = probe.images() if probe else None
    if ids is None or known is None or images is None or len(ids) <= keep.max():
        return None
    place = {int(image): index for index, image in enumerate(known)}
    wanted = [place[int(ids[index])] for index in keep if int(ids[index]) in place]
    return np.asarray(images[wanted]) if len(wanted) == len(keep) else None


def classes(spaces: dict[Choice, str], probe: Probe | None) -> None:
    """Mean similarity between classes."""
    arrays = {choice: choice.run.array(f"class-similarity-{space}") for choice, space in spaces.items()}
    found = {
        choice: table
        for choice, array in arrays.items()
        if array is not None and (table := reading.square(array)) is not None
    }
    if not found:
        return
    st.subheader("Between classes", anchor=False)
    values = np.concatenate([np.asarray(table).ravel() for table in found.values()])
    low, high = float(values.min()), float(values.max())
    st.html(pictures.colour_bar(f"{low:.2f}", f"{high:.2f}", "mean cosine similarity"))
    for place, (choice, table) in zip(pieces.columns_of(len(found)), found.items(), strict=True):
        names = reading.class_names(probe.info().get("classes") if probe else None, len(table))
        with place:
            pieces.name(choice.label, choice.colour, spaces[choice])
            decimals = 2 if len(names) <= 10 else None
            figure = maps.heat_map(
                table,
                rows=names,
                columns=names,
                low=low,
                high=high,
                decimals=decimals,
                height=pieces.side_of(len(found)),
            )
            pieces.chart(figure, f"classes-{choice.index}", f"class similarity of {choice.label}")
    pieces.note("mean cosine between the images of two classes, view A against view B · the same scale for every model")
