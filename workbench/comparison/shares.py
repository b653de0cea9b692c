"""Shares of variance, as written in the tables and figures of studies."""

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.comparison.seeds import Row
from workbench.format import is_number


def share_text(row: Mapping[str, Any]) -> str:
    """A share in % with its interval."""
    known = is_number(row["low"]) and is_number(row["high"])
    return f"{100 * row['value']:.0f}" + (f" [{100 * row['low']:.0f}, {100 * row['high']:.0f}]" if known else "")


def by_quantity(shares: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Shares by measure and quantity, a row for each of the four parts."""
    grouped: dict[tuple[str, str], list[Row]] = {}
    for row in shares:
        grouped.setdefault((row["measure"], row["quantity"]), []).append(row)
    return grouped
