"""Runs: what has been trained?"""

import time
from functools import partial
from typing import Any

import streamlit as st

from app import theme
from app.reading import quantities, run_table
from app.reading.run_table import GROUPINGS, TableRow
from app.state import chosen_runs, run_folder
from app.widgets import page, run_editor
from workbench.format import finite_number
from workbench.hints import on_runs
from workbench.store import Run, owner

TITLE = "Runs"
QUESTION = "Which runs are there?"
COLUMNS = "columns"
"""Columns that were added to the table, in the URL and the session."""


def render() -> None:
    everything = run_folder.summaries(run_folder.runs_folder())
    controls(everything)
    moving = any(summary["status"] == "running" for summary in everything)
    st.fragment(table, run_every=4 if moving else None)()
    run_editor.render()


def controls(everything: list[dict[str, Any]]) -> None:
    """The filter, the groups, and the switches that have something to switch."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        hint = "Filter by id, name, method, data, tag, owner, status, seed=1 …"
        st.text_input("Filter", placeholder=hint, label_visibility="collapsed", key="filter", live=True)
        groupings = {key: text.capitalize() for key, text in GROUPINGS.items()}
        page.switch("Groups", groupings, "groups", label_visibility="collapsed", width="content")
        if len({summary.get("owner") for summary in everything}) > 1:
            st.toggle("Mine", key="mine", bind="query-params", help=f"Runs of {owner()}", width="content")
        archived = sum(summary.get("archived") is True for summary in everything)
        if archived:
            st.toggle(f"{archived} archived", key="archived", bind="query-params", width="content")
        with st.popover("Columns", icon=":material/view_column:", type="tertiary"):
            every = quantities.reading(run_folder.runs_folder(), [summary["id"] for summary in everything])
            labels = {quantity.key: quantity.label for quantity in quantities.quantities(every)}
            hint = "Settings, costs and results of every run"
            st.multiselect(
                hint, list(labels), format_func=labels.__getitem__, key=COLUMNS, bind="query-params", width=420
            )


def extra_columns(rows: list[TableRow]) -> dict[str, list[float | str | None]]:
    """The columns that were added, by label: numbers, or text where groups have intervals."""
    folder, result = run_folder.runs_folder(), {}
    for quantity in map(quantities.quantity_of, st.session_state.get(COLUMNS) or ()):
        values = [quantities.value_of(quantity, quantities.reading(folder, row.ids)) for row in rows]
        plain = all(value is None or isinstance(value.value, float | int) for value in values)
        plain = plain and not any(row.heads for row in rows)
        result[quantity.label] = [value and (value.value if plain else str(value)) for value in values]
    return result


def visible(everything: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs that the filter and the switches leave."""
    state = st.session_state
    return [
        summary
        for summary in everything
        if run_table.matches(summary, state.get("filter") or "")
        and (state.get("archived") or not summary.get("archived"))
        and (not state.get("mine") or summary.get("owner") == owner())
    ]


def seed_group(summary: dict[str, Any]) -> str:
    """What a run has in common with those that differ by the seed alone."""
    return str(run_folder.content(run_folder.runs_folder()).group[summary["id"]])


def table_key(rows: list[TableRow], chosen: list[str]) -> str:
    """The table's key: the same while the person ticks, so that it keeps its sorting; another one when runs were chosen
    elsewhere, so that it shows their ticks."""
    content = hash(tuple((line.ids, line.heads) for line in rows))
    key = f"runs {st.session_state.setdefault('table', 0)} {content}"
    if key in st.session_state:
        ticks = {row for row in st.session_state[key]["selection"]["rows"] if row < len(rows)}
        if ticks != set(run_table.ticked(rows, chosen)):
            st.session_state["table"] += 1
            return table_key(rows, chosen)
    return key


def table() -> None:
    if st.session_state.pop("ticked", False):  # a fragment alone would leave the chips behind
        st.rerun()
    everything = run_folder.summaries(run_folder.runs_folder())
    filtered = visible(everything)
    if not filtered:
        text = st.session_state.get("filter") or ""
        why = f"contains “{text}”" if text else "passes the switches above"
        st.caption(f"None of the {len(everything)} runs {why}.")
        return
    opened = st.session_state.setdefault("opened", set())
    rows = run_table.table_rows(filtered, st.session_state.get("groups") or "", opened, seed_group)
    chosen = chosen_runs.choices()
    chosen_ids = [run.id for choice in chosen for run in choice.ticked]
    key = table_key(rows, chosen_ids)
    headlines = run_table.headlines_of(rows, run_folder.runs_folder(), seed_group)
    colours = {run.id: choice.colour for choice in chosen for run in choice.members}
    added = extra_columns(rows)
    st.dataframe(
        run_table.frame(rows, colours, opened, headlines).assign(**added),
        key=key,
        hide_index=True,
        row_height=36,
        height=min(39 + 36 * len(rows), 684),
        placeholder="",
        on_select=partial(ticked, key, rows, chosen_ids),
        selection_mode="multi-row",
        selection_default={"selection": {"rows": run_table.ticked(rows, chosen_ids)}},
        column_config=columns(rows) | {label: st.column_config.Column(label, width=110) for label in added},
        alt="Table of runs",
    )
    few = "" if len(filtered) == len(everything) else f"{len(filtered)} of "
    scores = "kNN and linear probe in %, of each run in its own best space by validation"
    if headlines:
        scores = (
            "kNN and linear probe in %: of groups of seeds the mean [95 % interval over seeds] in the group's best "
            "space by validation, of a run alone in its own"
        )
    page.note(
        f"{few}{len(everything)} runs in {run_folder.runs_folder()} · {scores} · ticked runs are compared on every "
        "page, with the other seeds of each unless “All seeds” is off · click a column's head to sort"
    )
    for summary in [summary for summary in filtered if summary["status"] in ("failed", "stalled", "unreadable")][:6]:
        trouble(summary)


