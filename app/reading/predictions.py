"""Predictions of the linear probes for the probe set's images, joined by sample id."""

from collections.abc import Sequence

import numpy as np

from app.reading import files
from app.reading.choice import Choice
from workbench.comparison.predictions import pixel_predictions
from workbench.store import Run

UNKNOWN = -1


def align(ids: np.ndarray, predicted: np.ndarray | None, predicted_ids: np.ndarray | None) -> np.ndarray | None:
    """Predictions in the order of ``ids``.

    Args:
        ids: (n,) sample ids.
        predicted, predicted_ids: predicted classes and the ids they are of, (m,) each, from a file.

    Returns:
        (n,) class indices, -1 for images without a prediction, or None if no image has one.
    """
    known = files.matrix(predicted_ids, (None,))
    values = files.matrix(predicted, (len(known),)) if known is not None else None
    if known is None or values is None:
        return None
    order = np.argsort(known, kind="stable")
    place = np.searchsorted(known[order], ids).clip(0, len(known) - 1)
    matched = known[order][place] == ids
    return np.where(matched, values[order][place], UNKNOWN).astype(np.int64) if matched.any() else None


def confusion(run: Run, space: str | None, n: int) -> np.ndarray | None:
    """How many test images (n, n) of each true class, the rows, the probe of a space takes for each class, or None."""
    labels = files.matrix(run.array("predicted-labels"), (None,))
    predicted = None if labels is None else files.matrix(run.array(f"predicted-{space}"), labels.shape)
    if labels is None or predicted is None or not (((both := np.stack([labels, predicted])) >= 0) & (both < n)).all():
        return None
    return np.bincount((n * labels + predicted).astype(np.int64), minlength=n * n).reshape(n, n)


def of_run(run: Run, ids: np.ndarray, space: str | None) -> np.ndarray | None:
    """A run's predictions (n,) from a space for images given by id; see :func:`align`."""
    return align(ids, run.array(f"predicted-{space}"), run.array("predicted-ids"))


def of_pixels(ids: np.ndarray, chosen: Sequence[Choice]) -> np.ndarray | None:
    """The predictions (n,) from raw pixels, stored with the first of the runs that has them."""
    for choice in chosen:
        predicted = align(ids, pixel_predictions(choice.run), choice.run.array("predicted-ids"))
        if predicted is not None:
            return predicted
    return None
