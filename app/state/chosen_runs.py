"""The runs chosen for comparison: up to eight, each with its colour; the choice is part of the URL."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import streamlit as st

from app.reading import files
from app.reading.choice import Choice
from app.state import run_folder
from workbench import palette
from workbench.format import finite_number
from workbench.store import Probe

MOST = 8


def parse(text: str) -> dict[str, int]:
    """``id:colour,id:colour`` as colour index by run id, in order; malformed parts are left out."""
    chosen: dict[str, int] = {}
    for part in text.split(","):
        run_id, _, index = part.rpartition(":")
        known = re.fullmatch(r"[0-9]", index) and int(index) < MOST
        if run_id and run_id not in chosen and known and int(index) not in chosen.values():
            chosen[run_id] = int(index)
    return dict(list(chosen.items())[:MOST])


def write(chosen: dict[str, int]) -> str:
    """The inverse of :func:`parse`; ``none`` for no run."""
    return ",".join(f"{run_id}:{index}" for run_id, index in chosen.items()) or "none"


def recolour(run_ids: Iterable[str], before: dict[str, int]) -> dict[str, int]:
    """Colour indices of runs: those they had before, or the first free one."""
    wanted = list(dict.fromkeys(run_ids))
    chosen = {run_id: index for run_id, index in before.items() if run_id in wanted}
    for run_id in wanted:
        free = [index for index in range(MOST) if index not in chosen.values()]
        if run_id not in chosen and free:
            chosen[run_id] = free[0]
    return chosen


def first_choice(summaries: Sequence[dict[str, Any]]) -> dict[str, int]:
    """The choice by default: the newest evaluated run of each method, on the data of the newest of all."""
    statuses = ("finished", "interrupted", "running")
    usable = [summary for summary in summaries if not summary.get("archived") and summary["status"] in statuses]
    best = sorted(usable, key=lambda run: (finite_number(run.get("linear")) is None, run["status"] != "finished"))
    newest: dict[str, str] = {}
    for summary in best:
        if summary.get("data") == best[0].get("data"):
            newest.setdefault(str(summary.get("method")), summary["id"])
    order = {"mocov3": 0, "vae": 1, "ddpm": 2}
    return recolour([newest[method] for method in sorted(newest, key=lambda m: (order.get(m, 9), m))[:4]], {})


def name_of(summary: dict[str, Any]) -> str:
    """A run's name or method, shortened, and without characters that a figure reads as HTML."""
    name = str(summary.get("name") or summary.get("method") or summary["id"])[:40]
    return name.replace("<", "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}")


def labels(summaries: Sequence[dict[str, Any]]) -> list[str]:
    """Short distinct labels: the name or the method, with seed and end of the id where needed."""
    names = [name_of(summary) for summary in summaries]
    for extra in (lambda s: f"seed {s['seed']}" if s.get("seed") is not None else "", lambda s: s["id"][-4:]):
        names = [
            f"{name} · {extra(summary)}" if names.count(name) > 1 and extra(summary) else name
            for name, summary in zip(names, summaries, strict=True)
        ]
    return names


def current() -> dict[str, int]:
    """The current choice: from the URL, from the session, or :func:`first_choice`."""
    text = st.query_params.get("runs", st.session_state.get("chosen"))
    chosen = first_choice(run_folder.summaries(run_folder.runs_folder())) if text is None else parse(text)
    if chosen or text is not None:
        st.session_state["chosen"] = write(chosen)
        if st.query_params.get("runs") != write(chosen):
            st.query_params["runs"] = write(chosen)
    return chosen


def choose(run_ids: Iterable[str]) -> None:
    """Choose these runs."""
    text = write(recolour(run_ids, current()))
    st.session_state["chosen"] = text
    st.query_params["runs"] = text


def choices() -> list[Choice]:
    """The chosen runs that exist."""
    folder = run_folder.runs_folder()
    known = {summary["id"]: summary for summary in run_folder.summaries(folder)}
    chosen = {run_id: index for run_id, index in current().items() if run_id in known}
    colours = palette.run_colours(dark=st.context.theme.type == "dark")
    names = labels([known[run_id] for run_id in chosen])
    return [
        Choice(files.ReadOnce(folder / run_id), index, colours[index], name, known[run_id])
        for (run_id, index), name in zip(chosen.items(), names, strict=True)
    ]


def probes(chosen: Sequence[Choice] | None = None) -> list[Probe]:
    """The different probe sets of the chosen runs, in their order; pages show images of the first."""
    sets = [files.probe(choice.run) for choice in (choices() if chosen is None else chosen)]
    return list({probe.path: probe for probe in sets if probe is not None}.values())


def of_probe(chosen: Sequence[Choice], probe: Probe) -> list[Choice]:
    """The runs on a probe set's data; other data may have the same ids."""
    sets = {choice: files.probe(choice.run) for choice in chosen}
    return [choice for choice, own in sets.items() if own is not None and own.path == probe.path]
