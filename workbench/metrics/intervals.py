"""Intervals over test samples: how far a number would move on other test images.

Accuracies have Wilson's interval, other numbers that of the percentile bootstrap (Efron 1979).

The models stay as they are, so the intervals hold for this training run, not for another seed; :func:`student` is for
the spread over seeds.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest
from scipy.stats import t as student_t

CHUNK = 4_000_000  # indices drawn at a time


class Interval(NamedTuple):
    """A value and the bounds of its interval, in the value's unit."""

    value: float
    low: float
    high: float


def student(values: Sequence[float] | np.ndarray, level: float = 0.95) -> Interval:
    """The mean of independent measurements, such as one per training seed, and its interval by Student's t.

    Unlike a percentile bootstrap of three or four values, which is far too narrow, it covers at the nominal rate for
    normal measurements of any number from two on.

    Args:
        values: (n,), n >= 1; of a single one the bounds are NaN, since its spread is unknown.
        level: coverage in (0, 1).
    """
    values = np.asarray(values, dtype=np.float64)
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, np.nan, np.nan)
    half = float(student_t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Interval(mean, mean - half, mean + half)


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], n: int, n_boot: int = 1000, level: float = 0.95, seed: int = 0
) -> Interval:
    """The interval of any statistic of ``n`` samples.

    Args:
        statistic: maps sample indices (B, n) to the statistic of each row (B,), NaN where a row has none.
        n: number of samples.
        n_boot: resamplings.
        level: coverage in (0, 1).
        seed: of the resamplings.
    """
    generator = np.random.default_rng(seed)
    rows = max(1, CHUNK // n)
    parts = [
        statistic(generator.integers(0, n, size=(min(rows, n_boot - start), n))) for start in range(0, n_boot, rows)
    ]
    resampled = np.concatenate(parts)
    resampled = resampled[~np.isnan(resampled)]
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2]) if len(resampled) else (np.nan, np.nan)
    return Interval(float(statistic(np.arange(n)[None])[0]), float(low), float(high))


def bootstrap_mean(values: np.ndarray, n_boot: int = 1000, level: float = 0.95, seed: int = 0) -> Interval:
    """The mean of ``values`` (n,): accuracy from hits, PSNR from decibels per image."""
    values = np.asarray(values, dtype=np.float64)
    return bootstrap(lambda rows: values[rows].mean(axis=1), len(values), n_boot, level, seed)


def proportion(hits: np.ndarray, level: float = 0.95) -> Interval:
    """The share of hits (n,) in percent and its interval by Wilson (1927), which is no single point even where all or
    none of a few images are hits; Brown, Cai and DasGupta (Statistical Science 2001) compare it with others."""
    hits = np.asarray(hits, dtype=bool)
    bounds = binomtest(int(hits.sum()), len(hits)).proportion_ci(level, "wilson")
    return Interval(100.0 * float(hits.mean()), 100.0 * bounds.low, 100.0 * bounds.high)


def bootstrap_r2(
    target: np.ndarray, predicted: np.ndarray, n_boot: int = 1000, level: float = 0.95, seed: int = 0
) -> Interval:
    """The explained part of the variance of ``target`` (n, outputs), all outputs counted together; NaN without any."""
    target = np.asarray(target, dtype=np.float64)
    centred = target - target.mean(axis=0)  # against cancellation below
    residual = np.sum((target - predicted) ** 2, axis=1)
    square = np.sum(centred**2, axis=1)

    def statistic(rows: np.ndarray) -> np.ndarray:
        means = np.stack([output[rows].mean(axis=1) for output in centred.T], axis=1)
        variance = square[rows].mean(axis=1) - np.sum(means**2, axis=1)
        known = variance > 1e-9 * square.mean()  # a resample of few images may hold but one of them
        return 1 - residual[rows].mean(axis=1) / np.where(known, variance, np.nan)

    return bootstrap(statistic, len(target), n_boot, level, seed)
