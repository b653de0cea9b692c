"""Entries as tables: a column per evaluation, or per whatever tells the rows of one evaluation apart."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workbench.comparison.likelihood import in_bits
from workbench.comparison.seeds import Group
from workbench.report.document import Block, Heading, Table
from workbench.report.entries import Entry, entries


def section(
    title: str,
    groups: Sequence[Group],
    names: Mapping[str, str],
    columns: tuple[str, ...],
    *,
    numbers: Mapping[str, Sequence[Entry]] | None = None,
    caption: str = "",
    digits: int = 1,
) -> list[Block]:
    """A table with a row per model and whatever else the first columns tell, a column per evaluation.

    Args:
        names: headings by evaluation.
        numbers: entries by evaluation; by default all of them.
    """
    numbers = {name: entries(groups, name, *columns[1:]) for name in names} if numbers is None else numbers
    numbers = {name: listed for name, listed in numbers.items() if listed}
    if not numbers:
        return []
    cells: dict[tuple[str, ...], dict[str, Entry]] = {}
    for name, listed in numbers.items():
        for entry in listed:
            key = entry.model, *(str(entry.row.get(column) or "") for column in columns[1:])
            cells.setdefault(key, {})[name] = entry
    ordered = sorted(cells.items(), key=lambda item: next(iter(item[1].values())).grey)
    used = [i for i in range(len(columns)) if i == 0 or any(key[i] for key, _ in ordered)]
    rows = [
        [*(key[i] for i in used), *(own[name].printed(digits) if name in own else "" for name in numbers)]
        for key, own in ordered
    ]
    grey = [index for index, (_, own) in enumerate(ordered) if next(iter(own.values())).grey]
    notes = " ".join(protocol(groups, name, f"{names[name]}:" if len(numbers) > 1 else "") for name in numbers)
    headings = [*(columns[i] for i in used), *(names[name] for name in numbers)]
    return [Heading(title), Table(caption or title, headings, rows, words=len(used), grey=grey, note=notes)]


def pivot(
    title: str,
    numbers: Sequence[Entry],
    column: Callable[[Entry], str],
    *,
    digits: int = 1,
    by_space: bool = True,
    caption: str = "",
    note: str = "",
) -> list[Block]:
    """A table with a row per model, and per space where it has several, and a column per whatever ``column`` says."""
    if not numbers:
        return []
    names = list(dict.fromkeys(column(entry) for entry in numbers))
    cells: dict[tuple[str, str], dict[str, Entry]] = {}
    for entry in numbers:
        many = len({str(other.row.get("space")) for other in numbers if other.model == entry.model}) > 1
        key = entry.model, str(entry.row.get("space") or "") if many and by_space else ""
        cells.setdefault(key, {})[column(entry)] = entry
    rows: list[list[Any]] = [
        [", ".join(part for part in key if part), *(own[n].printed(digits) if n in own else "" for n in names)]
        for key, own in cells.items()
    ]
    grey = [index for index, own in enumerate(cells.values()) if next(iter(own.values())).grey]
    return [Heading(title), Table(caption or title, ["model", *names], rows, grey=grey, note=note)]


def protocol(groups: Sequence[Group], name: str, before: str = "") -> str:
    """Protocol, split and n of an evaluation; what several runs say alike is said once."""
    contents = [content for group in groups for run in group.runs if (content := run.evaluation(name)).get("protocol")]
    texts = [in_bits(str(content["protocol"])) for content in contents]
    clauses = dict.fromkeys(part for text in texts for part in text.rstrip(".").split("; "))
    where = dict.fromkeys(f"{c.get('split')} images, n = {c['n']:,}" for c in contents if isinstance(c.get("n"), int))
    text = "; ".join((*clauses, *where))
    return " ".join(part for part in (before, text and f"{text}.") if part)
