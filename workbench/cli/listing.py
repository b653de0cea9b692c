"""``workbench runs``, ``methods`` and ``datasets``; none of them imports torch."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter

from workbench.cli.options import RUNS, AsJson, RunsFolder, Wide
from workbench.format import is_number
from workbench.hints import command
from workbench.methods import METHODS
from workbench.tables import Column, output, print_table


def runs(
    *,
    runs: RunsFolder = RUNS,
    archived: Annotated[bool, Parameter(help="List archived runs, too.", negative="")] = False,
    tag: Annotated[str | None, Parameter(help="List only runs with this tag.")] = None,
    as_json: AsJson = False,
    wide: Wide = False,
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
        print(f"The folder {runs} has no runs yet; run `{command('train', 'mocov3', runs=runs)}` to train one.")
    else:
        print_table(_columns(summaries), wide)
        output().print("monitor: kNN on validation images during training; kNN, linear: on test images.")
        if hidden:
            print(f"{hidden} archived; show with --archived.")


def methods(*, wide: Wide = False) -> None:
    """List the methods."""
    entries = METHODS.values()
    columns = [
        Column("method", list(METHODS)),
        Column("family", [entry.family for entry in entries], 2),
        Column("summary", [entry.summary for entry in entries], words=True),
        Column("paper", [entry.paper for entry in entries], 1, words=True),
        Column("capabilities", [", ".join(entry.capabilities) for entry in entries], 3, words=True),
    ]
    print_table(columns, wide)


def datasets(*, wide: Wide = False) -> None:
    """List the built-in data sets; a folder of images or a Parquet file is named by its path."""
    from workbench.data.datasets import CATALOGUE

    entries = CATALOGUE.values()
    columns = [
        Column("data", list(CATALOGUE)),
        Column("summary", [entry.summary for entry in entries], words=True),
        Column("size", [f"{entry.size} px" for entry in entries], 3),
        Column("classes", [str(entry.classes) for entry in entries], 2),
        Column("train images", [f"{entry.n_train:,}" for entry in entries], 4, right=True),
        Column("download", ["yes" if entry.download else "no" for entry in entries], 1),
    ]
    print_table(columns, wide)
    output().print("Or the path of a folder of images (class folders or flat), or of Parquet files with image bytes.")


def _columns(summaries: Sequence[dict[str, Any]]) -> list[Column]:
    def texts(key: str) -> list[str]:
        return [str(summary.get(key) or "") for summary in summaries]

    def scores(key: str) -> list[str]:
        values = [summary.get(key) for summary in summaries]
        return [f"{value:.1f}" if is_number(value) else "" for value in values]

    ids = texts("id")
    columns = [
        Column("id", ids, short=_short_ids(ids), short_note="ids by their last four characters"),
        Column("name", texts("name"), words=True),
        Column("method", texts("method"), 3),
        Column("data", texts("data"), 4, words=True),
        Column("status", texts("status"), 2),
        Column("monitor kNN %", scores("knn_monitor"), 7, right=True),
        Column("kNN %", scores("knn"), 5, right=True),
        Column("linear %", scores("linear"), 1, right=True),
        Column("age", [_age(summary.get("created")) for summary in summaries], 6),
    ]
    tags = [", ".join(summary.get("tags", [])) for summary in summaries]
    return [*columns, Column("tags", tags, 8, words=True)] if any(tags) else columns


def _short_ids(ids: Sequence[str]) -> list[str]:
    """The last four characters of each id, or the whole id where others end in the same ones."""
    ends = Counter(run_id[-4:] for run_id in ids)
    return [run_id[-4:] if ends[run_id[-4:]] == 1 else run_id for run_id in ids]


def _age(created: Any) -> str:
    """A time in ISO 8601 as "5 min", "3 h" or "12 d" ago."""
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds()
    except (TypeError, ValueError):  # a foreign or half-written run
        return ""
    if seconds < 3600:
        return f"{max(seconds, 0) / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} d"
