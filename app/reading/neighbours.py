"""The stored nearest neighbours of the probe images, as rows of the probe set."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from app.reading import files, predictions
from app.reading.choice import Choice
from workbench import palette
from workbench.store import Probe


class ProbeSet(NamedTuple):
    """The images of a probe set.

    Attributes:
        ids: (n,) int64 sample ids.
        images: uint8 (n, H, W, C).
        labels: (n,) int64, or None.
        names: of the classes.
        titles: of the n images; see :func:`files.image_titles`.
    """

    ids: np.ndarray
    images: np.ndarray
    labels: np.ndarray | None
    names: list[str]
    titles: list[str]

    def label(self, row: int) -> str:
        """An image's class, or an empty string."""
        return self.names[int(self.labels[row])] if self.labels is not None else ""


class Retriever(NamedTuple):
    """A model, its untrained network or raw pixels: retrieved images, and predictions of the linear probe.

    Attributes:
        nearest: (n, k) rows of the nearest of each probe image, the nearest first, or None.
        predicted: (n,) classes of the probe images, -1 where unknown, or None.
    """

    label: str
    small: str
    colour: str
    nearest: np.ndarray | None
    predicted: np.ndarray | None = None


def probe_set(probe: Probe | None) -> ProbeSet | None:
    """The images of a probe set, or None unless ids and images are complete."""
    ids = files.matrix(probe.ids(), (None,)) if probe else None
    images = files.pictures(probe.images()) if probe else None
    if probe is None or ids is None or images is None or len(images) != len(ids):
        return None
    labels = files.matrix(probe.labels(), (len(ids),))
    labels = None if labels is None or labels.min() < 0 else labels.astype(np.int64)
    names = files.label_names(probe.info().get("classes"), labels)
    return ProbeSet(ids, images, labels, names, files.image_titles(probe))


def probe_rows(neighbours: Any, ids: np.ndarray) -> np.ndarray | None:
    """Neighbours' ids (n, k) as rows of ``ids`` (n,), or None if some are of other images."""
    nearest = files.matrix(neighbours, (len(ids), None))
    if nearest is None:
        return None
    order = np.argsort(ids, kind="stable")
    rows = order[np.searchsorted(ids[order], nearest).clip(0, len(ids) - 1)]
    return rows if np.array_equal(ids[rows], nearest) else None


def run_retriever(choice: Choice, space: str | None, ids: np.ndarray) -> Retriever:
    """A run in one of its spaces."""
    space = str(space)
    nearest = probe_rows(choice.run.array(f"neighbours-{space}"), ids)
    return Retriever(choice.label, space, choice.colour, nearest, predictions.of_run(choice.run, ids, space))


def untrained_retriever(choice: Choice, space: str | None, ids: np.ndarray) -> Retriever:
    """The same network with random weights."""
    run, space = choice.run, str(space)
    nearest = probe_rows(run.array(f"untrained-neighbours-{space}"), ids)
    predicted = predictions.align(ids, run.array(f"untrained-predicted-{space}"), run.array("predicted-ids"))
    return Retriever(f"untrained {choice.summary.get('method')}", space, palette.GREY, nearest, predicted)


def pixels_retriever(probe: Probe, ids: np.ndarray, chosen: Sequence[Choice]) -> Retriever:
    """Raw pixels."""
    nearest = probe_rows(files.baselines(probe).array("neighbours-pixels"), ids)
    return Retriever("pixels", "", palette.GREY, nearest, predictions.of_pixels(ids, chosen))
