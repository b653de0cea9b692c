"""Runs: what has been trained?"""

import time
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from app import look, pieces, reading, selection
from workbench.store import Run

TITLE = "What has been trained?"


def render() -> None:
    st.text_input(
        "Filter",
        placeholder="Filter by name, method, data, status, seed …",
        label_visibility="collapsed",
        key="filter",
        live=True,
    )
    moving = any(summary["status"] == "running" for summary in reading.summaries(reading.runs_folder()))
    st.fragment(table, run_every=4 if moving else None)()


def dot(colour: str) -> str:
    """A run's colour as a picture for a table cell."""
    circle = f"<circle cx='16' cy='16' r='8' fill='{colour}'/>".replace("#", "%23")
    return f"data:image/svg+xml;utf8,<svg xmlns='http://www.w3.org/2000/svg' width='32' height='32'>{circle}</svg>"


def matches(summary: dict[str, Any], text: str) -> bool:
    """Whether every word that was typed stands somewhere in the run's row."""
    keys = ("id", "name", "method", "family", "data", "status", "owner")
    row = " ".join(str(summary.get(key) or "") for key in keys) + f" seed={summary.get('seed')}"
    return all(word in row.lower() for word in text.lower().split())


def frame(summaries: list[dict[str, Any]], colours: dict[str, str]) -> pd.DataFrame:
    """The table's content, one row per run."""
    number = reading.number
    return pd.DataFrame(
        {
            "colour": [dot(colours[s["id"]]) if s["id"] in colours else None for s in summaries],
            "name": [str(s.get("name") or s["id"]) for s in summaries],
            "method": [str(s.get("method") or "") for s in summaries],
            "data": [str(s.get("data") or "") for s in summaries],
            "status": [[str(s["status"])] for s in summaries],
            "progress": [progress(s) for s in summaries],
            "sparkline": [
                [v for v in s.get("sparkline") or [] if number(v) is not None]
                if isinstance(s.get("sparkline"), list)
                else []
                for s in summaries
            ],
            "monitor": [number(s.get("knn_monitor")) for s in summaries],
            "knn": [number(s.get("knn")) for s in summaries],
            "linear": [number(s.get("linear")) for s in summaries],
            "seed": [str(s["seed"]) if s.get("seed") is not None else "" for s in summaries],
            "age": [look.ago(look.age(s.get("created"))) for s in summaries],
            "parameters": [look.count(number(s.get("parameters"))) for s in summaries],
            "speed": [number(s.get("images_per_second")) for s in summaries],
            "time": [time_of(s) for s in summaries],
        }
    )


def progress(summary: dict[str, Any]) -> float | None:
    """The part of its steps that an unfinished run has done."""
    step, steps = reading.number(summary.get("step")), reading.number(summary.get("steps"))
    return None if summary["status"] == "finished" or not step or not steps else min(1.0, step / steps)


def time_of(summary: dict[str, Any]) -> str:
    """How long a run took; how long it still takes while it trains."""
    left = reading.number(summary.get("eta_seconds"))
    if summary["status"] == "running" and left:
        return look.duration(left) + " left"
    return look.duration(reading.number(summary.get("seconds")))


def table_key(ids: list[str], chosen: list[str]) -> str:
    """The table's key: the same while the person ticks, so that it keeps its sorting; another one when runs were chosen
    elsewhere, so that it shows their ticks."""
    key = f"runs {st.session_state.setdefault('table', 0)} {hash(tuple(ids))}"
    if key in st.session_state:
        ticks = {ids[row] for row in st.session_state[key]["selection"]["rows"] if row < len(ids)}
        if ticks != set(chosen) & set(ids):
            st.session_state["table"] += 1
            return table_key(ids, chosen)
    return key


