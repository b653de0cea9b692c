"""Stored measurements of a run, and the feature space in which the runs of a group are read everywhere. No torch."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.format import is_number
from workbench.metrics.intervals import proportion
from workbench.store import Run

PROPORTIONS = ("top1", "accuracy", "matching")
"""Metrics that are shares of images, in percent."""


def rows_of(run: Run, evaluation: str) -> list[dict[str, Any]]:
    """The rows of an evaluation that have a value."""
    return measured_rows(run.evaluation(evaluation))


def measured_rows(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of an evaluation's content that have a value.

    A share of 0 or 100 % whose stored interval is a single point, as evaluations of earlier versions wrote it, has
    Wilson's interval here.
    """
    rows = content.get("rows")
    rows = rows if isinstance(rows, list) else []
    known = [row for row in rows if isinstance(row, dict) and is_number(row.get("value"))]
    return [_with_interval(row, row.get("n", content.get("n"))) for row in known]


def _with_interval(row: dict[str, Any], n: Any) -> dict[str, Any]:
    point = row["value"] in (0, 100) and row.get("low") == row.get("high") == row["value"]
    if not point or row.get("metric") not in PROPORTIONS or not isinstance(n, int) or n < 1:
        return row
    return row | proportion(np.full(n, row["value"] == 100))._asdict()


def validation_scores(run: Run) -> dict[str, float]:
    """Top-1 accuracy on the validation split by space, of the run's linear probe."""
    rows = (row for row in rows_of(run, "linear") if row.get("model") == "run" and is_number(row.get("validation")))
    return {str(row.get("space")): row["validation"] for row in rows}


def default_space(run: Run) -> str | None:
    """The space that the run's method reads by default, as its evaluations name it."""
    spaces = (run.evaluation(name).get("default") for name in ("linear", "knn", "retrieval", "factors"))
    return next((space for space in spaces if isinstance(space, str)), None)


def best_space(runs: Sequence[Run]) -> str | None:
    """The space in which every headline number of the runs of a group is read, and in which it is tested.

    It is the space whose linear probe did best on the validation split, on average over the runs; of spaces that not
    all of them have, those of most runs. Without a linear probe it is the default space.
    """
    scores: dict[str, list[float]] = {}
    for run in runs:
        for space, score in validation_scores(run).items():
            scores.setdefault(space, []).append(score)
    most = max(map(len, scores.values()), default=0)
    best = max((name for name in scores if len(scores[name]) == most), key=lambda name: sum(scores[name]), default=None)
    return best or next(filter(None, map(default_space, runs)), None)


def space_in(runs: Sequence[Run], evaluation: str) -> str | None:
    """The space in which an evaluation of the runs of a group is read: :func:`best_space`, or, where none of them was
    measured there, the default space."""
    best = best_space(runs)
    known = {row.get("space") for run in runs for row in rows_of(run, evaluation) if row.get("model") == "run"}
    if best in known:
        return best
    defaults = (run.evaluation(evaluation).get("default") for run in runs)
    return next((space for space in defaults if space in known), None)


def headline_value(run: Run, evaluation: str) -> float | None:
    """A run's own value of an evaluation in :func:`space_in`, or None."""
    space = space_in([run], evaluation)
    own = (row for row in rows_of(run, evaluation) if row.get("model") == "run" and row.get("space") == space)
    return next((row["value"] for row in own), None)


def elsewhere(label: str, runs: Sequence[Run], evaluation: str) -> str:
    """That an evaluation of a group's runs was not measured in the space of their headline numbers; or nothing.

    Args:
        label: what to call the group.
    """
    best, space = best_space(runs), space_in(runs, evaluation)
    if space is None or space == best:
        return ""
    return f"{label} in {space}, its default space; not measured in {best}, the space of its headline numbers"
