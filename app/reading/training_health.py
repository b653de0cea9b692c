"""A run's record of its gradients and features, with the spikes, dips and collapses in it."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from app.reading import files
from workbench.format import finite_number
from workbench.metrics.stability import MONITOR_IMAGES, Collapse, Dip, Spike, collapses, dips
from workbench.metrics.stability import spikes as spikes_of
from workbench.run import BATCHES, GRADIENTS
from workbench.store import Run

HEALTH = {
    "linear_monitor": "linear probe, top-1 %",
    "effective_rank": "effective rank",
    "normalised_std": "normalised std",
    "uniformity": "uniformity",
    "alignment": "alignment of two views",
}


@dataclass(frozen=True)
class Series:
    """A quantity over training: ``steps`` and ``values`` (n,), without gaps."""

    steps: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Gradients:
    """Norms over training, the highest since the row before.

    Attributes:
        steps: (n,) of the rows.
        total, first: (n,) of the whole gradient and of the first trained block.
        total_at, first_at: (n,) the steps at which these were.
        layers, at: (n,) each, by layer in order through the network; empty where layers were not recorded.
        name: of the first trained block.
    """

    steps: np.ndarray
    total: np.ndarray
    first: np.ndarray
    total_at: np.ndarray
    first_at: np.ndarray
    layers: dict[str, np.ndarray]
    at: dict[str, np.ndarray]
    name: str


@dataclass(frozen=True)
class Batch:
    """The training images of an unusual step.

    Attributes:
        of: the quantity that was unusual: a gradient norm, or the quantity that was not finite.
        ids: of all images.
        images: uint8 (n, H, W, C), small copies of the first images, or None.
    """

    step: int
    of: str
    ids: list[int]
    images: np.ndarray | None


@dataclass(frozen=True)
class Diagnosis:
    """The stability of a run's training; None or empty for parts that were not recorded.

    Attributes:
        spikes: of the whole gradient, and those of the first trained block alone.
        first_spikes: all spikes of the first trained block.
    """

    knn: Series | None
    gradients: Gradients | None
    spikes: list[Spike]
    first_spikes: list[Spike]
    dips: list[Dip]
    health: dict[str, Series]
    collapses: list[Collapse]


def diagnose(run: Run) -> Diagnosis:
    """The diagnosis of a run; from ``metrics.jsonl`` alone if its gradients were not recorded by layer."""
    columns = files.metrics(run)
    gradients, spikes, first = _recorded(run) or _sampled(columns)
    knn = _series(columns, "knn")
    known = finite_number(files.section(run.info(), "data").get("val"))
    images = int(min(known or MONITOR_IMAGES, MONITOR_IMAGES))
    health = {key: series for key in HEALTH if (series := _series(columns, key)) is not None}
    return Diagnosis(
        knn,
        gradients,
        spikes,
        first,
        dips(knn.steps, knn.values, images, spikes) if knn is not None else [],
        health,
        _collapses(columns),
    )


def _series(columns: dict[str, np.ndarray], key: str) -> Series | None:
    if not {"step", key} <= columns.keys():
        return None
    known = ~np.isnan(columns["step"]) & ~np.isnan(columns[key])
    steps, values = columns["step"][known].astype(int), columns[key][known]
    rising = steps > np.maximum.accumulate(np.concatenate([[-1], steps[:-1]]))
    return Series(steps[rising], values[rising]) if rising.any() else None


def _collapses(columns: dict[str, np.ndarray]) -> list[Collapse]:
    spread, rank = _series(columns, "normalised_std"), _series(columns, "effective_rank")
    if spread is None:
        return []
    known = dict(zip(rank.steps.tolist(), rank.values.tolist(), strict=True)) if rank is not None else {}
    steps = spread.steps.tolist()
    return collapses(steps, spread.values.tolist(), [known.get(step) for step in steps])


def _sampled(columns: dict[str, np.ndarray]) -> tuple[Gradients | None, list[Spike], list[Spike]]:
    """The gradient norms in ``metrics.jsonl``, without layers and not of every step; spikes as in ``Diagnosis``."""
    total, first = _series(columns, "grad_norm"), _series(columns, "grad_norm/first")
    if total is None:
        return None, [], []
    beside = dict(zip(first.steps.tolist(), first.values.tolist(), strict=True)) if first is not None else {}
    values = np.array([beside.get(step, np.nan) for step in total.steps.tolist()])
    gradients = Gradients(total.steps, total.values, values, total.steps, total.steps, {}, {}, "the first block")
    return gradients, *_spikes(gradients)


def _recorded(run: Run) -> tuple[Gradients, list[Spike], list[Spike]] | None:
    """The norms in ``gradients.jsonl`` and their spikes as in :class:`Diagnosis`, or None."""
    info = files.section(run.info(), "gradients")
    names = info.get("layers")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        return None
    try:
        stat = (run.path / GRADIENTS).stat()
    except OSError:
        return None
    return _analysed(
        run.path, tuple(names), str(info.get("first") or "the first block"), stat.st_size, stat.st_mtime_ns
    )


@lru_cache(maxsize=32)
def _analysed(
    folder: Path, names: tuple[str, ...], first: str, size: int, modified: int
) -> tuple[Gradients, list[Spike], list[Spike]] | None:
    """Malformed rows and rows whose step was there before are left out."""
    steps, highest, ago = [], [], []
    for row in Run(folder).metrics(GRADIENTS):
        norms, since = row.get("max"), row.get("ago")
        if not isinstance(norms, list) or not isinstance(since, list):
            continue
        if len(norms) == len(since) == len(names) + 2 and (not steps or row["step"] > steps[-1]):
            steps.append(row["step"])
            highest.append([np.nan if (value := finite_number(norm)) is None else value for norm in norms])
            ago.append([finite_number(value) or 0 for value in since])
    if not steps:
        return None
    norms, at = np.array(highest).T, np.array(steps) - np.array(ago).astype(int).T
    titles = [layer_name(name) for name in names]
    layers, at_layers = (dict(zip(titles, rows[2:], strict=True)) for rows in (norms, at))
    gradients = Gradients(np.array(steps), norms[0], norms[1], at[0], at[1], layers, at_layers, layer_name(first))
    return gradients, *_spikes(gradients)


def _spikes(gradients: Gradients) -> tuple[list[Spike], list[Spike]]:
    """Spikes of the whole gradient with those of the first block alone, and all spikes of the first block."""
    steps, layers, at = gradients.steps, gradients.layers, gradients.at
    whole = spikes_of(steps, gradients.total, layers, at=at, peaks=gradients.total_at)
    first = spikes_of(steps, gradients.first, layers, at=at, peaks=gradients.first_at, of="first")
    first = [replace(spike, layer=spike.layer or gradients.name) for spike in first]
    near = 5 * float(np.median(np.diff(steps))) if len(steps) > 1 else 0.0
    alone = [
        spike
        for spike in first
        if not any(spike.start <= other.end + near and other.start <= spike.end + near for other in whole)
    ]
    return sorted([*whole, *alone], key=lambda spike: spike.start), first


def spike_height(spike: Spike) -> str:
    """The height of a spike in words."""
    norm = " (first layer)" if spike.of == "first" else ""
    return f"{spike.height:.3g} times the median norm{norm}"


def batches(run: Run) -> dict[int, Batch]:
    """The recorded batches of a run by step."""
    by_step = {}
    for row in run.metrics(BATCHES):
        at, ids = finite_number(row.get("at")), files.matrix(row.get("ids"), (None,))
        if at is not None and ids is not None:
            images = files.pictures(run.array(f"batch-{int(at):08d}"))
            by_step[int(at)] = Batch(int(at), str(row.get("of")), ids.astype(int).tolist(), images)
    return by_step


def layer_name(path: str) -> str:
    """A readable name of a layer: ``backbone.blocks.3`` is block 4, as on the other pages."""
    path = re.sub(r"^(backbone|unet|vit)\.", "", path)
    if match := re.fullmatch(r"blocks\.(\d+)", path):
        return f"block {int(match[1]) + 1}"
    path = re.sub(r"(up|down)_blocks\.(-?\d+)", r"\1 \2", path).replace("mid_block", "middle")
    return path.replace("cls_token", "class token").replace("_", " ").replace("<", " ")


def dip_sentence(dip: Dip, first: str, knn: Series, recorded: bool = True) -> str:
    """A sentence on a dip and the spike before it.

    Args:
        first: the name of the first trained block.
        knn: the curve.
        recorded: whether gradient norms were recorded.
    """
    lowest = float(knn.values[knn.steps == dip.step][0])
    back = f"recovered at step {dip.recovered:,}" if dip.recovered is not None else "not recovered"
    text = f"Step {dip.step:,}: kNN fell by {dip.depth:.1f} points to {lowest:.1f} %, {back}. "
    if not recorded:
        return text + "No gradient norms were recorded."
    if (spike := dip.spike) is None:
        return text + "No preceding gradient spike."
    distance = dip.step - spike.start
    before = f"{distance:,} steps before" if distance else "at the same step"
    if spike.layer is None:
        where = "layer unknown"
    elif spike.layer == first:
        where = f"first in {spike.layer}, the first trained layer"
    else:
        where = f"first in {spike.layer}"
    place = "Gradient spike before it" if spike.start <= dip.start else "Gradient spike during the dip"
    return text + f"{place}: {where}, from step {spike.start:,} ({before}), {spike_height(spike)}."
