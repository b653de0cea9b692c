"""The table of runs as data: what is shown, in which groups, and what a tick means. Nothing here draws."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from app import theme
from workbench.format import finite_number, format_count, format_duration

Summary = dict[str, Any]
GROUPINGS = {"": "no groups", "method": "method", "data": "data", "seeds": "seeds"}
OPEN, CLOSED = "\N{BLACK DOWN-POINTING TRIANGLE}", "\N{BLACK RIGHT-POINTING TRIANGLE}"


@dataclass(frozen=True)
class TableRow:
    """A row of the table: a run, or a group of runs.

    Attributes:
        label: what stands in the first column of words.
        members: the run, or the group's runs.
        group: the key of the group that it heads or belongs to; empty without groups.
        heads: whether it stands for the whole group.
    """

    label: str
    members: tuple[Summary, ...]
    group: str = ""
    heads: bool = False

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(summary["id"] for summary in self.members)


def matches(summary: Summary, text: str) -> bool:
    """Whether every word that was typed stands somewhere in the run's row."""
    keys = ("id", "name", "method", "family", "data", "status", "owner")
    row = " ".join(str(summary.get(key) or "") for key in keys) + f" seed={summary.get('seed')} "
    row += " ".join(summary.get("tags", []))
    return all(word in row.lower() for word in text.lower().split())


def table_rows(
    summaries: Sequence[Summary], grouping: str, opened: Iterable[str], seed_group: Callable[[Summary], str]
) -> list[TableRow]:
    """The rows in order: each group's head, beneath it its runs where it is open.

    Args:
        grouping: a key of :data:`GROUPINGS`.
        opened: the groups that are open.
        seed_group: what runs have in common that differ by their seed alone; empty where it is not known.
    """
    if grouping not in GROUPINGS or not grouping:
        return [TableRow(run_title(summary), (summary,)) for summary in summaries]
    groups: dict[str, list[Summary]] = {}
    for summary in summaries:
        key = _seed_key(summary, seed_group) if grouping == "seeds" else str(summary.get(grouping) or "unknown")
        groups.setdefault(f"{grouping}:{key}", []).append(summary)
    found: list[TableRow] = []
    for key, members in groups.items():
        if grouping == "seeds" and len(members) == 1:
            found.append(TableRow(run_title(members[0]), (members[0],), key))
            continue
        what = str(members[0].get("method") or "unknown") if grouping == "seeds" else key.partition(":")[2]
        names = {run_title(member) for member in members}
        what = names.pop() if grouping == "seeds" and len(names) == 1 else what
        unit = "seeds" if grouping == "seeds" else "run" if len(members) == 1 else "runs"
        found.append(TableRow(f"{what} \N{MIDDLE DOT} {len(members)} {unit}", tuple(members), key, heads=True))
        if key in set(opened):
            called = _seed_name if grouping == "seeds" else run_title
            found += [TableRow(called(member), (member,), key) for member in members]
    return found


def _seed_key(summary: Summary, seed_group: Callable[[Summary], str]) -> str:
    group = seed_group(summary)
    return f"{summary.get('method')} {group} {summary.get('steps')}" if group else summary["id"]


def run_title(summary: Summary) -> str:
    """A run's name; without one its id, less the method and data that have columns of their own."""
    if summary.get("name"):
        return str(summary["name"])
    parts = re.fullmatch(r"(\d{8}-\d{6})-.*-([0-9a-f]{4})", summary["id"])
    return f"{parts[1]} \N{HORIZONTAL ELLIPSIS} {parts[2]}" if parts else summary["id"]


def _seed_name(summary: Summary) -> str:
    """A run among those that differ by their seed."""
    return f"seed {summary.get('seed', '?')} \N{MIDDLE DOT} {summary['id'][-4:]}"


def ticked(shown: Sequence[TableRow], chosen: Iterable[str]) -> list[int]:
    """The rows that carry a tick: all of their runs are chosen."""
    chosen = set(chosen)
    return [index for index, line in enumerate(shown) if chosen.issuperset(line.ids)]


def choice_after(shown: Sequence[TableRow], chosen: Sequence[str], ticks: Iterable[int]) -> list[str]:
    """The chosen runs after the ticks have changed to ``ticks``; runs that the filter hides stay chosen."""
    before, now = set(ticked(shown, chosen)), {index for index in ticks if index < len(shown)}
    gone = {run_id for index in before - now for run_id in shown[index].ids}
    come = [run_id for index in sorted(now - before) for run_id in shown[index].ids]
    return list(dict.fromkeys([run_id for run_id in chosen if run_id not in gone] + come))