def columns(rows: list[TableRow]) -> dict[str, Any]:
    """Head and width of every column; together they fit on 1,280 pixels, with tags or unfinished runs on 1,500."""
    column = st.column_config
    monitor = "%, the kNN monitor's last reading while training, on validation images; not comparable with kNN"
    knn, linear = "Weighted kNN on test images", "Linear probe on test images"
    statuses = [{summary["status"] for summary in line.members} for line in rows]
    mixed = any(len(some) > 1 for some in statuses)
    short = set().union(*statuses) <= {"finished", "running", "stalled", "failed"}
    colours, width = list(theme.STATUS.values()), 138 if mixed else 84 if short else 106
    unfinished = any(run_table.progress(summary) for line in rows for summary in line.members)
    score = partial(column.NumberColumn, format="%.1f", width=70)
    if any(line.heads for line in rows):
        score = partial(column.TextColumn, width=134, alignment="right")
    return {
        "open": column.ButtonColumn(" ", width=36, type="tertiary", key="fold", on_click=fold, args=(rows,)),
        "colour": column.ImageColumn(" ", width=32),
        "details": column.ButtonColumn(
            " ", width=32, type="tertiary", key="details", on_click=open_run, args=(rows,), help="All that is stored"
        ),
        "name": column.TextColumn("Run", width=172 if any(len(line.label) > 16 for line in rows) else 136),
        "tags": column.ListColumn("Tags", width=112),
        "method": column.TextColumn("Method", width=70),
        "data": column.TextColumn("Data", width=68),
        "owner": column.TextColumn("Owner", width=76),
        "status": column.MultiselectColumn("Status", options=list(theme.STATUS), color=colours, width=width),
        "sparkline": column.LineChartColumn(
            "Training", width=60, help="The kNN monitor on validation images; without labels the loss"
        ),
        "monitor": column.NumberColumn("Val. kNN", format="%.1f", width=72, help=monitor),
        "knn": score("Test kNN", help=f"%, {knn}, by `workbench evaluate`"),
        "linear": score("Linear", help=f"%, {linear}, by `workbench evaluate`"),
        "parameters": column.TextColumn("Weights", width=64, help="Parameters that are trained and copied"),
        "time": column.TextColumn("Time", width=150 if unfinished else 94),
        "seed": column.TextColumn("Seed", width=48),
        "age": column.TextColumn("Started", width=84),
    }


def ticked(key: str, rows: list[TableRow], chosen: list[str]) -> None:
    """Choose the ticked rows, besides chosen runs that the filter hides."""
    wanted = run_table.choice_after(rows, chosen, st.session_state[key]["selection"]["rows"])
    chosen_runs.choose(wanted)
    st.session_state["ticked"] = True


def fold(rows: list[TableRow]) -> None:
    """Open a group, or close it."""
    row = st.session_state["fold"].row
    if row < len(rows):
        st.session_state["opened"] = st.session_state["opened"] ^ {rows[row].group}


def open_run(rows: list[TableRow]) -> None:
    """Show everything of a run, on the tab Run."""
    row = st.session_state["details"].row
    if row < len(rows):
        st.session_state["run"] = rows[row].ids[0]
        st.session_state["runs-tab"] = "Run"
        st.session_state["ticked"] = True  # the tab is outside the table's fragment


def trouble(summary: dict[str, Any]) -> None:
    """What happened to a run that needs somebody, and what to type."""
    run = Run(run_folder.runs_folder() / summary["id"])
    label = summary.get("name") or summary["id"]
    if summary["status"] == "failed":
        st.markdown(f":red[●] **{label}** failed. {run.info().get('error') or 'The reason was not recorded.'}")
    elif summary["status"] == "stalled":
        heartbeat = finite_number(summary.get("heartbeat"))
        quiet = f"; the last one was {theme.ago(time.time() - heartbeat)}" if heartbeat else ""
        st.markdown(f":orange[●] **{label}** stopped reporting{quiet}. `{on_runs('resume', [run])}` continues it.")
    else:
        st.markdown(
            f":gray[●] **{label}** cannot be read: its run.json is missing or damaged. Nothing else depends on it."
        )
