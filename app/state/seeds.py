"""The chosen runs with the other seeds of each: runs that differ only in their seed count as one model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from app.reading import files
from app.reading.choice import Choice
from app.state import chosen_runs, run_folder
from workbench.comparison.seeds import Group, group_runs, traits_of
from workbench.store import Run

MOST = 200
"""The number of newest runs of a folder that are searched for other seeds."""


@dataclass(frozen=True)
class SeedGroup:
    """A group of seeds, in the colour of its first chosen run."""

    group: Group
    colour: str


@st.cache_data(max_entries=4096, show_spinner=False)
def _traits(path: Path, evaluated: str | None) -> dict[str, Any] | None:
    return traits_of(Run(path))


def traits(run: Run) -> dict[str, Any] | None:
    """The traits that a run shares with its other seeds; read again after a new evaluation."""
    return _traits(run.path, run.evaluation("linear").get("created"))


def groups(chosen: Sequence[Choice], task: str, others: bool) -> list[SeedGroup]:
    """The groups of the chosen runs, in their order.

    Args:
        task: an evaluation that runs must have which are not chosen.
        others: whether to add seeds that are not chosen.
    """
    runs = [choice.run for choice in chosen]
    if others:
        runs += [run for run in _candidates(chosen) if files.rows(run.evaluation(task), model="run")]
    ids = {choice.run.id: choice for choice in chosen}
    alike = group_runs(runs, traits=[traits(run) for run in runs])
    alike = [group for group in alike if any(run.id in ids for run in group.runs)]
    # Labelled again, without the runs left out; a run without other seeds is called as on its chip.
    sizes = {run.id: len(group) for group in alike for run in group.runs}
    members = [run for run in runs if run.id in sizes]
    names = [ids[run.id].label if sizes[run.id] == 1 else chosen_runs.name_of(run.summary()) for run in members]
    labelled = group_runs(members, names, [traits(run) for run in members])
    return [SeedGroup(group, next(ids[run.id].colour for run in group.runs if run.id in ids)) for group in labelled]


def seed_groups(chosen: Sequence[Choice], task: str) -> list[SeedGroup]:
    """The groups of the chosen runs, under a switch that adds their other seeds if there are any."""
    own, whole = groups(chosen, task, False), groups(chosen, task, True)
    more = sum(len(seeds.group) for seeds in whole) - sum(len(seeds.group) for seeds in own)
    if not more:
        return own
    text = f"Include {more} other seed{'s' * (more > 1)} of the chosen runs"
    return whole if st.toggle(text, value=True, key="all-seeds", bind="query-params") else own


def _candidates(chosen: Sequence[Choice]) -> list[Run]:
    """The newest finished runs of the same methods and data that are not chosen."""
    kinds = {(choice.summary.get("method"), choice.summary.get("data")) for choice in chosen}
    ids = {choice.run.id for choice in chosen}
    folder = run_folder.runs_folder()
    candidates = [
        Run(folder / summary["id"])
        for summary in run_folder.summaries(folder)
        if summary["status"] == "finished"
        and summary["id"] not in ids
        and (summary.get("method"), summary.get("data")) in kinds
    ]
    return candidates[:MOST]
