"""Shares of variance in a balanced two-way design: how much of the variation goes with either factor (Fisher 1925).

With R runs of each of A x B combinations, values y_abr have sums of squares about their means that add up,

    total = A's means + B's means + interaction + runs within a combination.

Noise alone contributes to each of the first three its degrees of freedom times the variance s^2 of runs within a
combination. That is subtracted, so that a factor without effect has a share of about nothing and more runs do not lower
a share:

    share of A = max(0, SS_A - df_A s^2) / (the same of A, B and AxB + ABR s^2)

(the estimate behind omega squared; Hays 1963). With ever more runs it tends to eta squared.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as f_distribution

DRAWS = 2000


class Share(NamedTuple):
    """A part's share of all variance in [0, 1].

    Attributes:
        value: the share; those of all parts sum to 1.
        low, high: bounds of its 95 % interval over runs.
        p: of the F test against runs within a combination; NaN for the runs themselves.
    """

    value: float
    low: float
    high: float
    p: float


def two_way_shares(
    values: NDArray[np.floating], draws: int = DRAWS, seed: int = 0
) -> tuple[Share, Share, Share, Share]:
    """Shares of the first factor, the second, their interaction, and runs within a combination.

    Intervals are percentiles over experiments simulated from the fitted one: its effects, shrunk by what noise
    explains, plus residuals drawn from all of its own, which are scaled up for the means subtracted from them
    (Davison and Hinkley 1997, section 6.3).

    Args:
        values: (A, B, R), A and B >= 2 and R >= 2 runs of each combination.
        draws: simulated experiments.
        seed: of the simulation.

    Raises:
        ValueError: fewer values, or any that is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 3 or min(values.shape) < 2 or not np.isfinite(values).all():
        raise ValueError(f"Two-way shares need finite values (A, B, R) of at least two each, not {values.shape}.")
    a, b, runs = values.shape
    degrees = np.array([a - 1, b - 1, (a - 1) * (b - 1), a * b * (runs - 1)])
    *effects, residuals = _parts(values)
    sums = _sums_of_squares(values)
    if sums.sum() <= 1e-24 * np.square(values).sum():  # equal up to rounding
        nothing = Share(*[np.nan] * 4)
        return nothing, nothing, nothing, nothing
    within = sums[3] / degrees[3]
    shrinkage = np.sqrt(np.maximum(sums[:3] - degrees[:3] * within, 0) / np.where(sums[:3] > 0, sums[:3], 1))
    means = sum(part * factor for part, factor in zip(effects, shrinkage, strict=True))
    pool = residuals.ravel() * np.sqrt(runs / (runs - 1))
    resampled = means + pool[np.random.default_rng(seed).integers(0, pool.size, (draws, *values.shape))]
    simulated = _sums_of_squares(resampled)
    simulated = simulated[:, simulated.sum(axis=0) > 0]  # an experiment without differences has no shares
    low, high = np.quantile(_shares(simulated, degrees), (0.025, 0.975), axis=1)
    tests = f_distribution.sf(sums / degrees / within, degrees, degrees[3]) if within else np.zeros(4)
    tests[3] = np.nan
    shares = _shares(sums, degrees)
    first, second, both, rest = (Share(*map(float, part)) for part in zip(shares, low, high, tests, strict=True))
    return first, second, both, rest


def _parts(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Effects of A, B and their interaction, and residuals, which broadcast to the values (..., A, B, R)."""
    cells = values.mean(axis=-1, keepdims=True)
    grand = cells.mean(axis=(-3, -2), keepdims=True)
    of_a, of_b = cells.mean(axis=-2, keepdims=True) - grand, cells.mean(axis=-3, keepdims=True) - grand
    return of_a, of_b, cells - grand - of_a - of_b, values - cells


def _sums_of_squares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of A, B, their interaction, and runs (4, ...), for values (..., A, B, R)."""
    parts = (np.broadcast_to(np.square(part), values.shape) for part in _parts(values))
    return np.stack([part.sum(axis=(-3, -2, -1)) for part in parts])


def _shares(sums: NDArray[np.float64], degrees: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shares (4, ...) of sums of squares (4, ...)."""
    within = sums[3] / degrees[3]
    explained = [np.maximum(part - df * within, 0) for part, df in zip(sums[:3], degrees[:3], strict=True)]
    parts = np.stack([*explained, (degrees.sum() + 1) * within])
    return parts / parts.sum(axis=0)
