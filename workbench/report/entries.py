"""The numbers of an evaluation, over all runs: one entry per model and whatever tells its rows apart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.comparison.seeds import Group, over_seeds
from workbench.comparison.table import RANDOM_INIT, Row, mapping_of, of_seeds
from workbench.headline import rows_of
from workbench.metrics.intervals import Interval
from workbench.store import Run


@dataclass(frozen=True)
class Entry:
    """A number of a model.

    Attributes:
        model: as it is printed: a group's title, ``untrained mocov3``, ``random init mocov3``, ``pixels``.
        group: index of the group it belongs to; None for what all share.
        kind: ``run``, ``untrained`` (a random start that was fine-tuned, too) or ``shared``.
        row: the first of the rows that were averaged.
        interval: over images for a single run, over seeds (Student's t) for several.
        seeds: how many runs were averaged.
        of: how many runs the group has.
    """

    model: str
    group: int | None
    kind: str
    row: Row
    interval: Interval
    seeds: int
    of: int

    @property
    def grey(self) -> bool:
        return self.kind != "run"

    def printed(self, digits: int = 1) -> str:
        """The number, its interval, and how many seeds it is of where some lack it."""
        return printed(self.interval, digits) + of_seeds(self.seeds, self.of)


def entries(
    groups: Sequence[Group],
    evaluation: str,
    *keys: str,
    shared: Sequence[str] = (),
    keep: Callable[[Run, Row], object] = lambda run, row: True,
) -> list[Entry]:
    """The entries of an evaluation: models in the order of the groups, baselines last.

    Args:
        keys: names of the entries of a row, beside its model, that tell rows apart.
        shared: further ones, of rows that are no run's or group's own.
        keep: which rows of a run to take.
    """
    several = len({mapping_of(run, "data").get("fingerprint") for group in groups for run in group.runs}) > 1
    rows_by_key: dict[tuple[Any, ...], list[tuple[Run, Row]]] = {}
    about: dict[tuple[Any, ...], tuple[str, int | None, str]] = {}
    for index, group in enumerate(groups):
        data = f" on {mapping_of(group.runs[0], 'data').get('name')}" if several else ""
        for run in group.runs:
            for row in rows_of(run, evaluation):
                model = str(row.get("model"))
                random = model.startswith("untrained") or model == RANDOM_INIT
                kind = "run" if model == "run" else "untrained" if random else "shared"
                own = f"{model.partition(':')[0]} {group.label}"
                name = {"run": group.title, "untrained": own, "shared": model}[kind] + data
                key = (name, kind, *(str(row.get(name)) for name in keys))
                if kind == "shared":
                    key += tuple(str(row.get(name)) for name in shared)
                known = rows_by_key.setdefault(key, [])
                if not keep(run, row) or any(other is run for other, _ in known):
                    continue
                if kind != "shared" or not known:  # what all share is measured once
                    known.append((run, row))
                    about[key] = name, None if kind == "shared" else index, kind
    made = [_entry(groups, *about[key], [row for _, row in rows]) for key, rows in rows_by_key.items() if rows]
    order = {"run": 0, "untrained": 1, "shared": 2}
    return sorted(made, key=lambda entry: order[entry.kind])


def _entry(groups: Sequence[Group], model: str, group: int | None, kind: str, rows: Sequence[Row]) -> Entry:
    values, of = [float(row["value"]) for row in rows], 1 if group is None else len(groups[group])
    if len(set(values)) > 1:
        return Entry(model, group, kind, rows[0], over_seeds(values, str(rows[0].get("metric"))), len(rows), of)
    bounds = (rows[0].get("low"), rows[0].get("high"))
    low, high = (float(bound) if isinstance(bound, int | float) else np.nan for bound in bounds)
    if len(values) > 1 and kind != "run":  # untrained networks that were drawn from one seed
        of = 1
    seeds = len(values) if kind == "run" else 1
    return Entry(model, group, kind, rows[0], Interval(values[0], low, high), seeds, of)


def printed(interval: Interval, digits: int = 1) -> str:
    """A number and its interval."""
    value, low, high = (round(end, digits) + 0.0 if np.isfinite(end) else end for end in interval)  # no "-0.00"
    bounds = f" [{low:.{digits}f}, {high:.{digits}f}]" if np.isfinite(low) and np.isfinite(high) else ""
    return f"{value:.{digits}f}{bounds}"
