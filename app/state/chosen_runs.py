"""The runs ticked for comparison, as short ids in the URL, and the groups of seeds that they belong to."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from app.reading import files
from app.reading.choice import Choice
from app.state import appearance, run_folder
from workbench import palette
from workbench.comparison.seeds import distinct_labels, traits_of
from workbench.format import finite_number
from workbench.store import Probe, Run

ALL_SEEDS = "all-seeds"
"""The switch, of the URL and the session, by which the other seeds of a ticked run count."""


def parse(text: str, ids: Iterable[str]) -> tuple[list[str], list[str]]:
    """The runs that a URL names, and what in it names none.

    Args:
        text: ends of ids, or whole ids, separated by commas; the colours of older links (``id:0``) are ignored.
        ids: of all runs.

    Returns:
        ids in the order of the URL, and the parts that are no end of an id or of several.
    """
    known, ends = set(ids), dict[str, list[str]]()
    for run_id in known:
        ends.setdefault(run_id.rpartition("-")[2], []).append(run_id)
    chosen, unknown = [], []
    for part in filter(None, text.split(",") if text != "none" else ()):
        reference = part if part in known else re.sub(r":\d+$", "", part)
        matches = [reference] if reference in known else ends.get(reference, [])
        if not matches and len(reference) >= 4:
            matches = [run_id for run_id in known if run_id.endswith(f"-{reference}")]
        if len(matches) == 1:
            chosen += matches
        else:
            unknown.append(reference)
    return list(dict.fromkeys(chosen)), list(dict.fromkeys(unknown))


def write(ids: Iterable[str], short: Mapping[str, str]) -> str:
    """The inverse of :func:`parse`; ``none`` for no run."""
    return ",".join(short.get(run_id, run_id) for run_id in ids) or "none"


def first_choice(summaries: Sequence[dict[str, Any]]) -> list[str]:
    """The choice by default: the newest evaluated run of each method, on the data of the newest of all."""
    statuses = ("finished", "interrupted", "running")
    usable = [summary for summary in summaries if not summary.get("archived") and summary["status"] in statuses]
    best = sorted(usable, key=lambda run: (finite_number(run.get("linear")) is None, run["status"] != "finished"))
    newest: dict[str, str] = {}
    for summary in best:
        if summary.get("data") == best[0].get("data"):
            newest.setdefault(str(summary.get("method")), summary["id"])
    order = {"mocov3": 0, "vae": 1, "ddpm": 2}
    return [newest[method] for method in sorted(newest, key=lambda m: (order.get(m, 9), m))[:4]]


def name_of(summary: dict[str, Any]) -> str:
    """A run's name or method, shortened, and without characters that a figure reads as HTML."""
    name = str(summary.get("name") or summary.get("method") or summary["id"])[:40]
    return name.replace("<", "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}")


@st.cache_data(max_entries=4096, show_spinner=False)
def _traits(path: Path, evaluated: str | None) -> dict[str, Any] | None:
    return traits_of(Run(path))


def traits(run: Run) -> dict[str, Any] | None:
    """The traits that a run shares with its other seeds; read again after a new evaluation."""
    return _traits(run.path, run.evaluation("linear").get("created"))


def current() -> list[str]:
    """The ids of the ticked runs: from the URL, from the session, or :func:`first_choice`."""
    folder = run_folder.content(run_folder.runs_folder())
    text = st.query_params.get("runs", st.session_state.get("chosen"))
    if text is None:
        chosen, unknown = first_choice(folder.summaries), []
    else:
        chosen, unknown = parse(text, folder.group)
    if chosen or text is not None:
        _keep(write([*chosen, *unknown], folder.short))
    return chosen


def unknown() -> dict[str, str]:
    """What the URL names and cannot be chosen, with the reason."""
    folder = run_folder.runs_folder()
    ids = run_folder.content(folder).group
    text = st.query_params.get("runs", st.session_state.get("chosen", ""))
    reasons = {}
    for part in parse(text, ids)[1]:
        several = sum(run_id.endswith(f"-{part}") for run_id in ids)
        reasons[part] = f"ambiguous, the end of {several} ids" if several else f"not in {folder}"
    return reasons


