"""What ``denoising.json`` and its arrays say, as pages want it: what does not fit together is left out."""

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
    """ln SNR with one digit and a proper minus; nothing is minus zero."""
    return f"{round(log_snr, 1) + 0.0:.1f}".replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True)
class FilmStrip:
    """A run's pictures: uint8 (images, levels, H, W, C), of ids (images,), at times and ln SNR (levels,)."""

    choice: Choice
    ids: np.ndarray
    noised: np.ndarray
    estimate: np.ndarray
    t: np.ndarray
    log_snr: np.ndarray


def levels(evaluation: dict[str, Any]) -> np.ndarray | None:
    """Times and ln SNR (levels, 2) of the pictures, or None."""
    found = evaluation.get("levels")
    places = [
        (finite_number(place.get("t")), finite_number(place.get("log_snr")))
        for place in (found if isinstance(found, list) else [])
        if isinstance(place, dict)
    ]
    return files.matrix(places, (None, 2)) if places and all(None not in place for place in places) else None


def film_strip(choice: Choice) -> FilmStrip | None:
    """The film strip of a run, or None where it is missing or torn."""
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


def parametrisations(choice: Choice, found: FilmStrip) -> tuple[list[str], np.ndarray, np.ndarray] | None:
    """Names of the readings, and what the network says and what is true, (readings, images, levels, H, W, C) each."""
    names = choice.run.evaluation(TASK).get("views")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    shape = (len(names), *found.estimate.shape[:2])
    said = files.pictures(choice.run.array("denoising-views"), shape)
    truth = files.pictures(choice.run.array("denoising-truth"), shape)
    if said is None or truth is None or not said.shape[1:] == truth.shape[1:] == found.estimate.shape:
        return None
    return names, said, truth


def metric_curve(choice: Choice, metric: str, x: str = "log_snr", y: str = "value") -> Curve | None:
    """A metric of a run over ``log_snr`` or ``t``, with its interval where the value itself is asked for."""
    wanted = (x, y, "low", "high") if y == "value" else (x, y)
    found = files.rows(choice.run.evaluation(TASK), model="run", metric=metric)
    return _line(choice, [[finite_number(row.get(key)) for key in wanted] for row in found])


def agreement_curve(choice: Choice, precision: str) -> Curve | None:
    """The largest relative difference between the four readings, over ln SNR."""
    found = choice.run.evaluation(TASK).get("agreement")
    rows = [row for row in (found if isinstance(found, list) else []) if isinstance(row, dict)]
    line = _line(choice, [[finite_number(row.get(key)) for key in ("log_snr", precision)] for row in rows])
    return line if line is not None and (line.y > 0).all() else None


def _line(choice: Choice, rows: Sequence[Sequence[float | None]]) -> Curve | None:
    table = files.matrix([row for row in rows if None not in row] or None, (None, None))
    if table is None or len(table) < 2:
        return None
    x, y, *ends = table[np.argsort(table[:, 0])].T
    return Curve(choice.label, choice.colour, x, y, *ends)


def schedule(entry: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Times and ln SNR of a curve in the file, as far as they are finite."""
    if not isinstance(entry, dict):
        return None
    t = files.matrix(entry.get("t"), (None,))
    values = files.matrix(entry.get("log_snr"), (len(t),)) if t is not None else None
    if t is None or values is None or not np.isfinite(values).any():
        return None
    return t[np.isfinite(values)], values[np.isfinite(values)]
