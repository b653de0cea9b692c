"""``workbench runs``, ``methods`` and ``datasets``; none of them imports torch."""

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from workbench.cli.options import RUNS, AsJson, RunsFolder
from workbench.format import is_number
from workbench.methods import METHODS


def runs(
    *,
    runs: RunsFolder = RUNS,
    archived: Annotated[bool, Parameter(help="List archived runs, too.", negative="")] = False,
    tag: Annotated[str | None, Parameter(help="List only runs with this tag.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the runs, newest first."""
    from workbench.store import list_summaries

    everything = list_summaries(runs)
    listed = [summary for summary in everything if archived or not summary.get("archived")]
    hidden = len(everything) - len(listed)
    summaries = [summary for summary in listed if tag is None or tag in summary.get("tags", [])]
    if as_json:
        print(json.dumps(summaries, indent=1, ensure_ascii=False))
    elif not everything:
        print(f"The folder {runs} has no runs yet; `workbench train mocov3` makes one.")
    else:
        tagged = ["tags"] if any(summary.get("tags") for summary in summaries) else []
        table = _table("id", "name", "method", "data", "status", "monitor kNN %", "kNN %", "linear %", "age", *tagged)
        for summary in summaries:
            texts = [str(summary.get(key) or "") for key in ("id", "name", "method", "data", "status")]
            values = [summary.get(key) for key in ("knn_monitor", "knn", "linear")]
            scores = [f"{value:.1f}" if is_number(value) else "" for value in values]
            tags = [", ".join(summary.get("tags", []))] if tagged else []
            table.add_row(*texts, *scores, _age(summary.get("created")), *tags)
        _print(table)
        print("monitor: on validation images during training; kNN and linear probe: on test images.")
        if hidden:
            print(f"{hidden} archived; --archived lists {'it' if hidden == 1 else 'them'}.")


def methods() -> None:
    """List the methods."""
    table = _table("method", "family", "summary", "paper", "capabilities")
    for name, entry in METHODS.items():
        table.add_row(name, entry.family, entry.summary, entry.paper, ", ".join(entry.capabilities))
    _print(table)


def datasets() -> None:
    """List the built-in data sets; a folder of images or a Parquet file is named by its path."""
    from workbench.data.datasets import CATALOGUE

    table = _table("data", "summary", "size", "classes", "train images", "download")
    for name, entry in CATALOGUE.items():
        facts = (f"{entry.size} px", str(entry.classes), f"{entry.n_train:,}", "yes" if entry.download else "no")
        table.add_row(name, entry.summary, *facts)
    _print(table)
    print("Or the path of a folder of images (class folders or flat), or of Parquet files with image bytes.")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column.endswith(("%", "images")) else "left")
    return table


def _print(table: Table) -> None:
    """Print a table; in a pipe its lines are not folded, for `grep`."""
    Console(width=None if sys.stdout.isatty() else 200).print(table, highlight=False)


def _age(created: Any) -> str:
    """A time in ISO 8601 as "5 min", "3 h" or "12 d" ago."""
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds()
    except (TypeError, ValueError):  # a foreign or half-written run
        return ""
    if seconds < 3600:
        return f"{max(seconds, 0) / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} d"
