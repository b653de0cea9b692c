"""Run: everything that is stored of one run."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from app import theme
from app.reading import files, run_folder_content
from app.reading.choice import Choice
from app.reading.run_table import run_title
from app.state import appearance, chosen_runs, run_folder
from app.widgets import gaps, job_panel, page, run_editor
from workbench import palette
from workbench.config import read_yaml
from workbench.errors import WorkbenchError
from workbench.format import format_duration

TITLE = "Run"
QUESTION = "Status, settings, results and files of one run"
NAMES = gaps.NAMES | {"knn": "kNN", "cka": "CKA", "classify": "classification by likelihood"}


def render() -> None:
    choice = picked()
    if choice is None:
        return
    status(choice)
    command(choice)
    evaluations(choice)
    left, right = st.columns(2, gap="large")
    with left:
        settings(choice)
    with right:
        log(choice)
        machine(choice)
    checkpoints(choice)
    contents(choice)
    st.subheader("Note and tags", anchor=False)
    if job_panel.allowed():
        run_editor.form(choice)
    else:
        run_editor.read_only([choice])


def picked() -> Choice | None:
    """The run that the URL names, at first the first chosen one; None where there is no such run."""
    folder = run_folder.content(run_folder.runs_folder())
    summaries = folder.by_id
    groups = chosen_runs.choices()
    chosen = {choice.run.id: choice for choice in chosen_runs.networks(groups, every=False)}
    chosen |= {choice.run.id: choice for choice in chosen_runs.networks(groups)}  # which keeps the order
    text = st.query_params.get("run", "")
    wanted = next(iter(chosen_runs.parse(text, summaries)[0]), None)
    if text and wanted is None:
        st.warning(theme.literal(f"There is no run {text} in {run_folder.runs_folder()}."))
    ids = list(dict.fromkeys([*chosen, *summaries]))
    if st.session_state.get("run") not in ids:
        st.session_state["run"] = wanted or next(iter(ids), None)
    run_id = st.selectbox(
        "Run",
        ids,
        format_func=lambda run_id: " \N{MIDDLE DOT} ".join(filter(None, [summaries[run_id].get("name"), run_id])),
        key="run",
        label_visibility="collapsed",
    )
    if run_id is None:
        return None
    st.query_params["run"] = folder.short[run_id]
    run, summary = files.ReadOnce(run_folder.runs_folder() / run_id), summaries[run_id]
    colour = palette.run_colour(folder.colours.get(run_id), appearance.dark())
    return chosen.get(run_id) or Choice(run, folder.place.get(run_id, 0), colour, run_title(summary), summary)


def status(choice: Choice) -> None:
    """How the run stands, in a line."""
    info, summary = choice.run.info(), choice.summary
    page.heading(choice.label, choice.colour, choice.run.id)
    colour = theme.STATUS.get(choice.status, "gray")
    step, steps, seconds = (summary.get(key) for key in ("step", "steps", "seconds"))
    parts = [f":{colour}[● {choice.status}]"]
    parts += [f"step {step:,} of {steps:,}"] if isinstance(step, int) and isinstance(steps, int) else []
    parts += [f"trained for {format_duration(seconds)}"] if isinstance(seconds, int | float) else []
    parts += [theme.literal(f"seed {info['seed']}")] if info.get("seed") is not None else []
    parts += [theme.literal(f"started {date(info['created'])}")] if info.get("created") else []
    parts += [theme.literal(f"finished {date(info['finished'])}")] if info.get("finished") else []
    st.markdown(" · ".join(parts))
    error = info.get("error") if choice.status == "failed" else None
    if error or choice.status in ("stalled", "unreadable"):
        st.warning(theme.literal(str(error or gaps.obstacle(choice, "linear"))))


def date(created: object) -> str:
    """Day and time in UTC of an ISO 8601 time."""
    return str(created or "")[:16].replace("T", " ")


def command(choice: Choice) -> None:
    """The command that trains the same again."""
    st.subheader("Reproduce", anchor=False)
    if not choice.run.config_text():
        return page.note("config.yaml is missing, so the settings are unknown.")
    method = str(choice.run.info().get("method") or choice.summary.get("method") or "METHOD")
    if method == "encoder":
        return page.note("The weights were imported; there is no training to repeat.")
    config = str(run_folder.runs_folder() / choice.run.id / "config.yaml")
    st.code(job_panel.command("train", [method], "--config", config), language="bash")


def table(rows: Mapping[str, Any]) -> str:
    """Keys and values as HTML."""
    body = "".join(
        f"<tr><td>{escape(key)}</td><td>{escape('none' if value is None else str(value))}</td></tr>"
        for key, value in rows.items()
    )
    return f'<table class="wb-table"><tbody>{body}</tbody></table>'


def settings(choice: Choice) -> None:
    """The configuration, filtered by what is typed."""
    st.subheader("Settings", anchor=False)
    try:
        config = read_yaml(choice.run.path / "config.yaml")
    except WorkbenchError:
        config = {}
    if not config:
        return page.note("config.yaml is missing or damaged.")
    text = st.text_input(
        "Filter settings", placeholder="Filter settings …", key="settings", label_visibility="collapsed", live=True
    )
    words = (text or "").lower().split()
    shown = {key: value for key, value in config.items() if all(word in f"{key} {value}".lower() for word in words)}
    if not shown:
        return page.note(f"None of the {len(config)} settings contains “{text}”.")
    with st.container(height=420 if len(shown) > 12 else "content", border=False):
        st.html(table(shown))
    page.note(f"{len(shown)} of {len(config)} settings")


def log(choice: Choice) -> None:
    """The end of what training printed."""
    st.subheader("Log", anchor=False)
    lines = run_folder_content.log_tail(choice.run)
    if not lines:
        return page.note("No log.txt: imported runs and runs of earlier versions have none.")
    st.code("\n".join(lines), language=None, wrap_lines=True)
    page.note(f"the last {len(lines)} lines of log.txt")


def machine(choice: Choice) -> None:
    """Hardware and versions."""
    info = choice.run.info()
    for title, key in (("Hardware", "hardware"), ("Versions", "versions")):
        st.subheader(title, anchor=False)
        entries = files.section(info, key)
        if entries:
            st.html(table(entries))
        else:
            page.note("not recorded")


def checkpoints(choice: Choice) -> None:
    """Checkpoints with step, size and which is best."""
    st.subheader("Checkpoints", anchor=False)
    rows = run_folder_content.checkpoints(choice.run)
    if not rows:
        gone = "The weights were deleted." if choice.run.had_checkpoint() else "No checkpoint yet."
        return page.note(gone)
    entries = [
        {"step": row.step, "size": run_folder_content.size_text(row.size), "best": "best by kNN" if row.best else ""}
        for row in rows
    ]
    frame = pd.DataFrame(entries)
    st.dataframe(frame.loc[:, (frame != "").any()], hide_index=True, height="content")


def contents(choice: Choice) -> None:
    """What the directory holds, with sizes."""
    st.subheader("Files", anchor=False)
    rows = [
        {"name": item.name, "files": item.files, "size": run_folder_content.size_text(item.size)}
        for item in run_folder_content.contents(choice.run)
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, height="content")
    page.note(f"{Path(run_folder.runs_folder()) / choice.run.id}")


def evaluations(choice: Choice) -> None:
    """What is evaluated, with the date, and what is not, with the command."""
    st.subheader("Evaluations", anchor=False)
    stored = choice.run.evaluations()
    done = {name: content for name, content in stored.items() if not content.get("skipped")}
    if done:
        rows = [
            {
                "evaluation": NAMES.get(name, name),
                "date": date(content.get("created")),
                "checkpoint": str(content.get("checkpoint") or ""),
            }
            for name, content in done.items()
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True, height="content" if len(rows) < 9 else 320)
    else:
        page.note("Not evaluated yet.")
    reasons = [content["skipped"] for content in stored.values() if isinstance(content.get("skipped"), str)]
    possible = {name: gaps.obstacle(choice, name) for name in gaps.NAMES if name not in stored}
    reasons += [reason for reason in possible.values() if reason and choice.status != "failed"]
    if reasons:
        page.note(" ".join(dict.fromkeys(reasons)))
    missing = [name for name, reason in possible.items() if not reason]
    if missing and gaps.without_weights(choice):
        return page.note("No further evaluation is possible, because the weights were deleted.")
    usual = [name for name in missing if name not in gaps.THOROUGH]
    later = [name for name in missing if name in gaps.THOROUGH]
    if usual:
        names = ", ".join(gaps.NAMES[name] for name in usual)
        gaps.box("Missing", names, gaps.evaluate([choice], *(usual if done else [])))
    if later:
        names = ", ".join(gaps.NAMES[name] for name in later)
        gaps.box("Missing, slower evaluations", names, gaps.evaluate([choice], *later))
