"""The feature space that represents a model: its default, or the best of its linear probe on validation images."""

from typing import Any

from app.reading import files
from app.reading.choice import Choice
from workbench.format import finite_number

READINGS = {"default": "default space", "best": "best space of the linear probe"}


def space_of(choice: Choice, evaluation: dict[str, Any], how: str) -> str | None:
    """The run's space in an evaluation under a reading ``how``; the default if it has no linear probe."""
    known = files.spaces(evaluation)
    if how == "best":
        probed = files.rows(choice.run.evaluation("linear"), model="run", metric="top1")
        scores = {str(row.get("space")): finite_number(row.get("validation")) for row in probed}
        comparable = {space: score for space, score in scores.items() if score is not None and space in known}
        if comparable:
            return max(comparable, key=comparable.__getitem__)
    return known[0] if known else None
