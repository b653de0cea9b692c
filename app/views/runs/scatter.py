"""Scatter: how does a setting change a result?"""

from collections.abc import Sequence

import streamlit as st

from app.figures.scatter import ScatterPoint, scatter
from app.reading import quantities
from app.reading.quantities import Quantity
from app.state import appearance, chosen_runs, run_folder
from app.widgets import page
from workbench import palette

TITLE = "Scatter"
QUESTION = "How does a setting, a cost or a result go with another one?"
FIRST = ("cost:seconds", "result:linear")  # axes at first


def render() -> None:
    path = run_folder.runs_folder()
    content = run_folder.content(path)
    shown = [ids for ids in content.groups if any(not content.by_id[run].get("archived") for run in ids)]
    groups = {ids[0]: quantities.reading(path, ids) for ids in shown}
    every = quantities.quantities(run for runs in groups.values() for run in runs)
    known = {quantity.key: quantity for quantity in every}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        x, y = (axis(name, known, first) for name, first in zip(("x", "y"), FIRST, strict=True))
        images = data_set([content.by_id[ids[0]] for ids in shown])
        log = st.toggle("Logarithmic x", key="scatter-log", bind="query-params", width="content")
    points, missing = [], []
    for run_id, runs in groups.items():
        summary = content.by_id[run_id]
        if str(summary.get("data")) != images:
            continue
        seeds = f" ({len(runs)} seeds)" if len(runs) > 1 else ""
        label = f"{chosen_runs.name_of(summary)} \N{MIDDLE DOT} {content.short[run_id]}{seeds}"
        across, up = quantities.value_of(x, runs), quantities.value_of(y, runs)
        if across is None or up is None:
            missing.append(label)
        else:
            colour = palette.run_colour(content.colours[run_id], appearance.dark())
            points.append(ScatterPoint(label, colour, across, up))
    figure(points, x, y, log)
    if missing:
        page.note(f"Not shown, since one of the two values is missing or differs between seeds: {', '.join(missing)}.")


def data_set(summaries: Sequence[run_folder.Summary]) -> str:
    """The data of the runs that are shown, as results on other images do not compare; at first those of the newest."""
    names = list(dict.fromkeys(str(summary.get("data")) for summary in reversed(summaries)))
    if len(names) == 1:
        return names[0]
    return st.selectbox("Data", names, key="scatter-data", bind="query-params", width=180)


def axis(name: str, known: dict[str, Quantity], first: str) -> Quantity:
    """The choice of a quantity for an axis."""
    key = st.selectbox(
        f"{name} axis",
        list(known),
        index=list(known).index(first),
        format_func=lambda key: known[key].label,
        key=f"scatter-{name}",
        bind="query-params",
        width=280,
    )
    return known[key]


def figure(points: Sequence[ScatterPoint], x: Quantity, y: Quantity, log: bool) -> None:
    """The plot, its numbers, and what it does not show."""
    if not points:
        st.caption(f"No run has both {x.label} and {y.label}.")
        return
    numbers = [point.x.value for point in points if isinstance(point.x.value, float | int)]
    if log and (len(numbers) < len(points) or min(numbers) <= 0):
        page.note("The x axis is linear, since a logarithmic one needs numbers above zero.")
        log = False
    page.chart(scatter(points, x.label, y.label, log), "scatter", f"{y.label} against {x.label}")
    page.note(
        "a point for each run or group of seeds that is not archived · results in the best space by validation, with "
        "95 % intervals: over the seeds of a group, over the test images of a single run"
    )
    page.numbers({"model": point.label, x.label: str(point.x), y.label: str(point.y)} for point in points)
