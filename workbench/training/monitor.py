"""What is watched of the features while a model trains: what they tell of the classes, and whether they collapse."""

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

BANK, PAIRS = 4000, 256  # training images that vote; validation images seen in two views
NEIGHBOURS, TEMPERATURE = 20, 0.07


class FeatureMonitor:
    """Reads the method's default feature, in evaluation mode and without gradient, of up to 1,000 validation images.

    With labels of several classes, up to 4,000 training images vote by weighted kNN and train a linear probe. Test
    images are never touched, nor is any random state.

    Args:
        batch_size: images that are read at a time.
        views: the method's augmentations; alignment is measured where there are two.
        seed: of the two views, which are the same at each reading.
    """

    def __init__(
        self, dataset: Dataset, batch_size: int, device: torch.device, views: Sequence[View] = (), seed: int = 0
    ) -> None:
        labelled = dataset.classes is not None and dataset.train.labels is not None and dataset.val.labels is not None
        self.classes = len(dataset.classes or ()) if labelled else 0  # of which a single one tells nothing
        self.batch_size, self.device, self.views, self.seed = batch_size, device, tuple(views), seed
        self.bank, self.queries = _spread(dataset.train, BANK), _spread(dataset.val, MONITOR_IMAGES)

    def __call__(self, method: Method) -> dict[str, float]:
        """Readings by name.

        Returns:
            ``knn`` and ``linear_monitor`` in percent, where there are labels; ``effective_rank``, ``normalised_std``,
            ``uniformity`` and, of two views, ``alignment``, where features are finite: see
            :mod:`workbench.metrics.health`.
        """
        found: dict[str, float] = {}
        with evaluation_mode(method):
            queries = self._features(method, self.queries)
            finite = bool(np.isfinite(queries).all())
            if self.classes > 1:
                found |= self._accuracies(self._features(method, self.bank), queries)
            if finite and len(queries) > 1:
                found |= {
                    "effective_rank": effective_rank(queries),
                    "normalised_std": normalised_std(queries),
                    "uniformity": uniformity(queries),
                }
                if len(self.views) == 2:
                    pairs = _spread(self.queries, PAIRS)
                    found["alignment"] = alignment(*(self._features(method, pairs, view) for view in (0, 1)))
        return found

    def _accuracies(self, bank: np.ndarray, queries: np.ndarray) -> dict[str, float]:
        labels, truth = np.asarray(self.bank.labels), np.asarray(self.queries.labels)
        voted = knn_predict(bank, labels, queries, self.classes, k=NEIGHBOURS, temperature=TEMPERATURE)
        found = {"knn": 100.0 * float((voted == truth).mean())}
        if np.isfinite(bank).all() and np.isfinite(queries).all():
            predicted = ridge_classify(bank, labels, queries, self.classes)
            found["linear_monitor"] = 100.0 * float((predicted == truth).mean())
        return found

    def _features(self, method: Method, split: Split, view: int | None = None) -> np.ndarray:
        parts = []
        for images, ids, _ in loader.ordered(split, self.batch_size, self.device):
            if view is None:
                seen = augment.to_float(images)
            else:
                seen = self.views[view](images, keyed.fork(keyed.sample_keys(self.seed, 0, ids), view))
            parts.append(method.encode(seen)[method.default_feature].float().cpu())
        return torch.cat(parts).numpy()


def _spread(split: Split, n: int) -> Split:
    """At most n samples, evenly over the split."""
    chosen = np.linspace(0, len(split) - 1, min(n, len(split))).astype(int)
    return split.take(chosen)
