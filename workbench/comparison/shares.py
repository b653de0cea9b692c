"""Shares of variance and bounds of likelihoods, as tables and figures of studies write them."""

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.format import is_number

Row = dict[str, Any]

SIGNS = {"lower bound": "≤ ", "estimate": "≈ "}
"""What stands before a negative log-likelihood, by its kind."""


def share_text(row: Mapping[str, Any]) -> str:
    """A share in % with its interval."""
    known = is_number(row["low"]) and is_number(row["high"])
    return f"{100 * row['value']:.0f}" + (f" [{100 * row['low']:.0f}, {100 * row['high']:.0f}]" if known else "")


def by_quantity(found: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Shares by measure and quantity, four each."""
    grouped: dict[tuple[str, str], list[Row]] = {}
    for row in found:
        grouped.setdefault((row["measure"], row["quantity"]), []).append(row)
    return grouped
