"""Why training dipped: spikes of gradient norms, dips of the kNN curve, and collapse. Pure functions, NumPy alone.

Chen, Xie and He, "An empirical study of training self-supervised vision transformers", ICCV 2021, section 4: the kNN
curve of an unstable training dips, each dip follows a spike of the gradient, and the spike begins in the first layer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

MONITOR_IMAGES = 1000
"""Validation images, at most, of a reading of the monitor."""
WINDOW, HISTORY = 50, 15  # rows before a row that define what is usual; the fewest that suffice
MAD_TO_STD = 1.4826  # of normal values
LEAST_SPREAD = 0.02  # of log norms; a calm gradient does not make ripples spikes
FLAT, NARROW = 0.01, 0.1  # see :func:`collapses`
THRESHOLD, LEAST_HEIGHT = 4.0, 2.0  # robust z-score and multiple of the usual norm from which a row is of a spike
RISEN = (4.0, 1.5)  # robust z-score and multiple of the usual norm from which a layer takes part in a spike


@dataclass(frozen=True)
class Spike:
    """A stretch of rows whose gradient norm is far above the usual.

    Attributes:
        start, step, end: where it begins, is highest and ends, in steps.
        height: the highest norm, as a multiple of the median before it.
        z: its robust z-score.
        layer: the layer that rose first, or None where layers are not known or none of them rose.
        of: whose norm it is: the ``total`` gradient's, or that of the ``first`` trained layer, which is what height
            and z are of.
    """

    start: int
    step: int
    end: int
    height: float
    z: float
    layer: str | None = None
    of: Literal["total", "first"] = "total"


@dataclass(frozen=True)
class Dip:
    """A fall of the kNN curve.

    Attributes:
        start: the first reading that is too low to be chance, in steps; ``before`` the reading before it.
        step: of the lowest reading.
        depth: from the highest reading so far to the lowest one, in points.
        recovered: the first reading that is back, in steps, or None where there is none yet.
        spike: the last spike that began by ``start`` and after the reading before ``before``; where there is none, the
            last one on the way down to the lowest reading, or None.
        near: every spike that began after the reading before ``before`` and by the lowest one, ``spike`` among them.
    """

    before: int
    start: int
    step: int
    depth: float
    recovered: int | None
    spike: Spike | None = None
    near: tuple[Spike, ...] = ()


@dataclass(frozen=True)
class Collapse:
    """A stretch of readings in which features hardly tell images apart.

    Attributes:
        step: of the reading that showed it; until: of the one that showed its end, or None.
        reason: what happened, in words.
    """

    step: int
    reason: str
    until: int | None = None


def robust_z(values: np.ndarray, window: int = WINDOW, history: int = HISTORY) -> tuple[np.ndarray, np.ndarray]:
    """How unusual each log norm is after the rows before it.

    Args:
        values: (n,) norms; what is not above zero counts as unknown.
        window: rows before a row whose median and MAD (median absolute deviation) define what is usual; the row itself
            and later ones do not count.
        history: the fewest of them that suffice.

    Returns:
        (n,) z-scores, and (n,) the medians as norms; NaN where the history is too short or the value unknown.
    """
    values = np.asarray(values, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(values > 0, np.log(values), np.nan)
    logs[~np.isfinite(logs)] = np.nan
    scores, usual = np.full(len(logs), np.nan), np.full(len(logs), np.nan)
    if len(logs) <= history:
        return scores, usual
    padded = np.concatenate([np.full(window, np.nan), logs])
    # Row i holds the values i - window … i - 1.
    past = np.lib.stride_tricks.sliding_window_view(padded, window)[: len(logs)]
    enough = np.sum(~np.isnan(past), axis=1) >= history
    past = past[enough]
    median = _median(past)
    deviation = _median(np.abs(past - median[:, None]))
    scores[enough] = (logs[enough] - median) / np.maximum(MAD_TO_STD * deviation, LEAST_SPREAD)
    usual[enough] = np.exp(median)
    return scores, usual


def _median(rows: np.ndarray) -> np.ndarray:
    """Medians (n,) of rows (n, m) with a number in each, NaN left out; NumPy's ``nanmedian`` takes far longer."""
    ordered, count = np.sort(rows, axis=1), np.sum(~np.isnan(rows), axis=1)  # NaN come last
    middle = np.stack([(count - 1) // 2, count // 2], axis=1)
    return np.take_along_axis(ordered, middle, axis=1).mean(axis=1)


def spikes(
    steps: np.ndarray,
    norms: np.ndarray,
    layers: Mapping[str, np.ndarray] | None = None,
    *,
    at: Mapping[str, np.ndarray] | None = None,
    peaks: np.ndarray | None = None,
    of: Literal["total", "first"] = "total",
    threshold: float = THRESHOLD,
    lookback: int = 5,
) -> list[Spike]:
    """Rows whose norm is more than ``threshold`` robust deviations above the usual, and twice it; neighbours are one.

    Args:
        steps: (n,) of the rows, rising.
        norms: (n,) the whole gradient's norm, or a part's.
        layers: (n,) norms by layer, in order through the network.
        at: (n,) by layer the step of each of these norms, where they are the highest of several steps.
        peaks: (n,) likewise of ``norms``.
        of: whose norms they are.
        threshold: z-score of the log norm against the rows before it (:func:`robust_z`).
        lookback: rows before the spike in which a layer may have risen already.
    """
    steps, norms = np.asarray(steps), np.asarray(norms, np.float64)
    scores, usual = robust_z(norms)
    high = np.flatnonzero(_stands_out(norms, scores, usual, threshold))
    when = steps if peaks is None else np.asarray(peaks)
    stretches = []
    for rows in np.split(high, np.flatnonzero(np.diff(high) > 2) + 1) if len(high) else []:
        top = rows[np.argmax(norms[rows])]
        layer = _first_to_rise(layers or {}, at or {}, steps, max(rows[0] - lookback, 0), int(top))
        height, z = float(norms[top] / usual[rows[0]]), float(scores[rows].max())
        stretches.append(Spike(int(when[rows[0]]), int(when[top]), int(steps[rows[-1]]), height, z, layer, of))
    return stretches


def is_spike(norms: Sequence[float | None]) -> bool:
    """Whether the last of some norms (n,), None where unknown, belongs to a spike by the rule of :func:`spikes`.

    Only the :data:`WINDOW` norms before it count.
    """
    values = np.array(norms[-WINDOW - 1 :], np.float64)
    scores, usual = robust_z(values)
    return bool(_stands_out(values, scores, usual, THRESHOLD)[-1])


def _stands_out(norms: np.ndarray, scores: np.ndarray, usual: np.ndarray, threshold: float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return (scores > threshold) & (norms >= LEAST_HEIGHT * usual)


def _first_to_rise(
    layers: Mapping[str, np.ndarray], at: Mapping[str, np.ndarray], steps: np.ndarray, low: int, top: int
) -> str | None:
    """The layer that rises first within the rows ``low`` to ``top``; of several at one step the one that rises most.

    Of the row in which a layer rises only its highest norm is known, so that is the step that counts.
    """
    candidates, begin = [], max(low - WINDOW, 0)
    for name, values in layers.items():
        norms = np.asarray(values, np.float64)[begin : top + 1]
        scores, usual = robust_z(norms)
        with np.errstate(invalid="ignore"):
            rises = np.flatnonzero((scores > RISEN[0]) & (norms >= RISEN[1] * usual))
        rises = rises[rises >= low - begin]
        if len(rises):
            row = rises[0]
            candidates.append((int(at.get(name, steps)[begin + row]), -float(scores[row]), name))
    return min(candidates)[2] if candidates else None


def dips(
    steps: np.ndarray, accuracy: np.ndarray, images: int, spikes: Sequence[Spike] = (), *, threshold: float = 3.0
) -> list[Dip]:
    """Falls of a kNN curve below its highest reading so far by more than the readings' binomial uncertainty.

    A reading p of n images has the variance p (1 - p) / n; the difference of two has the sum of theirs, at most, since
    both are of the same images. A dip ends with the first reading within this uncertainty of the highest one again.

    Args:
        steps: (n,) of the readings, rising.
        accuracy: (n,) in percent.
        images: how many images each reading is of.
        spikes: that may have come before, by their start.
        threshold: standard deviations of the difference.
    """
    steps, accuracy = np.asarray(steps), np.asarray(accuracy, np.float64)
    if len(accuracy) < 2:
        return []
    highest = np.maximum.accumulate(accuracy)
    variance = [part * (100.0 - part) / max(images, 1) for part in (highest, accuracy)]
    low = highest - accuracy > threshold * np.sqrt(np.maximum(variance[0] + variance[1], 1e-12))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], low, [False]]).astype(int)))
    falls = []
    for first, after in zip(edges[::2], edges[1::2], strict=True):
        bottom = first + int(np.argmin(accuracy[first:after]))
        earliest = steps[first - 2] if first > 1 else -1
        near = tuple(spike for spike in spikes if earliest < spike.start <= steps[bottom])
        causes = tuple(spike for spike in near if spike.start <= steps[first]) or near
        falls.append(
            Dip(
                before=int(steps[first - 1]),
                start=int(steps[first]),
                step=int(steps[bottom]),
                depth=float(highest[bottom] - accuracy[bottom]),
                recovered=int(steps[after]) if after < len(steps) else None,
                spike=max(causes, key=lambda spike: spike.start, default=None),
                near=near,
            )
        )
    return falls


