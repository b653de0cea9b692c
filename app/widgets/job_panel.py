"""What a page lets people start: buttons, the panel of background commands, and news that redraws the page.

Without ``workbench app --allow-actions`` the app never writes; buttons are then absent.
"""

import os
import shlex
from collections.abc import Sequence
from hashlib import sha256
from html import escape

import streamlit as st

from app import theme
from app.reading import files
from app.state import chosen_runs, run_folder
from workbench import hints, jobs
from workbench.errors import WorkbenchError
from workbench.format import format_duration
from workbench.jobs import Job

COLOURS = {"done": "green", "failed": "red", "cancelled": "orange", "lost": "orange", "running": "blue"}
LISTED = 8
CSS = """<style>
div:has(> .st-key-jobs) {position: absolute;}
.st-key-jobs {position: fixed; top: .7rem; right: 3.6rem; z-index: 1000001; width: auto;}
.st-key-jobs button {min-height: 2rem; padding: .1rem .7rem;}
.wb-log {font: .78rem/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; color: var(--wb-muted);
  white-space: pre-wrap; overflow-wrap: anywhere; margin: -.5rem 0 .2rem;}
</style>"""


def allowed() -> bool:
    """Whether the app was started with ``--allow-actions``."""
    return os.environ.get("WORKBENCH_ALLOW_ACTIONS") == "1"


def command(verb: str, run_ids: Sequence[str], *options: str) -> str:
    """A ``workbench`` command on runs of the folder that is looked at, ready to copy."""
    return hints.command(verb, *run_ids, *options, runs=run_folder.runs_folder())


def offer(place: str, *commands: str) -> None:
    """Under commands that are shown to be copied: a button that runs them, or how to get one.

    Args:
        place: what tells this offer from others of the same command on the page.
    """
    possible = [text for text in commands if shlex.split(text)[1:2] and shlex.split(text)[1] in jobs.COMMANDS]
    if not possible:
        return
    if not allowed():
        st.caption(f"To run this from the app, start it with `{command('app', [], '--allow-actions')}`.")
        return
    for text in possible:
        button("Run command" if len(possible) == 1 else f"Run {text[:40]}", text, place=place)


def button(label: str, text: str, icon: str = "play_arrow", help: str | None = None, place: str = "") -> None:
    """A button that starts a command in the background; while it runs, a disabled one.

    Args:
        place: see :func:`offer`.
    """
    newest = next((job for job in jobs.jobs(run_folder.runs_folder()) if job.words == shlex.split(text)), None)
    live = newest is not None and newest.live
    st.button(
        theme.literal(f"{label}: {newest.status}" if newest is not None and live else label),
        key=f"run {sha256(f'{place}{text}'.encode()).hexdigest()[:12]}",
        icon=":material/hourglass_top:" if live else f":material/{icon}:",
        help=help or f"`{text}`",
        disabled=live,
        on_click=launch,
        args=(text,),
    )


def launch(text: str) -> None:
    """Start a command in the background and say so, where that is allowed."""
    if not allowed():
        tell(f"Not started: the app is read-only. Start it with {command('app', [], '--allow-actions')}.", "error")
        return
    try:
        jobs.start(run_folder.runs_folder(), jobs.parse(text), max(1, int(os.environ.get("WORKBENCH_JOBS") or 1)))
        tell("Started; see progress at the top right.", "play_arrow")
    except WorkbenchError as error:
        tell(str(error), "error")


def tell(text: str, icon: str = "check") -> None:
    """Say something when the page is drawn next."""
    st.session_state.setdefault("told", []).append((text, icon))


def panel() -> None:
    """The background commands, on every page; redraws the page when one ends or a chosen run was evaluated anew."""
    st.html(CSS)
    for text, icon in st.session_state.pop("told", []):
        st.toast(text, icon=f":material/{icon}:")
    commands = jobs.jobs(run_folder.runs_folder())
    st.session_state["seen"] = state(commands)
    st.fragment(pulse, run_every=2 if any(job.live for job in commands) else 5)()


def state(commands: Sequence[Job]) -> tuple[dict[str, str], list[int]]:
    """What a page depends on that changes by itself: how the jobs stand, and when the chosen runs were evaluated."""
    runs = [run for choice in chosen_runs.choices() for run in choice.members]
    return {job.id: job.status for job in commands}, [files.evaluation_time(run) for run in runs]


def pulse() -> None:
    """Look for news; draw the panel."""
    commands = jobs.jobs(run_folder.runs_folder())
    before, now = st.session_state.get("seen"), state(commands)
    if before is not None and before != now:
        for job in commands:
            if before[0].get(job.id) in ("queued", "running", "cancelling") and not job.live:
                tell(f"{theme.literal(title(job))}: {job.status}, {format_duration(job.seconds)}", icon_of(job))
        run_folder.content.clear()
        st.rerun()
    if not commands:
        return
    counts = {status: [job.status for job in commands].count(status) for status in ("running", "cancelling", "queued")}
    label = ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "Commands"
    with st.container(key="jobs"), st.popover(label, icon=":material/terminal:", type="tertiary", key="jobs_open"):
        for job in commands[:LISTED]:
            row(job)
        st.caption(f"Logs are kept in `{run_folder.runs_folder().name}/.jobs`.")


def row(job: Job) -> None:
    """A background command: what it is, how it stands, what it last said."""
    status = job.status
    with st.container(horizontal=True, vertical_alignment="center", gap="small", width=460):
        time = "" if status == "queued" else f" · {format_duration(job.seconds)}"
        st.markdown(
            f"**{theme.literal(title(job))}**  \n:{COLOURS.get(status, 'gray')}[{status}]{time}", width="stretch"
        )
        if allowed() and status in ("queued", "running"):
            st.button("Cancel", key=f"cancel {job.id}", icon=":material/stop:", on_click=cancel, args=(job,))
    lines = job.lines[-3:] if status in ("failed", "lost") else job.lines[-1:]
    if lines:
        st.html(f'<div class="wb-log">{escape(chr(10).join(lines))}</div>')


def cancel(job: Job) -> None:
    """Ask for a job's end."""
    try:
        job.cancel()
    except WorkbenchError as error:
        tell(str(error), "error")


def title(job: Job) -> str:
    """A job in a few words: ``evaluate mocov3, vae --thorough``."""
    summaries = run_folder.summaries(run_folder.runs_folder())
    names = {run["id"]: str(run.get("name") or run.get("method") or run["id"]) for run in summaries}
    words = job.words[1:]
    if "--runs" in words:
        place = words.index("--runs")
        words = words[:place] + words[place + 2 :]
    runs = ", ".join(names[word] for word in words[1:] if word in names)
    return " ".join(filter(None, [words[0], runs, *(word for word in words[1:] if word not in names)]))[:80]


def icon_of(job: Job) -> str:
    return {"done": "check", "failed": "error"}.get(job.status, "stop")
