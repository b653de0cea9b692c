"""The folder of runs behind the app."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from workbench.comparison.colours import folder_colours
from workbench.comparison.seeds import partition
from workbench.format import finite_number
from workbench.hints import default_runs
from workbench.store import list_summaries, short_ids

Summary = dict[str, Any]


@dataclass(frozen=True)
class Content:
    """What a folder holds; shared: do not change it.

    Attributes:
        summaries: of all runs, newest first.
        groups: run ids of every group of seeds, the oldest group first, the lowest seed first.
        group: index of a run's group, by id.
        colours: index for :func:`~workbench.palette.run_colour`, by id.
        short: the shortest unique ids, by id.
        by_id: the summaries.
        place: of a run, the oldest has 0, by id.
    """

    summaries: list[Summary]
    groups: Sequence[Sequence[str]]
    group: Mapping[str, int]
    colours: Mapping[str, int]
    short: Mapping[str, str]
    by_id: Mapping[str, Summary]
    place: Mapping[str, int]


def runs_folder() -> Path:
    """The folder with which ``workbench app`` was started; ``$WORKBENCH_RUNS`` stays that of the shell, for hints."""
    return Path(os.environ.get("WORKBENCH_APP_RUNS") or default_runs())


def _by_seed(summary: Mapping[str, Any]) -> tuple[float, str]:
    return finite_number(summary.get("seed")) or 0, summary["id"]


@st.cache_resource(ttl=2, show_spinner=False)
def content(folder: Path) -> Content:
    """What a folder holds, at most two seconds old."""
    found = list_summaries(folder)
    groups = partition(found, folder)
    ids = [[summary["id"] for summary in sorted(group, key=_by_seed)] for group in groups]
    group = {run_id: place for place, members in enumerate(ids) for run_id in members}
    by_id = {summary["id"]: summary for summary in found}
    place = {run_id: index for index, run_id in enumerate(sorted(by_id))}
    return Content(found, ids, group, folder_colours(groups), short_ids(list(by_id)), by_id, place)


def summaries(folder: Path) -> list[Summary]:
    """The summaries of all runs in a folder, newest first, at most two seconds old; shared: do not change them."""
    return content(folder).summaries


def evaluated(folder: Path) -> bool:
    """Whether a run of the folder has an evaluation."""
    return any(
        finite_number(summary.get("linear")) is not None
        or finite_number(summary.get("knn")) is not None
        or any((folder / summary["id"] / "evaluations").glob("[!.]*.json"))
        for summary in summaries(folder)
    )
