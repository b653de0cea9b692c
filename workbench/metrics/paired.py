"""Is a difference between two models real? Tests on the same images, which are far sharper than two intervals."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from workbench.metrics.intervals import Interval, bootstrap_mean


def mcnemar(right: np.ndarray, other_right: np.ndarray) -> float:
    """The p-value of "both models are right equally often", from the images on which only one of them is.

    The exact, conditional form of McNemar's test (Psychometrika 1947): under the null such an image falls to either
    model with probability 1/2, so the two-sided binomial test never rejects too often.

    Args:
        right, other_right: (n,) bool, which of the same images each model classifies correctly.
    """
    only, other_only = int(np.sum(right & ~other_right)), int(np.sum(other_right & ~right))
    return float(binomtest(only, only + other_only).pvalue) if only + other_only else 1.0


def paired_difference(values: np.ndarray, other_values: np.ndarray, level: float = 0.95) -> Interval:
    """The mean of ``values - other_values`` (n,) each with its bootstrap interval over images."""
    return bootstrap_mean(np.asarray(values, np.float64) - np.asarray(other_values, np.float64), level=level)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values that hold for all comparisons together: the family-wise error is at most the level they are read at.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 1979.
    """
    order = np.argsort(p_values, kind="stable")
    stepped = [(len(order) - rank) * p_values[index] for rank, index in enumerate(order)]
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0) if stepped else []
    return adjusted.tolist()
