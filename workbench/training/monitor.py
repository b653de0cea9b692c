"""Monitor features during training: how well they separate the classes, and whether they collapse."""

from collections.abc import Sequence

import numpy as np
import torch

from workbench.data import augment, keyed, loader
from workbench.data.augment import View
from workbench.data.datasets import Dataset, Split
from workbench.methods.base import Method, evaluation_mode
from workbench.metrics.health import alignment, effective_rank, normalised_std, uniformity
from workbench.metrics.knn import knn_predict
from workbench.metrics.linear_probe import ridge_classify
from workbench.metrics.stability import MONITOR_IMAGES

BANK, PAIRS = 4000, 256  # training images of the kNN; validation images for alignment
NEIGHBOURS, TEMPERATURE = 20, 0.07


class FeatureMonitor:
    """Reads the method's default feature, in evaluation mode and without gradient, of up to 1,000 validation images.

    With labels of several classes, up to 4,000 training images serve a weighted kNN and train a linear probe. Neither
    test images nor any random state are touched.

    Args:
        batch_size: images that are encoded at a time.
        views: the method's augmentations; alignment is measured if there are two.
        seed: of the two views, which are the same at each reading.
    """

    def __init__(
        self, dataset: Dataset, batch_size: int, device: torch.device, views: Sequence[View] = (), seed: int = 0
    ) -> None:
        labelled = dataset.classes is not None and dataset.train.labels is not None and dataset.val.labels is not None
        self.classes = len(dataset.classes or ()) if labelled else 0
        self.batch_size, self.device, self.views, self.seed = batch_size, device, tuple(views), seed
        self.bank, self.queries = _subset(dataset.train, BANK), _subset(dataset.val, MONITOR_IMAGES)

    def __call__(self, method: Method) -> dict[str, float]:
        """Readings by name.

        Returns:
            ``knn`` and ``linear_monitor`` in percent, with labels; ``effective_rank``, ``normalised_std``,
            ``uniformity`` and, with two views, ``alignment``, if features are finite: see
            :mod:`workbench.metrics.health`.
        """
        readings: dict[str, float] = {}
        with evaluation_mode(method):
            queries = self._features(method, self.queries)
            finite = bool(np.isfinite(queries).all())
            if self.classes > 1:
                readings |= self._accuracies(self._features(method, self.bank), queries)
            if finite and len(queries) > 1:
                readings |= {"effective_rank": effective_rank(queries), "normalised_std": normalised_std(queries)}
                readings["uniformity"] = uniformity(queries)
                if len(self.views) == 2:
                    pairs = _subset(self.queries, PAIRS)
                    readings["alignment"] = alignment(*(self._features(method, pairs, view) for view in (0, 1)))
        return readings

    def _accuracies(self, bank: np.ndarray, queries: np.ndarray) -> dict[str, float]:
        labels, truth = np.asarray(self.bank.labels), np.asarray(self.queries.labels)
        predicted = knn_predict(bank, labels, queries, self.classes, k=NEIGHBOURS, temperature=TEMPERATURE)
        readings = {"knn": 100.0 * float((predicted == truth).mean())}
        if np.isfinite(bank).all() and np.isfinite(queries).all():
            predicted = ridge_classify(bank, labels, queries, self.classes)
            readings["linear_monitor"] = 100.0 * float((predicted == truth).mean())
        return readings

    def _features(self, method: Method, split: Split, view: int | None = None) -> np.ndarray:
        parts = []
        for images, ids, _ in loader.ordered(split, self.batch_size, self.device):
            if view is None:
                inputs = augment.to_float(images)
            else:
                inputs = self.views[view](images, keyed.fork(keyed.sample_keys(self.seed, 0, ids), view))
            parts.append(method.encode(inputs)[method.default_feature].float().cpu())
        return torch.cat(parts).numpy()


def _subset(split: Split, n: int) -> Split:
    """At most n samples, evenly spaced over the split."""
    chosen = np.linspace(0, len(split) - 1, min(n, len(split))).astype(int)
    return split.take(chosen)
