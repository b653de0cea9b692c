"""``denoising.json`` and its arrays; inconsistent or damaged parts are left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.reading import files
from app.reading.choice import Choice
from app.reading.curve import Curve
from workbench.format import finite_number

TASK = "denoising"


def format_log_snr(log_snr: float) -> str:
    """ln SNR with one digit after the point, a typographic minus and no minus zero."""
    return f"{round(log_snr, 1) + 0.0:.1f}".replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True)
class FilmStrip:
    """A run's images under noise and its estimates of the clean ones.

    Attributes:
        ids: (images,) sample ids.
        noised, estimate: uint8 (images, levels, H, W, C).
        t, log_snr: (levels,).
    """

    choice: Choice
    ids: np.ndarray
    noised: np.ndarray
    estimate: np.ndarray
    t: np.ndarray
    log_snr: np.ndarray


def levels(evaluation: dict[str, Any]) -> np.ndarray | None:
    """Times and ln SNR (levels, 2) of the images, or None."""
    entries = files.entries(evaluation, "levels")
    places = [[finite_number(level.get(key)) for key in ("t", "log_snr")] for level in entries]
    return files.matrix(places, (None, 2)) if places and all(None not in place for place in places) else None


def film_strip(choice: Choice) -> FilmStrip | None:
    """The film strip of a run, or None where it is missing or damaged."""
    places = levels(choice.run.evaluation(TASK))
    ids = files.matrix(choice.run.array("denoising-ids"), (None,))
    if places is None or ids is None:
        return None
    shape = (len(ids), len(places))
    noised = files.pictures(choice.run.array("denoising-noised"), shape)
    estimate = files.pictures(choice.run.array("denoising-estimate"), shape)
    if noised is None or estimate is None or noised.shape != estimate.shape:
        return None
    return FilmStrip(choice, ids, noised, estimate, places[:, 0], places[:, 1])


def parametrisations(choice: Choice, film: FilmStrip) -> tuple[list[str], np.ndarray, np.ndarray] | None:
    """Names of the parametrisations, and the network's predictions and the true values, uint8
    (parametrisations, images, levels, H, W, C) each."""
    names = choice.run.evaluation(TASK).get("views")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    shape = (len(names), *film.estimate.shape[:2])
    predicted = files.pictures(choice.run.array("denoising-views"), shape)
    truth = files.pictures(choice.run.array("denoising-truth"), shape)
    if predicted is None or truth is None or not predicted.shape[1:] == truth.shape[1:] == film.estimate.shape:
        return None
    return names, predicted, truth


def metric_curve(choice: Choice, metric: str, x: str = "log_snr", y: str = "value") -> Curve | None:
    """A metric of a run over ``log_snr`` or ``t``; with its interval where ``y`` is the value itself."""
    columns = (x, y, "low", "high") if y == "value" else (x, y)
    rows = files.rows(choice.evaluation(TASK), model="run", metric=metric)
    return _curve(choice, [[finite_number(row.get(key)) for key in columns] for row in rows])


def agreement_curve(choice: Choice, precision: str) -> Curve | None:
    """The largest relative difference between the four parametrisations, over ln SNR."""
    rows = files.entries(choice.run.evaluation(TASK), "agreement")
    curve = _curve(choice, [[finite_number(row.get(key)) for key in ("log_snr", precision)] for row in rows])
    return curve if curve is not None and (curve.y > 0).all() else None


def _curve(choice: Choice, rows: Sequence[Sequence[float | None]]) -> Curve | None:
    table = files.matrix([row for row in rows if None not in row] or None, (None, None))
    if table is None or len(table) < 2:
        return None
    x, y, *ends = table[np.argsort(table[:, 0])].T
    return Curve(choice.label, choice.colour, x, y, *ends)


def schedule(entry: dict[str, Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """Times and ln SNR of a schedule in the file, without its infinite ends."""
    t = files.matrix(entry.get("t"), (None,))
    values = files.matrix(entry.get("log_snr"), (len(t),)) if t is not None else None
    if t is None or values is None or not np.isfinite(values).any():
        return None
    return t[np.isfinite(values)], values[np.isfinite(values)]