def frame(shown: Sequence[TableRow], colours: Mapping[str, str], opened: Iterable[str]) -> pd.DataFrame:
    """The table's content, a row per line; a column that nothing fills is left out."""
    opened = set(opened)
    grouped = any(line.heads for line in shown)
    spread = any(line.heads and line.group.startswith("seeds:") for line in shown)
    columns: dict[str, list[Any]] = {
        "open": [(OPEN if line.group in opened else CLOSED) if line.heads else None for line in shown],
        "colour": [colour_dots(*dict.fromkeys(colours[one] for one in line.ids if one in colours)) for line in shown],
        "name": [f"{'    ' * (line.group in opened and not line.heads)}{line.label}" for line in shown],
        "tags": [_common(line, lambda one: one.get("tags", [])) for line in shown],
        "method": [_words(line, "method") for line in shown],
        "data": [_words(line, "data") for line in shown],
        "owner": [_words(line, "owner") for line in shown],
        "status": [list(dict.fromkeys(str(one["status"]) for one in line.members)) for line in shown],
        "sparkline": [sparkline(finished(line)) for line in shown],
        "monitor": [_mean(finished(line), lambda one: one.get("knn_monitor")) for line in shown],
        "knn": [_score(line, "knn", spread) for line in shown],
        "linear": [_score(line, "linear", spread) for line in shown],
        "seed": [_words(line, "seed") for line in shown],
        "age": [theme.ago(theme.age(line.members[0].get("created"))) for line in shown],
        "parameters": [format_count(_mean(line, lambda one: one.get("parameters"))) for line in shown],
        "time": [time_of(line) for line in shown],
    }
    if not grouped:
        del columns["open"]
    if not any(columns["tags"]):
        del columns["tags"]
    if len({value for value in columns["owner"] if value}) < 2:
        del columns["owner"]
    return pd.DataFrame(columns)


def colour_dots(*colours: str) -> str | None:
    """Runs' colours as a picture for a table cell, at most four beside one another."""
    if not colours:
        return None
    shown, gap = colours[:4], 32 / (len(colours[:4]) + 1)
    radius = 8 if len(shown) == 1 else 5
    circles = "".join(
        f"<circle cx='{gap * (index + 1):.0f}' cy='16' r='{radius}' fill='{colour}'/>"
        for index, colour in enumerate(shown)
    ).replace("#", "%23")
    return f"data:image/svg+xml;utf8,<svg xmlns='http://www.w3.org/2000/svg' width='32' height='32'>{circles}</svg>"


def finished(line: TableRow) -> TableRow:
    """The line without its unfinished runs, where some are finished: means are over what can be compared."""
    done = tuple(one for one in line.members if one["status"] == "finished")
    return replace(line, members=done) if done else line


def progress(summary: Summary) -> float | None:
    """The part of its steps that an unfinished run has done."""
    step, steps = finite_number(summary.get("step")), finite_number(summary.get("steps"))
    return None if summary["status"] == "finished" or not step or not steps else min(1.0, step / steps)


def sparkline(line: TableRow) -> list[float]:
    """The monitor's curve; of a group the mean curve, where its runs have as many points."""
    curves = [one.get("sparkline") for one in line.members]
    known = [[v for v in curve if finite_number(v) is not None] for curve in curves if isinstance(curve, list)]
    known = [curve for curve in known if curve]
    if not known:
        return []
    if len(known) == 1 or len({len(curve) for curve in known}) > 1:
        return known[0]
    return [round(fmean(values), 3) for values in zip(*known, strict=True)]


def time_of(line: TableRow) -> str:
    """How long a run took, a group's runs together; how far an unfinished one came, and what it still takes."""
    lefts = [finite_number(one.get("eta_seconds")) for one in line.members if one["status"] == "running"]
    left = max((value for value in lefts if value), default=None)
    taken = [value for one in line.members if (value := finite_number(one.get("seconds"))) is not None]
    done = None if line.heads else progress(line.members[0])
    part = "" if done is None else f"{done:.0%}"
    time = format_duration(left) + " left" if left else format_duration(sum(taken)) if taken else ""
    return ", ".join(filter(None, [part, time]))


def _values(line: TableRow, value: Callable[[Summary], Any]) -> list[float]:
    return [found for one in line.members if (found := finite_number(value(one))) is not None]


def _mean(line: TableRow, value: Callable[[Summary], Any]) -> float | None:
    found = _values(line, value)
    return fmean(found) if found else None


def _score(line: TableRow, key: str, spread: bool) -> float | str | None:
    """A score; where groups of seeds are shown, as text with the standard deviation over seeds."""
    found = _values(finished(line), lambda one: one.get(key))
    if not spread:
        return fmean(found) if found else None
    if not found:
        return ""
    return f"{fmean(found):.1f}" + (f" \N{PLUS-MINUS SIGN} {stdev(found):.1f}" if len(found) > 1 else "")


def _words(line: TableRow, key: str) -> str:
    found = sorted({str(one[key]) for one in line.members if one.get(key) is not None}, key=lambda w: (len(w), w))
    return ", ".join(found[:5]) + (" \N{HORIZONTAL ELLIPSIS}" if len(found) > 5 else "")


def _common(line: TableRow, value: Callable[[Summary], list[str]]) -> list[str]:
    """What all members have."""
    first, *others = (value(one) for one in line.members)
    return [item for item in first if all(item in other for other in others)]
