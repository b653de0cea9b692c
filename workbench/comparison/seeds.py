"""Seeds as groups: runs that differ in nothing but their random seed are one method, measured several times. No torch.

The interval of one run says how far its number would move on other test images. It cannot say what another
random initialisation and another order of images would give; only the spread over several seeds shows that.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from workbench.format import is_number
from workbench.headline import measured_rows
from workbench.metrics.intervals import Interval, student
from workbench.run import GROUP_DIGITS, recipe
from workbench.store import Run

Row = dict[str, Any]
ENOUGH = 3
"""Seeds per group from which differences are tested over seeds."""
LIMITS: dict[str, tuple[float, float]] = {
    "top1": (0, 100), "accuracy": (0, 100), "matching": (0, 100), "map@10": (0, 100),
    "r2": (-np.inf, 1), "kept": (-np.inf, 1),
}  # fmt: skip
"""The range of a metric, where it is bounded."""


@dataclass(frozen=True)
class Group:
    """Runs of one method, data and configuration, each with another seed; or a single run.

    Attributes:
        label: what to call it, without the number of seeds; different for all groups made together.
        runs: in the order in which they were given.
        seeds: of the runs, None where a run has none.
    """

    label: str
    runs: tuple[Run, ...]
    seeds: tuple[int | None, ...]

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def title(self) -> str:
        """The label, with the number of seeds where there are several."""
        return f"{self.label} ({len(self)} seeds)" if len(self) > 1 else self.label


def group_runs(
    runs: Sequence[Run], names: Sequence[str] | None = None, traits: Sequence[Row | None] | None = None
) -> list[Group]:
    """The groups of seeds among runs, in the order of their first runs.

    Runs are alike when their :func:`traits_of` are. A run without seed or configuration, or with a seed that its
    group has already, is a group of its own.

    Args:
        names: of the runs; by default those of :func:`name_of`. A group whose runs have different names is labelled
            with its method.
        traits: :func:`traits_of` each run, where they are known already.
    """
    names = names or [name_of(run) for run in runs]
    traits = [traits_of(run) for run in runs] if traits is None else traits
    seeds = [seed if isinstance(seed := run.info().get("seed"), int) else None for run in runs]
    members: list[list[int]] = []  # indices of runs
    for index, (own, seed) in enumerate(zip(traits, seeds, strict=True)):
        known = own is not None and seed is not None
        fits = (group for group in members if traits[group[0]] == own and seed not in [seeds[i] for i in group])
        group = next(fits, None) if known else None
        if group is None:
            members.append([index])
        else:
            group.append(index)
    labels = []
    for group in members:
        called, run = {names[index] for index in group}, runs[group[0]]
        labels.append(called.pop() if len(called) == 1 else str(run.info().get("method") or run.id))
    firsts = [group[0] for group in members]
    labels = distinct_labels(labels, [traits[index] or {} for index in firsts], [runs[index].id for index in firsts])
    return [
        Group(label, tuple(runs[index] for index in group), tuple(seeds[index] for index in group))
        for label, group in zip(labels, members, strict=True)
    ]


def partition(summaries: Iterable[Mapping[str, Any]], folder: Path) -> list[list[Mapping[str, Any]]]:
    """The groups of seeds of a whole folder by their runs' summaries, oldest first, their runs oldest first.

    A run without configuration or seed, or with a seed that its group has already, is a group of its own.
    """
    groups: list[list[Mapping[str, Any]]] = []
    places: dict[tuple[Any, ...], int] = {}
    seeds: list[set[int]] = []
    for summary in sorted(summaries, key=lambda summary: summary["id"]):  # an id begins with the time
        seed, key = summary.get("seed"), seed_key(summary, folder)
        place = places.get(key, -1) if key is not None else -1
        if place < 0 or not isinstance(seed, int) or seed in seeds[place]:
            if key is not None and isinstance(seed, int):
                places.setdefault(key, len(groups))
            groups.append([summary])
            seeds.append({seed} if isinstance(seed, int) else set())
        else:
            groups[place].append(summary)
            seeds[place].add(seed)
    return groups


def seed_key(summary: Mapping[str, Any], folder: Path) -> tuple[Any, ...] | None:
    """What a run's summary has in common with its other seeds; None where it is not known."""
    group = str(summary.get("group") or "")
    group = group if len(group) == GROUP_DIGITS else _read_seed_group(folder / summary["id"])
    return (summary.get("method"), group, summary.get("steps")) if group else None


