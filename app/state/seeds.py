"""The chosen runs with the other seeds of each: runs that differ only in their seed count as one model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from app.reading import files, predictions
from app.reading.choice import Choice
from app.state import chosen_runs, run_folder
from workbench.comparison.seeds import Group, group_runs, traits_of
from workbench.headline import best_space
from workbench.store import Run

SWITCH = "all-seeds"
MOST = 200
"""The number of newest runs of a folder that are searched for other seeds."""


@dataclass(frozen=True)
class SeedGroup:
    """A group of seeds and its first chosen run, whose colour it has."""

    group: Group
    choice: Choice

    @property
    def colour(self) -> str:
        return self.choice.colour


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
    return [SeedGroup(group, next(ids[run.id] for run in group.runs if run.id in ids)) for group in labelled]


def seed_groups(chosen: Sequence[Choice], task: str) -> list[SeedGroup]:
    """The groups of the chosen runs, with their other seeds unless :func:`switch` leaves these out."""
    return groups(chosen, task, st.session_state.get(SWITCH, True))


def switch(chosen: Sequence[Choice]) -> None:
    """A switch for all pages that adds the other seeds of the chosen runs; nothing where there are none."""
    own, whole = groups(chosen, "linear", False), groups(chosen, "linear", True)
    if more := sum(len(seeds.group) for seeds in whole) - sum(len(seeds.group) for seeds in own):
        help_text = "Runs that differ only in their seed count as one model, with an interval over seeds."
        st.toggle(f"with {more} other seed{'s' * (more > 1)}", True, SWITCH, help_text, bind="query-params")


def predicted(choice: Choice, ids: np.ndarray) -> np.ndarray | None:
    """The classes (n,) that the probe of the run's headline space predicts for images; see
    :func:`predictions.of_run`."""
    return predictions.of_run(choice.run, ids, headline_space(choice))


def headline_row(choice: Choice, evaluation: dict[str, Any]) -> dict[str, Any] | None:
    """The run's row of an evaluation in :func:`headline_space`, or in its default one where that was not measured."""
    row = next(iter(files.rows(evaluation, model="run", space=headline_space(choice))), None)
    return row or files.default_row(evaluation)


def headline_space(choice: Choice) -> str | None:
    """The space in which every headline number of the run's group is read; see :func:`~headline.best_space`."""
    evaluated = choice.run.evaluation("linear").get("created")
    return _headline_space(choice.run.path, evaluated, st.session_state.get(SWITCH, True), choice)


@st.cache_data(ttl=2, max_entries=256, show_spinner=False)  # a page asks many times, and each looks through the folder
def _headline_space(path: Path, evaluated: str | None, others: bool, _choice: Choice) -> str | None:
    return best_space(groups([_choice], "linear", others)[0].group.runs)


def _candidates(chosen: Sequence[Choice]) -> list[Run]:
    """The newest finished runs of the same methods and data that are not chosen."""
    kinds = {(choice.summary.get("method"), choice.summary.get("data")) for choice in chosen}
    ids = {choice.run.id for choice in chosen}
    folder = run_folder.runs_folder()
    candidates: list[Run] = [
        files.ReadOnce(folder / summary["id"])
        for summary in run_folder.summaries(folder)
        if summary["status"] == "finished"
        and summary["id"] not in ids
        and (summary.get("method"), summary.get("data")) in kinds
    ]
    return candidates[:MOST]
