"""The numbers of the chosen models behind a page's verdict: of several seeds the mean, with its interval over seeds."""

from collections.abc import Callable, Sequence
from typing import Any

from app.reading import files
from app.reading.choice import Choice
from app.reading.verdict import Measured
from app.state.seeds import seed_groups
from workbench.comparison.seeds import over_seeds
from workbench.comparison.table import group_table
from workbench.headline import space_in
from workbench.store import Run


def of_groups(
    chosen: Sequence[Choice], task: str, row_of: Callable[[Run, str | None], dict[str, Any] | None]
) -> list[Measured]:
    """A number per group of seeds.

    Args:
        row_of: the row that counts of a run's evaluation ``task``, given the space of the group's headline number; None
            where it has none.
    """
    numbers = []
    for member in seed_groups(chosen, "linear"):
        space = space_in(member.group.runs, task)
        rows = [row for run in member.group.runs if (row := row_of(run, space))]
        if len(rows) > 1:
            interval = over_seeds([row["value"] for row in rows], rows[0].get("metric"))
            numbers.append(Measured(member.group.label, *interval))
        elif rows:
            numbers.append(Measured(member.group.label, rows[0]["value"], *files.bounds(rows[0])))
    return numbers


def headlines(chosen: Sequence[Choice], key: str) -> list[Measured]:
    """The headline numbers of a measure, as ``workbench compare`` prints them.

    Args:
        key: ``linear``, ``knn``, ``retrieval`` or ``reconstruction``.
    """
    rows = group_table([member.group for member in seed_groups(chosen, "linear")])
    cells = [(row["model"], row[key]) for row in rows if row["kind"] == "run" and row[key]]
    return [Measured(name, cell["value"], *files.bounds(cell)) for name, cell in cells]
