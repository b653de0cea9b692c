"""The feature space that represents a model: the best of its linear probe on validation images, or its default."""

from typing import Any

from app.reading import files
from app.reading.choice import Choice
from app.state import seeds

READINGS = {"best": "best space of the linear probe", "default": "default space"}


def space_of(choice: Choice, evaluation: dict[str, Any], how: str) -> str | None:
    """The run's space in an evaluation under a reading ``how``; the default where the best was not measured."""
    known = files.spaces(evaluation)
    best = seeds.headline_space(choice) if how == "best" else None
    return best if best in known else known[0] if known else None
