"""How far a map of the probe images keeps classes together, and keeps the neighbours of the features."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial import KDTree

from app.reading import files, neighbours
from app.reading.choice import Choice
from workbench.metrics.intervals import Interval, student
from workbench.store import Probe, Run

K = 10


class MapNeighbours(NamedTuple):
    """Shares in percent of the nearest images in a map, means over images with their 95 % intervals; None where labels
    or the neighbours in the features are not known.

    Attributes:
        purity: those of the image's class.
        retained: those that are among the nearest in the features too.
    """

    purity: Interval | None
    retained: Interval | None


def measure(choice: Choice, kind: str, probe: Probe) -> MapNeighbours | None:
    """The measures of a run's map of a ``kind`` (``tsne``, ``pca``, ``umap``) in its default space; cached until it is
    evaluated again."""
    spaces = files.spaces(choice.run.evaluation("projection"))
    if not spaces:
        return None
    return _measure(choice.run.path, kind, spaces[0], probe.path, files.evaluation_time(choice.run))


@lru_cache(maxsize=64)
def _measure(run_folder: Path, kind: str, space: str, probe_folder: Path, _time: int) -> MapNeighbours | None:
    run, probe = Run(run_folder), Probe(probe_folder)
    ids = files.matrix(probe.ids(), (None,))
    points = files.matrix(run.array(f"{kind}-{space}"), (None, 2))
    if ids is None or points is None or len(points) != len(ids) or len(ids) <= K or not np.isfinite(points).all():
        return None
    nearest = np.asarray(KDTree(points).query(points, K + 1)[1])
    own = nearest == np.arange(len(points))[:, None]
    own[~own.any(axis=1), -1] = True  # where many points coincide, the image may not be among its own nearest
    nearest = nearest[~own].reshape(len(points), K)
    labels = files.matrix(probe.labels(), (len(ids),))
    labelled = labels is not None and labels.min() >= 0
    purity = _mean((labels[nearest] == labels[:, None]).mean(axis=1)) if labels is not None and labelled else None
    stored = neighbours.probe_rows(run.array(f"neighbours-{space}"), ids)
    if stored is None or stored.shape[1] < K:
        return MapNeighbours(purity, None)
    common = (nearest[:, :, None] == stored[:, None, :K]).any(axis=2)
    return MapNeighbours(purity, _mean(common.mean(axis=1)))


def _mean(shares: np.ndarray) -> Interval:
    return Interval(*(100 * np.clip(end, 0, 1) for end in student(shares.tolist())))