def collapses(steps: Sequence[int], spread: Sequence[float | None], rank: Sequence[float | None]) -> list[Collapse]:
    """Where features stopped telling images apart, dated by the second such reading in a row, and where that ended.

    Complete collapse: :func:`workbench.metrics.health.normalised_std` below :data:`FLAT`, so that the mean cosine of
    different images is above 0.9999; over above twice that. Dimensional collapse (Jing et al., "Understanding
    dimensional collapse", ICLR 2022): the effective rank below a tenth of the highest so far; over above a fifth. Two
    readings in a row, so that neither the first one nor a single outlier is reported.

    Args:
        steps: (n,) of the readings, rising.
        spread: (n,) normalised standard deviations, None where unknown.
        rank: (n,) effective ranks, None where unknown.
    """
    stretches: list[Collapse] = []
    for name, values in (("complete", spread), ("dimensional", rank)):
        low_before, current, highest = False, None, 0.0
        for step, value in zip(steps, values, strict=True):
            if value is None or not np.isfinite(value):
                continue
            highest = max(highest, value)
            edge = FLAT if name == "complete" else NARROW * highest
            if current is None and value < edge and low_before:
                current = Collapse(int(step), _named(name, value, highest))
            elif current is not None and value > 2 * edge:
                stretches.append(replace(current, until=int(step)))
                current = None
            low_before = value < edge
        if current is not None:
            stretches.append(current)
    complete = [collapse for collapse in stretches if "complete" in collapse.reason]
    dimensional = [_after(collapse, complete) for collapse in stretches if collapse not in complete]
    return sorted([*complete, *filter(None, dimensional)], key=lambda collapse: collapse.step)


def _after(dimensional: Collapse, complete: Sequence[Collapse]) -> Collapse | None:
    """A dimensional collapse less the part that a complete one covers, which says it already."""
    for collapse in complete:
        if collapse.step <= dimensional.step and (collapse.until is None or dimensional.step < collapse.until):
            end = collapse.until
            outlasts = end is not None and (dimensional.until is None or dimensional.until > end)
            return replace(dimensional, step=end) if outlasts else None
    return dimensional


def _named(name: str, value: float, highest: float) -> str:
    if name == "complete":
        return (
            "the features of all images are nearly the same "
            f"(standard deviation {value:.2g} of a possible 1; complete collapse)"
        )
    return f"the features' effective rank has fallen from {highest:.3g} to {value:.2g} (dimensional collapse)"
