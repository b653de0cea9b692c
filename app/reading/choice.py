"""A run chosen for comparison, with its colour and its label."""

from dataclasses import dataclass
from typing import Any

from workbench.store import Run


@dataclass(frozen=True, eq=False)
class Choice:
    """A run chosen for comparison.

    Attributes:
        colour: its colour in every figure, as ``#rrggbb``.
        label: its name among the chosen ones.
    """

    run: Run
    index: int
    colour: str
    label: str
    summary: dict[str, Any]

    @property
    def status(self) -> str:
        return str(self.summary["status"])
