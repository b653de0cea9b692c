"""Comparisons as ``workbench compare`` prints them."""

from collections.abc import Sequence
from pathlib import Path

from workbench import tables
from workbench.comparison.differences import Difference, caveat
from workbench.comparison.table import COSTS, HEADINGS, Row, cost_text, interval_text, notes
from workbench.format import is_number

RANKS = {"linear": 0, "knn": 1, "space": 2, "retrieval": 3, "reconstruction": 4, "parameters": 5, "seconds": 6}
RANKS |= {"flops_per_image": 7, "images_seen": 8, "peak_memory_mb": 9}


def print_table(rows: Sequence[Row], wide: bool = False, runs: Path | None = None) -> None:
    """Print a comparison; intervals are 95 %.

    Args:
        wide: print all columns, however narrow the terminal.
        runs: folder of the runs, for a command.
    """
    measures = [key for key in HEADINGS if key != "retrieval" or any(row.get(key) for row in rows)]
    costs = [key for key in COSTS if key in ("parameters", "seconds") or any(is_number(row.get(key)) for row in rows)]
    several = len({row["data"] for row in rows}) > 1
    columns = [
        tables.Column("model", [_model(row, several) for row in rows], words=True),
        tables.Column("space", [str(row["space"] or "") for row in rows], RANKS["space"]),
    ]
    for key in measures:
        cells = [interval_text(row.get(key)) for row in rows]
        columns.append(tables.Column(HEADINGS[key], cells, RANKS[key], right=True))
    for key in costs:
        cells = [cost_text(key, row.get(key)) for row in rows]
        columns.append(tables.Column(COSTS[key], cells, RANKS[key], right=True))
    tables.print_table(columns, wide, dim={number for number, row in enumerate(rows) if row["kind"] == "baseline"})
    console = tables.output()
    for note in notes(rows, runs):
        console.print(note, style="dim")
    for warning in [row["warning"] for row in rows if row["warning"]]:
        console.print(warning, style="yellow")


def _model(row: Row, several_data: bool) -> str:
    model = f"{row['model']} ({len(row['seeds'])} seeds)" if len(row["seeds"]) > 1 else row["model"]
    model += f" on {row['data']}" if several_data else ""
    return f"{model}, default space" if row["kind"] == "default space" else model


def leader(pairs: Sequence[Difference]) -> str:
    """A sentence on which run is ahead in the linear probe, by how much, or "" where no two runs were compared."""
    runs = {pair.label for pair in pairs}
    contests = [pair for pair in pairs if pair.other in runs]  # without baselines
    accuracies = {pair.label: pair.accuracy for pair in contests}
    accuracies |= {pair.other: pair.other_accuracy for pair in contests}
    ranking = sorted(accuracies, key=lambda label: -accuracies[label])
    for pair in contests:
        if {pair.label, pair.other} == {*ranking[:2]}:
            value, (low, high) = pair.difference.value, pair.simultaneous[1:]
            if pair.label != ranking[0]:
                value, low, high = -value, -high, -low
            points = f"{value:.1f} points [{low:.1f}, {high:.1f}]"
            if pair.significant:
                return f"Highest linear probe accuracy: {ranking[0]}, {points} above {ranking[1]}."
            return f"No significant difference between the best two: {ranking[0]} is {points} above {ranking[1]}."
    return ""


def print_differences(pairs: Sequence[Difference], left_out: Sequence[str] = ()) -> None:
    """Print which differences of linear probes are significant, and what could not be tested, a sentence each."""
    console = tables.output()
    for sentence in left_out:
        console.print(sentence, style="yellow")
    if not pairs:
        return
    console.print(f"\nLinear probes, {len(pairs)} comparisons on the same {pairs[0].n:,} test images:")
    for pair in pairs:
        console.print(f"{'*' if pair.significant else '-'} {pair}", style=None if pair.significant else "dim")
    console.print(caveat(pairs), style="dim")