def table() -> None:
    if st.session_state.pop("ticked", False):  # a fragment alone would leave the chips behind
        st.rerun()
    column = st.column_config
    text = st.session_state.get("filter") or ""
    everything = reading.summaries(reading.runs_folder())
    shown = [summary for summary in everything if matches(summary, text)]
    chosen = selection.choices()
    chosen_ids = [choice.run.id for choice in chosen]
    if not shown:
        st.caption(f"None of the {len(everything)} runs contains “{text}”.")
        return
    ids = [summary["id"] for summary in shown]
    key = table_key(ids, chosen_ids)
    st.dataframe(
        frame(shown, {choice.run.id: choice.colour for choice in chosen}),
        key=key,
        hide_index=True,
        row_height=38,
        height=min(39 + 38 * len(shown), 720),
        placeholder="",
        on_select=partial(ticked, key, ids, chosen_ids),
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [index for index, run_id in enumerate(ids) if run_id in chosen_ids]}},
        column_config={
            "colour": column.ImageColumn(" ", width=36),
            "name": column.TextColumn("Run", width=230),
            "method": column.TextColumn("Method"),
            "data": column.TextColumn("Data"),
            "status": column.MultiselectColumn(
                "Status", options=list(look.STATUS), color=list(look.STATUS.values()), width=110
            ),
            "progress": column.ProgressColumn("Progress", format="percent", min_value=0, max_value=1, width=75),
            "sparkline": column.LineChartColumn(
                "kNN while training", width=130, help="The kNN monitor on validation images; without labels the loss"
            ),
            "monitor": column.NumberColumn(
                "Val. kNN, %",
                format="%.1f",
                width=88,
                help="The kNN monitor's last reading while training, on validation images; not comparable with kNN",
            ),
            "knn": column.NumberColumn(
                "Test kNN, %",
                format="%.1f",
                width=88,
                help="Weighted kNN on test images, by `workbench evaluate`",
            ),
            "linear": column.NumberColumn(
                "Test linear, %",
                format="%.1f",
                width=98,
                help="Linear probe on test images, by `workbench evaluate`",
            ),
            "parameters": column.TextColumn("Parameters", width=85),
            "speed": column.NumberColumn("Images/s", format="%.0f"),
            "time": column.TextColumn("Time"),
            "seed": column.TextColumn("Seed", width=50),
            "age": column.TextColumn("Started", width=95),
        },
        alt="Table of runs",
    )
    few = "" if len(shown) == len(everything) else f"{len(shown)} of "
    pieces.note(
        f"{few}{len(everything)} runs in {reading.runs_folder()} · tick up to {selection.MOST} to compare them "
        "on every page · click a column's head to sort"
    )
    for summary in [summary for summary in shown if summary["status"] in ("failed", "stalled", "unreadable")][:6]:
        trouble(summary)


def ticked(key: str, ids: list[str], chosen: list[str]) -> None:
    """Choose the ticked rows, besides chosen runs that the filter hides."""
    rows = st.session_state[key]["selection"]["rows"]
    wanted = [run_id for run_id in chosen if run_id not in ids] + [ids[row] for row in rows if row < len(ids)]
    if len(wanted) > selection.MOST:
        st.toast(f"Eight runs at most: {selection.MOST} colours can be told apart.")
    selection.choose(wanted[: selection.MOST])
    st.session_state["ticked"] = True


def trouble(summary: dict[str, Any]) -> None:
    """What happened to a run that needs somebody, and what to type."""
    run = Run(reading.runs_folder() / summary["id"])
    label = summary.get("name") or summary["id"]
    if summary["status"] == "failed":
        st.markdown(f":red[●] **{label}** failed. {run.info().get('error') or 'The reason was not recorded.'}")
    elif summary["status"] == "stalled":
        heartbeat = reading.number(summary.get("heartbeat"))
        quiet = f"; the last one was {look.ago(time.time() - heartbeat)}" if heartbeat else ""
        st.markdown(
            f":orange[●] **{label}** gives no sign of life{quiet}. `workbench resume {summary['id']}` continues it."
        )
    else:
        st.markdown(
            f":gray[●] **{label}** cannot be read: its run.json is missing or damaged. Nothing else depends on it."
        )
