"""Is a difference between two models real? Tests on the same images, which are far sharper than two intervals."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest
from scipy.stats import t as student_t

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


def crossed_difference(values: np.ndarray, other_values: np.ndarray, level: float = 0.95) -> tuple[Interval, float]:
    """The difference of two methods' means over training seeds *and* images, and the p-value of "none".

    Seeds and images are both samples of what might have been, and every seed is measured on every image. The variance
    is that of Owen's pigeonhole bootstrap (Annals of Applied Statistics 2007), which resamples the seeds of each method
    and, jointly for both, the images; it adds up (seeds of one) + (seeds of the other) + (paired images) and errs a
    little on the large side. Its quantiles would be too narrow for three seeds (88 % coverage at a nominal 95 % in
    simulation), so interval and test are Student's t on Satterthwaite's degrees of freedom, as in Welch's test.
    Radiology compares readers on the same cases in the same way (Obuchowski and Rockette 1995).

    Args:
        values, other_values: (seeds, n) and (other seeds, n), such as hits of the same n >= 2 images. What has a single
            row counts as fixed: raw pixels have no seed.
        level: coverage of the interval.
    """
    values, other_values = np.asarray(values, np.float64), np.asarray(other_values, np.float64)
    by_image = values.mean(axis=0) - other_values.mean(axis=0)
    parts = [(float(by_image.var(ddof=1)) / len(by_image), len(by_image) - 1)]
    parts += [
        (float(rows.mean(axis=1).var(ddof=1)) / len(rows), len(rows) - 1)
        for rows in (values, other_values)
        if len(rows) > 1
    ]
    mean, variance = float(by_image.mean()), sum(part for part, _ in parts)
    if variance == 0:
        return Interval(mean, mean, mean), 1.0 if mean == 0 else 0.0
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    error = float(np.sqrt(variance))
    half = error * float(student_t.ppf((1 + level) / 2, freedom))
    return Interval(mean, mean - half, mean + half), float(2 * student_t.sf(abs(mean) / error, freedom))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values that hold for all comparisons together: the family-wise error is at most the level they are read at.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 1979.
    """
    order = np.argsort(p_values, kind="stable")
    stepped = [(len(order) - rank) * p_values[index] for rank, index in enumerate(order)]
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0) if stepped else []
    return adjusted.tolist()
