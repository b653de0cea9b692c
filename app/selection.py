"""What is being compared: up to eight runs, each with its colour, and some images. All of it stands in the URL."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from app import look, reading
from workbench.store import Run

MOST = 8
MOST_IMAGES = 200


@dataclass(frozen=True, eq=False)
class Choice:
    """A run that was chosen.

    Attributes:
        colour: its colour in every figure, as ``#rrggbb``.
        label: its name among the chosen ones.
    """

    run: Run
    index: int
    colour: str
    label: str
    summary: dict[str, Any]

    @property
    def status(self) -> str:
        return str(self.summary["status"])


def parse(text: str) -> dict[str, int]:
    """``id:colour,id:colour`` as colour index by run id, in order; what makes no sense is left out."""
    chosen: dict[str, int] = {}
    for part in text.split(","):
        run_id, _, index = part.rpartition(":")
        known = re.fullmatch(r"[0-9]", index) and int(index) < MOST
        if run_id and run_id not in chosen and known and int(index) not in chosen.values():
            chosen[run_id] = int(index)
    return dict(list(chosen.items())[:MOST])


def write(chosen: dict[str, int]) -> str:
    """The inverse of :func:`parse`; ``none`` where nothing is chosen."""
    return ",".join(f"{run_id}:{index}" for run_id, index in chosen.items()) or "none"


def recolour(run_ids: Iterable[str], before: dict[str, int]) -> dict[str, int]:
    """Runs keep the colours that they had; new ones get the first that is free."""
    wanted = list(dict.fromkeys(run_ids))
    chosen = {run_id: index for run_id, index in before.items() if run_id in wanted}
    for run_id in wanted:
        free = [index for index in range(MOST) if index not in chosen.values()]
        if run_id not in chosen and free:
            chosen[run_id] = free[0]
    return chosen


def first_choice(summaries: Sequence[dict[str, Any]]) -> dict[str, int]:
    """What is compared before anybody chose: the newest evaluated run of each method, on the newest one's data."""
    usable = [summary for summary in summaries if summary["status"] in ("finished", "interrupted", "running")]
    best = sorted(usable, key=lambda one: (reading.number(one.get("linear")) is None, one["status"] != "finished"))
    newest: dict[str, str] = {}
    for summary in best:
        if summary.get("data") == best[0].get("data"):
            newest.setdefault(str(summary.get("method")), summary["id"])
    order = {"mocov3": 0, "vae": 1, "ddpm": 2}
    return recolour([newest[method] for method in sorted(newest, key=lambda m: (order.get(m, 9), m))[:4]], {})


def labels(summaries: Sequence[dict[str, Any]]) -> list[str]:
    """Short names that tell the runs apart: the name or the method, then seed, then the id's end."""
    names = [str(summary.get("name") or summary.get("method") or summary["id"])[:40] for summary in summaries]
    names = [name.replace("<", "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}") for name in names]  # figures read HTML
    for extra in (lambda s: f"seed {s['seed']}" if s.get("seed") is not None else "", lambda s: s["id"][-4:]):
        names = [
            f"{name} · {extra(summary)}" if names.count(name) > 1 and extra(summary) else name
            for name, summary in zip(names, summaries, strict=True)
        ]
    return names


def current() -> dict[str, int]:
    """The choice as it stands: from the URL, from before the page was changed, or :func:`first_choice`."""
    text = st.query_params.get("runs", st.session_state.get("chosen"))
    chosen = first_choice(reading.summaries(reading.runs_folder())) if text is None else parse(text)
    if chosen or text is not None:
        st.session_state["chosen"] = write(chosen)
        if st.query_params.get("runs") != write(chosen):
            st.query_params["runs"] = write(chosen)
    return chosen


def choose(run_ids: Iterable[str]) -> None:
    """Compare these runs from now on."""
    text = write(recolour(run_ids, current()))
    st.session_state["chosen"] = text
    st.query_params["runs"] = text


def choices() -> list[Choice]:
    """The chosen runs that exist."""
    folder = reading.runs_folder()
    known = {summary["id"]: summary for summary in reading.summaries(folder)}
    chosen = {run_id: index for run_id, index in current().items() if run_id in known}
    colours = look.run_colours(dark=st.context.theme.type == "dark")
    names = labels([known[run_id] for run_id in chosen])
    return [
        Choice(Run(folder / run_id), index, colours[index], name, known[run_id])
        for (run_id, index), name in zip(chosen.items(), names, strict=True)
    ]


def images() -> list[int]:
    """Ids of the selected images."""
    text = st.query_params.get("images", st.session_state.get("images", ""))
    found = [int(part) for part in text.split(",") if re.fullmatch(r"-?[0-9]{1,18}", part)][:MOST_IMAGES]
    select_images(found)
    return found


def select_images(ids: Iterable[int]) -> None:
    """Select images; the first 200 are kept, so that the URL stays usable."""
    text = ",".join(str(int(image)) for image in list(ids)[:MOST_IMAGES])
    st.session_state["images"] = text
    if text:
        st.query_params["images"] = text
    elif "images" in st.query_params:
        del st.query_params["images"]
