"""The table of runs as data: its rows and groups, and the choice that its ticks make."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from app import theme
from app.reading.files import ReadOnce
from workbench.comparison.table import cell_of, interval_text
from workbench.format import finite_number, format_count, format_duration
from workbench.headline import best_space

Summary = dict[str, Any]
GROUPINGS = {"": "no groups", "method": "method", "data": "data", "seeds": "seeds"}
SCORES = ("knn", "linear")
Ids = tuple[str, ...]
Scores = Mapping[str, str]
DETAILS = "\N{NORTH EAST ARROW}"
OPEN, CLOSED = "\N{BLACK DOWN-POINTING TRIANGLE}", "\N{BLACK RIGHT-POINTING TRIANGLE}"


@dataclass(frozen=True)
class TableRow:
    """A row of the table: a run, or a group of runs.

    Attributes:
        label: in the column of names.
        members: the run, or the group's runs.
        group: key of the group that it heads or belongs to; empty without groups.
        heads: whether it is the row of the whole group.
    """

    label: str
    members: tuple[Summary, ...]
    group: str = ""
    heads: bool = False

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(summary["id"] for summary in self.members)


def matches(summary: Summary, text: str) -> bool:
    """Whether every word of a search is found in the run's row."""
    keys = ("id", "name", "method", "family", "data", "status", "owner")
    row = " ".join(str(summary.get(key) or "") for key in keys) + f" seed={summary.get('seed')} "
    row += " ".join(summary.get("tags", []))
    return all(word in row.lower() for word in text.lower().split())


def table_rows(
    summaries: Sequence[Summary], grouping: str, opened: Iterable[str], seed_group: Callable[[Summary], str]
) -> list[TableRow]:
    """The rows in order: each group's head, followed by its runs if it is open.

    Args:
        grouping: a key of :data:`GROUPINGS`.
        opened: the groups that are open.
        seed_group: a key that runs share which differ by their seed alone.
    """
    if grouping not in GROUPINGS or not grouping:
        return [TableRow(run_title(summary), (summary,)) for summary in summaries]
    groups: dict[str, list[Summary]] = {}
    for summary in summaries:
        key = seed_group(summary) if grouping == "seeds" else str(summary.get(grouping) or "unknown")
        groups.setdefault(f"{grouping}:{key}", []).append(summary)
    rows: list[TableRow] = []
    for key, members in groups.items():
        if grouping == "seeds" and len(members) == 1:
            rows.append(TableRow(run_title(members[0]), (members[0],), key))
            continue
        title = str(members[0].get("method") or "unknown") if grouping == "seeds" else key.partition(":")[2]
        names = {run_title(member) for member in members}
        title = names.pop() if grouping == "seeds" and len(names) == 1 else title
        unit = "seeds" if grouping == "seeds" else "run" if len(members) == 1 else "runs"
        rows.append(TableRow(f"{title} \N{MIDDLE DOT} {len(members)} {unit}", tuple(members), key, heads=True))
        if key in set(opened):
            member_title = _seed_title if grouping == "seeds" else run_title
            rows += [TableRow(member_title(member), (member,), key) for member in members]
    return rows


def run_title(summary: Summary) -> str:
    """A run's name; without one, its id without method and data, which have columns of their own."""
    if summary.get("name"):
        return str(summary["name"])
    parts = re.fullmatch(r"(\d{8}-\d{6})-.*-([0-9a-f]{4})", summary["id"])
    return f"{parts[1]} \N{HORIZONTAL ELLIPSIS} {parts[2]}" if parts else summary["id"]


def _seed_title(summary: Summary) -> str:
    """The title of a run in a group of seeds."""
    return f"seed {summary.get('seed', '?')} \N{MIDDLE DOT} {summary['id'][-4:]}"


def ticked(rows: Sequence[TableRow], chosen: Iterable[str]) -> list[int]:
    """Indices of the rows with a tick: all of their runs are chosen."""
    chosen = set(chosen)
    return [index for index, row in enumerate(rows) if chosen.issuperset(row.ids)]


def choice_after(rows: Sequence[TableRow], chosen: Sequence[str], ticks: Iterable[int]) -> list[str]:
    """The chosen runs once the ticks are ``ticks``; runs hidden by the filter stay chosen."""
    before, now = set(ticked(rows, chosen)), {index for index in ticks if index < len(rows)}
    removed = {run_id for index in before - now for run_id in rows[index].ids}
    added = [run_id for index in sorted(now - before) for run_id in rows[index].ids]
    return list(dict.fromkeys([run_id for run_id in chosen if run_id not in removed] + added))


def frame(
    rows: Sequence[TableRow], colours: Mapping[str, str], opened: Iterable[str], headlines: Mapping[Ids, Scores] = {}
) -> pd.DataFrame:
    """The table's content, a line per row; columns that are empty or say nothing are left out.

    Args:
        headlines: scores by the ids of a row, in place of those in the runs' summaries; see :func:`headlines_of`.
    """
    opened = set(opened)
    grouped = any(row.heads for row in rows)
    columns: dict[str, list[Any]] = {
        "open": [(OPEN if row.group in opened else CLOSED) if row.heads else None for row in rows],
        "colour": [colour_dots(*dict.fromkeys(colours[run] for run in row.ids if run in colours)) for row in rows],
        "details": [None if row.heads else DETAILS for row in rows],
        "name": [f"{'    ' * (row.group in opened and not row.heads)}{row.label}" for row in rows],
        "tags": [_shared_tags(row) for row in rows],
        "method": [_distinct(row, "method") for row in rows],
        "data": [_distinct(row, "data") for row in rows],
        "owner": [_distinct(row, "owner") for row in rows],
        "status": [list(dict.fromkeys(str(member["status"]) for member in row.members)) for row in rows],
        "sparkline": [sparkline(finished(row)) for row in rows],
        "monitor": [_mean(finished(row), "knn_monitor") for row in rows],
        "knn": [_score(row, "knn", grouped, headlines) for row in rows],
        "linear": [_score(row, "linear", grouped, headlines) for row in rows],
        "seed": [_distinct(row, "seed") for row in rows],
        "age": [theme.ago(theme.age(row.members[0].get("created"))) for row in rows],
        "parameters": [format_count(_mean(row, "parameters")) for row in rows],
        "time": [time_of(row) for row in rows],
    }
    if not grouped:
        del columns["open"]
    if not any(columns["tags"]):
        del columns["tags"]
    if len({value for value in columns["owner"] if value}) < 2:
        del columns["owner"]
    return pd.DataFrame(columns)


