"""Is a difference between two models real? Tests on the same images, which are far sharper than two intervals."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import root_scalar
from scipy.stats import norm
from scipy.stats import t as student_t

from workbench.metrics.intervals import Interval


def paired_proportions(right: np.ndarray, other_right: np.ndarray, level: float = 0.95) -> tuple[Interval, float]:
    """The difference of two models' accuracies on the same images, and the p-value of "both are right equally often".

    Test and interval are one: the interval holds the differences that the score test does not reject, so it excludes 0
    exactly where the p-value is below ``1 - level``. At 0 the score test is McNemar's (Psychometrika 1947) without
    continuity correction. It has an interval even where the models are right on the same images.

    Source: Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design", Statistics in Medicine 1998, which Fagerland, Lydersen and Laake (Statistics in Medicine 2014) recommend
    together with this test.

    Args:
        right, other_right: (n,) bool, which of the same images each model classifies correctly.
        level: coverage of the interval.
    """
    n, only, other_only = len(right), int(np.sum(right & ~other_right)), int(np.sum(other_right & ~right))
    difference, quantile = (only - other_only) / n, float(norm.ppf((1 + level) / 2))

    def score(true: float) -> float:
        linear = -only - other_only + (2 * n - only + other_only) * true
        probability = (np.sqrt(linear**2 + 8 * n * other_only * true * (1 - true)) - linear) / (4 * n)
        distance = only - other_only - n * true
        return distance / np.sqrt(n * (2 * probability + true * (1 - true))) if distance else 0.0

    low, high = -1.0, 1.0
    if difference > -1:
        low = root_scalar(lambda true: score(true) - quantile, bracket=(-1 + 1e-9, difference)).root
    if difference < 1:
        high = root_scalar(lambda true: score(true) + quantile, bracket=(difference, 1 - 1e-9)).root
    chance = float(2 * norm.sf(abs(only - other_only) / np.sqrt(only + other_only))) if only + other_only else 1.0
    return Interval(difference, low, high), chance


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


def unpaired_difference(values: np.ndarray, other_values: np.ndarray, level: float = 0.95) -> tuple[Interval, float]:
    """The difference of two methods' means over training seeds, and the p-value of "none": Welch's t-test.

    It needs no values of single images, and so holds for the test images at hand.

    Args:
        values, other_values: (seeds,) and (other seeds,), at least two each, not all equal on both sides.
        level: coverage of the interval.
    """
    parts = [(float(np.var(own, ddof=1)) / len(own), len(own) - 1) for own in (values, other_values)]
    mean, variance = float(np.mean(values) - np.mean(other_values)), sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    error = float(np.sqrt(variance))
    half = error * float(student_t.ppf((1 + level) / 2, freedom))
    return Interval(mean, mean - half, mean + half), float(2 * student_t.sf(abs(mean) / error, freedom))


def bonferroni(p_values: Sequence[float]) -> list[float]:
    """p-values that hold for all comparisons together: the family-wise error is at most the level they are read at.

    Unlike step-wise corrections, such as Holm's, this one has simultaneous intervals that always agree with it: those
    of :func:`simultaneous_level`.

    Source: Dunn, "Multiple comparisons among means", Journal of the American Statistical Association 1961.
    """
    return [min(1.0, len(p_values) * p_value) for p_value in p_values]


def simultaneous_level(comparisons: int, level: float = 0.95) -> float:
    """The coverage of each of several intervals which cover together at the given level, by Bonferroni's inequality."""
    return 1 - (1 - level) / max(comparisons, 1)
