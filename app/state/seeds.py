"""The chosen groups of seeds as pages with numbers compare them, and the switch that adds seeds that are not ticked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from app.reading import files, predictions
from app.reading.choice import Choice
from app.state import chosen_runs, run_folder
from workbench.comparison.seeds import Group, group_runs
from workbench.headline import best_space


@dataclass(frozen=True)
class SeedGroup:
    """A group of seeds that have an evaluation, and the choice that it belongs to."""

    group: Group
    choice: Choice

    @property
    def colour(self) -> str:
        return self.choice.colour


def seed_groups(chosen: Sequence[Choice], task: str) -> list[SeedGroup]:
    """The groups of the choices, in their order, with those of their members that have an evaluation; all of them
    where none has it.

    Runs that were evaluated at another step than the others of their group are groups of their own if they are ticked,
    and left out if not.
    """
    owners: dict[str, Choice] = {}
    runs, wanted = [], set[str]()
    for choice in chosen:
        members = [run for run in choice.members if files.rows(run.evaluation(task), model="run")] or choice.members
        runs += members
        owners |= {run.id: choice for run in members}
        ids = [run.id for run in members]
        wanted |= {run.id for run in choice.ticked}.intersection(ids) or {ids[0]}
    alike = group_runs(runs, traits=[chosen_runs.traits(run) for run in runs])
    members = [run for group in alike if wanted.intersection(run.id for run in group.runs) for run in group.runs]
    labels = [owners[run.id].label for run in members]
    labelled = group_runs(members, labels, [chosen_runs.traits(run) for run in members])
    return [SeedGroup(group, owners[group.runs[0].id]) for group in labelled]


def switch(chosen: Sequence[Choice]) -> None:
    """The switch for all pages that adds the other seeds of the ticked runs; nothing where there are none."""
    folder = run_folder.content(run_folder.runs_folder())
    groups = [folder.groups[folder.group[choice.run.id]] for choice in chosen]
    if any(len(group) > 1 for group in groups):
        help_text = (
            "Runs that differ only in their seed count as one model. On: means and intervals over all its seeds. "
            "Off: over "
            "the selected seeds."
        )
        st.toggle("All seeds", True, chosen_runs.ALL_SEEDS, help_text, bind="query-params", width="content")


def predicted(choice: Choice, ids: np.ndarray) -> np.ndarray | None:
    """The classes (n,) that the probe of the run's headline space predicts for images; see
    :func:`predictions.of_run`."""
    return predictions.of_run(choice.run, ids, headline_space(choice))


def headline_space(choice: Choice) -> str | None:
    """The space in which every headline number of the run's group is read; see :func:`headline.best_space`."""
    paths = tuple(run.path for run in choice.members)
    evaluated = tuple(run.evaluation("linear").get("created") for run in choice.members)
    return _headline_space(paths, evaluated, choice)


@st.cache_data(max_entries=256, show_spinner=False)  # a page asks many times
def _headline_space(paths: tuple[Path, ...], evaluated: tuple[str | None, ...], _choice: Choice) -> str | None:
    return best_space(seed_groups([_choice], "linear")[0].group.runs)