def choose(run_ids: Iterable[str]) -> None:
    """Choose these runs."""
    _keep(write(dict.fromkeys(run_ids), run_folder.content(run_folder.runs_folder()).short))


def _keep(text: str) -> None:
    """Write the choice into the URL and into the session, which survives a change of pages."""
    st.session_state["chosen"] = text
    if st.query_params.get("runs") != text:
        st.query_params["runs"] = text


def all_seeds() -> bool:
    """Whether the other seeds of the ticked runs count."""
    return bool(st.session_state.get(ALL_SEEDS, st.query_params.get(ALL_SEEDS) != "false"))


def choices() -> list[Choice]:
    """The groups of the ticked runs, in the order of the URL."""
    path = run_folder.runs_folder()
    folder = run_folder.content(path)
    ticked: dict[int, list[str]] = {}
    for run_id in current():
        ticked.setdefault(folder.group[run_id], []).append(run_id)
    return _labelled([_choice(path, folder, ids) for ids in ticked.values()], folder)


def _choice(path: Path, folder: run_folder.Content, ids: Sequence[str]) -> Choice:
    """The group of some ticked runs; it has no label yet."""
    runs = {run_id: files.ReadOnce(path / run_id) for run_id in folder.groups[folder.group[ids[0]]]}
    every, statuses = all_seeds(), {run_id: folder.by_id[run_id]["status"] for run_id in runs}
    members = tuple(runs[id_] for id_ in runs if id_ in ids or (every and statuses[id_] == "finished"))
    colour = palette.run_colour(folder.colours[ids[0]], appearance.dark())
    first, ticked = ids[0], tuple(runs[run_id] for run_id in ids)
    return Choice(runs[first], folder.place[first], colour, "", folder.by_id[first], members, ticked)


def _labelled(chosen: Sequence[Choice], folder: run_folder.Content) -> list[Choice]:
    """The choices with distinct labels: the name that a group's runs share, or its method, and what sets it apart."""
    labels = []
    for choice in chosen:
        names = {name_of(folder.by_id[run.id]) for run in choice.members}
        labels.append(names.pop() if len(names) == 1 else str(choice.summary.get("method") or choice.run.id))
    if len(set(labels)) < len(labels):
        labels = distinct_labels(labels, [traits(c.run) or {} for c in chosen], [c.run.id for c in chosen])
    return [replace(choice, label=label) for choice, label in zip(chosen, labels, strict=True)]


def networks(chosen: Sequence[Choice], every: bool = True) -> list[Choice]:
    """Every network of the groups by itself, in their colours.

    Args:
        every: all members; otherwise the ticked ones.
    """
    folder = run_folder.content(run_folder.runs_folder())
    alone = []
    for choice in chosen:
        runs = choice.members if every else choice.ticked
        for run in runs:
            seed = folder.by_id[run.id].get("seed", "?")
            label = f"{choice.label} \N{MIDDLE DOT} seed {seed}" if len(choice.members) > 1 else choice.label
            alone.append(choice.alone(run, folder.place[run.id], label))
    return alone


def probes(chosen: Sequence[Choice] | None = None) -> list[Probe]:
    """The different probe sets of the chosen runs, in their order; pages show images of the first."""
    sets = [files.probe(choice.run) for choice in (choices() if chosen is None else chosen)]
    return list({probe.path: probe for probe in sets if probe is not None}.values())


def of_probe(chosen: Sequence[Choice], probe: Probe) -> list[Choice]:
    """The runs on a probe set's data; other data may have the same ids."""
    sets = {choice: files.probe(choice.run) for choice in chosen}
    return [choice for choice, own in sets.items() if own is not None and own.path == probe.path]