@lru_cache(maxsize=4096)
def _read_seed_group(folder: Path) -> str:
    """Of a run whose summary is older than the group's key."""
    return Run(folder).seed_group()


def name_of(run: Run) -> str:
    """A run's name, or else its method."""
    summary = run.summary()
    return str(summary.get("name") or summary.get("method") or run.id)


def over_seeds(values: Iterable[float], metric: str | None = None) -> Interval:
    """Mean and 95 % interval over seeds, Student's t, clipped to the range of the metric; NaN bounds for one seed."""
    value, low, high = student(list(values))
    lowest, highest = LIMITS.get(metric or "", (-np.inf, np.inf))
    return Interval(value, float(np.maximum(low, lowest)), float(np.minimum(high, highest)))


MEASURED = frozenset(
    {"value", "low", "high", "validation", "confusion", "per_class", "regularisation", "base_lr", "chance", "expected",
     "p_value", "cosine", "diagonal", "off_diagonal", "mse", "subsets", "queries", "n", "std", "other_checkpoint", "k"}
)  # fmt: skip
"""Entries of a row that do not tell what was measured."""
AVERAGED = ("validation", "cosine", "mse", "std", "diagonal", "off_diagonal")
"""Those of them that are averaged beside the value."""


def pooled(evaluations: Sequence[Row]) -> Row:
    """One evaluation of several seeds: the first one's content, in its rows the mean over seeds with its interval.

    Rows that are the same for all seeds, such as those of pixels, stay as they are. ``{}`` of no evaluation.
    """
    if len(evaluations) < 2:
        return dict(evaluations[0]) if evaluations else {}
    alike: dict[tuple[tuple[str, str], ...], list[Row]] = {}
    for content in evaluations:
        own: dict[tuple[tuple[str, str], ...], Row] = {}
        for row in measured_rows(content):
            own.setdefault(tuple(sorted((k, str(v)) for k, v in row.items() if k not in MEASURED)), row)
        for key, row in own.items():
            alike.setdefault(key, []).append(row)
    return evaluations[0] | {"rows": [_mean_row(rows) for rows in alike.values()]}


def _mean_row(rows: Sequence[Row]) -> Row:
    values = [float(row["value"]) for row in rows]
    if len(set(values)) == 1:
        return rows[0]
    mean = rows[0] | over_seeds(values, str(rows[0].get("metric")))._asdict()
    others = {key: [row[key] for row in rows if is_number(row.get(key))] for key in AVERAGED}
    return mean | {key: float(np.mean(numbers)) for key, numbers in others.items() if numbers}


def traits_of(run: Run) -> Row | None:
    """What runs of a group have in common, by name; None where it is not known.

    These are the settings of :func:`~workbench.run.recipe`, the data's fingerprint and the number of steps (which
    includes the epochs), as in the list of runs; of a run evaluated at another step than its last, that step, too.
    """
    info = run.info()
    data, cost = (value if isinstance(value := info.get(key), dict) else {} for key in ("data", "cost"))
    settings = recipe(run.config_text())
    if not settings or not data.get("fingerprint"):
        return None
    steps = run.summary().get("steps", cost.get("steps"))
    step = re.search(r"\bstep (\d+)", str(run.evaluation("linear").get("checkpoint")))
    early = {"evaluated at step": int(step[1])} if step and int(step[1]) != steps else {}
    return settings | {"method": info.get("method"), "data": data["fingerprint"], "steps": steps} | early


def distinct_labels(labels: Sequence[str], traits: Sequence[Row], ids: Sequence[str]) -> list[str]:
    """Unique labels: where two are alike, with the settings that differ, or else with the end of the id."""
    result = []
    for label, own in zip(labels, traits, strict=True):
        alike = [other for other, name in zip(traits, labels, strict=True) if name == label]
        keys = [key for key in own if key != "data" and any(other.get(key) != own[key] for other in alike)]
        settings = ", ".join(f"{key}={own[key]}" for key in keys)
        result.append(f"{label} {settings}" if len(alike) > 1 and settings and len(keys) <= 2 else label)
    return [
        f"{label} \N{MIDDLE DOT} {run_id[-4:]}" if result.count(label) > 1 else label
        for label, run_id in zip(result, ids, strict=True)
    ]