def colour_dots(*colours: str) -> str | None:
    """Runs' colours as an image for a table cell, at most four side by side."""
    if not colours:
        return None
    gap, radius = 32 / (len(colours[:4]) + 1), 8 if len(colours) == 1 else 5
    circles = "".join(
        f"<circle cx='{gap * (index + 1):.0f}' cy='16' r='{radius}' fill='{colour}'/>"
        for index, colour in enumerate(colours[:4])
    ).replace("#", "%23")
    return f"data:image/svg+xml;utf8,<svg xmlns='http://www.w3.org/2000/svg' width='32' height='32'>{circles}</svg>"


def finished(row: TableRow) -> TableRow:
    """The row without its unfinished runs if some are finished: means are over comparable runs."""
    done = tuple(member for member in row.members if member["status"] == "finished")
    return replace(row, members=done) if done else row


def progress(summary: Summary) -> float | None:
    """The share of its steps that an unfinished run has done."""
    step, steps = finite_number(summary.get("step")), finite_number(summary.get("steps"))
    return None if summary["status"] == "finished" or not step or not steps else min(1.0, step / steps)


def sparkline(row: TableRow) -> list[float]:
    """The monitor's curve; of a group the mean curve if its runs have the same number of points."""
    curves = [member.get("sparkline") for member in row.members]
    known = [[v for v in curve if finite_number(v) is not None] for curve in curves if isinstance(curve, list)]
    known = [curve for curve in known if curve]
    if not known:
        return []
    if len(known) == 1 or len({len(curve) for curve in known}) > 1:
        return known[0]
    return [round(fmean(values), 3) for values in zip(*known, strict=True)]


def time_of(row: TableRow) -> str:
    """The time a run took, or a group's runs together; of an unfinished run its progress and remaining time."""
    running = [finite_number(member.get("eta_seconds")) for member in row.members if member["status"] == "running"]
    left = max((seconds for seconds in running if seconds), default=None)
    taken = _numbers(row, "seconds")
    done = None if row.heads else progress(row.members[0])
    part = "" if done is None else f"{done:.0%}"
    time = format_duration(left) + " left" if left else format_duration(sum(taken)) if taken else ""
    return ", ".join(filter(None, [part, time]))


def _numbers(row: TableRow, key: str) -> list[float]:
    return [number for member in row.members if (number := finite_number(member.get(key))) is not None]


def _mean(row: TableRow, key: str) -> float | None:
    numbers = _numbers(row, key)
    return fmean(numbers) if numbers else None


def _score(row: TableRow, key: str, grouped: bool, headlines: Mapping[Ids, Scores]) -> float | str | None:
    """A run's score in its own best space, or the headline of its row; as text in a table with groups."""
    if row.ids in headlines:
        return headlines[row.ids].get(key, "")
    number = None if row.heads else finite_number(row.members[0].get(key))
    return number if not grouped else "" if number is None else f"{number:.1f}"


def headlines_of(rows: Sequence[TableRow], folder: Path, seed_group: Callable[[Summary], str]) -> dict[Ids, Scores]:
    """The scores of groups of seeds, as ``workbench compare`` prints them, and of their single seeds in the same space.

    A group of runs that differ in more than their seed has no score of its own.
    """
    result: dict[Ids, Scores] = {}
    spaces: dict[str, str | None] = {}
    for row in rows:
        groups = {seed_group(member) for member in row.members}
        if row.heads and len(groups) > 1:
            result[row.ids] = dict.fromkeys(SCORES, f"{len(groups)} groups")
        elif row.heads:
            runs = [ReadOnce(folder / run_id) for run_id in finished(row).ids]
            spaces[row.group] = space = best_space(runs)
            result[row.ids] = {key: interval_text(cell_of(runs, key, model="run", space=space)) for key in SCORES}
        elif row.group in spaces:
            runs, space = [ReadOnce(folder / row.ids[0])], spaces[row.group]
            cells = {key: cell_of(runs, key, model="run", space=space) for key in SCORES}
            result[row.ids] = {key: f"{cell['value']:.1f}" if cell else "" for key, cell in cells.items()}
    return result


def _distinct(row: TableRow, key: str) -> str:
    values = {str(member[key]) for member in row.members if member.get(key) is not None}
    words = sorted(values, key=lambda word: (len(word), word))
    return ", ".join(words[:5]) + (" \N{HORIZONTAL ELLIPSIS}" if len(words) > 5 else "")


def _shared_tags(row: TableRow) -> list[str]:
    first, *others = (member.get("tags", []) for member in row.members)
    return [tag for tag in first if all(tag in other for other in others)]
