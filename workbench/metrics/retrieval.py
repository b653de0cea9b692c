"""Retrieval by nearest neighbours: are the images that a model finds most alike of the same class?"""

import numpy as np


def average_precision(relevant: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Average precision at k of each query, in [0, 1]; NaN for a query without any relevant image.

    AP@k = 1 / min(R, k) * sum over ranks i of P(i) rel(i), i = 1 … k: P(i) is the precision among the first i, rel(i)
    is 1 where the image at rank i is relevant, R the number of relevant images that there are. Its mean over queries
    is mAP@k as in Weyand et al., "Google Landmarks Dataset v2", CVPR 2020, section 4.

    Args:
        relevant: (queries, k) bool, the retrieved images by rank.
        total: (queries,) R.
    """
    hits = np.asarray(relevant, np.float64)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    possible = np.minimum(total, hits.shape[1]).astype(np.float64)
    return np.sum(precision * hits, axis=1) / np.where(possible > 0, possible, np.nan)


def same_class(nearest: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which retrieved images are of the query's class, and how many others of it there are.

    Args:
        nearest: (n, k) indices of the images that each of n queries retrieves among the others.
        labels: (n,) int64, not negative.

    Returns:
        (n, k) bool and (n,) counts, for :func:`average_precision`.
    """
    return labels[nearest] == labels[:, None], np.bincount(labels)[labels] - 1
