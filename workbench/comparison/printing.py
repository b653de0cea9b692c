"""Comparisons as ``workbench compare`` prints them."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from workbench.comparison.differences import Difference, caveat
from workbench.comparison.table import COSTS, HEADINGS, Row, cost_text, interval_text, notes
from workbench.format import is_number


def print_table(rows: Sequence[Row]) -> None:
    """Print a comparison; intervals are 95 %."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    measures = [key for key in HEADINGS if key != "retrieval" or any(row.get(key) for row in rows)]
    costs = [key for key in COSTS if key in ("parameters", "seconds") or any(is_number(row.get(key)) for row in rows)]
    for heading in ("model", "space", *(HEADINGS[key] for key in measures), *(COSTS[key] for key in costs)):
        table.add_column(heading, justify="left" if heading in ("model", "space") else "right", overflow="fold")
    several = len({row["data"] for row in rows}) > 1
    for row in rows:
        model = f"{row['model']} ({len(row['seeds'])} seeds)" if len(row["seeds"]) > 1 else row["model"]
        model += f" on {row['data']}" if several else ""
        table.add_row(
            f"{model}, best space" if row["kind"] == "best space" else model,
            str(row["space"] or ""),
            *(interval_text(row.get(key)) for key in measures),
            *(cost_text(key, row.get(key)) for key in costs),
            style="dim" if row["kind"] == "baseline" else None,
        )
    console = _console()
    console.print(table)
    for note in notes(rows):
        console.print(note, style="dim", soft_wrap=True)
    for warning in [row["warning"] for row in rows if row["warning"]]:
        console.print(warning, style="yellow", soft_wrap=True)


def print_differences(pairs: Sequence[Difference], left_out: Sequence[str] = ()) -> None:
    """Print which differences of linear probes are real, and what could not be tested, a sentence each."""
    console = _console()
    for sentence in left_out:
        console.print(sentence, style="yellow", soft_wrap=True)
    if not pairs:
        return
    console.print(f"\nLinear probes, {len(pairs)} comparisons on the same {pairs[0].n:,} test images:")
    for pair in pairs:
        console.print(f"{'*' if pair.real else '-'} {pair}", style=None if pair.real else "dim")
    console.print(caveat(pairs), style="dim")


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False)
