"""Composition: which pair of augmentations teaches the most? What ``workbench augmentations`` has written."""

from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from app.figures import image_grid, matrices
from app.reading.files import bounds, entries, rows
from app.reading.verdict import Measured
from app.state import run_folder
from app.widgets import gaps, job_panel, page
from workbench.files import read_json
from workbench.format import finite_number, format_interval

TITLE = "Augmentations"
QUESTION = "Which pair of augmentations gives the best linear probe?"
FILE = "composition.json"


def studies(folder: Path) -> dict[str, dict[str, Any]]:
    """The readable studies of a runs folder by name; also the one whose runs the folder holds."""
    files = [*sorted(folder.glob(f"compositions/*/{FILE}")), folder.absolute().parent / FILE]
    contents = {file.parent.name: read_json(file) for file in files}
    drawn = [name for name, content in contents.items() if any(_is_drawn(content, *place) for place in cells(content))]
    return {name: contents[name] for name in drawn}


def _is_drawn(content: dict[str, Any], first: str, second: str) -> bool:
    return {first, second} <= set(names(content))


def names(content: dict[str, Any]) -> list[str]:
    """The transformations of rows and columns."""
    entries = content.get("transformations")
    return [name for name in entries if isinstance(name, str)] if isinstance(entries, list) else []


def cells(content: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Rows of the table by place; means stand in the row and the column "mean"."""
    own = rows(content, model="run")
    by_place = {(str(row.get("first")), str(row.get("second") or row.get("first"))): row for row in own}
    for row in entries(content, "means"):
        if finite_number(row.get("value")) is not None:
            by_place[str(row.get("first", "mean")), str(row.get("second", "mean"))] = row
    return by_place


def printed(row: dict[str, Any]) -> str:
    """A cell's value with its interval beneath."""
    low, high = bounds(row)
    beneath = "" if low is None or high is None else f"<br><span style='font-size:10px'>{low:.1f} to {high:.1f}</span>"
    return f"{row['value']:.1f}{beneath}"


def baseline(row: dict[str, Any]) -> str:
    """A row without transformations, in words."""
    value, _, interval = format_interval(row["value"], *bounds(row), digits=1).partition(" ")
    return f"{row['model']} {value} % {interval}".rstrip()


def nothing() -> str:
    """Why the page has nothing to show, or an empty text."""
    folder = run_folder.runs_folder()
    known = next(folder.glob(f"compositions/*/{FILE}"), None) or (folder.absolute().parent / FILE).exists()
    return "" if known else "This folder contains no augmentation study. Run the command below to start one."


def answer(known: dict[tuple[str, str], dict[str, Any]]) -> str:
    """The pair with the highest accuracy, and the best transformation alone."""
    single, double = [], []
    for (first, second), row in known.items():
        if "mean" not in (first, second):
            name = first if first == second else f"{first}, then {second}"
            (single if first == second else double).append(Measured(name, row["value"], *bounds(row)))
    if not double:
        return ""
    best = max(double, key=lambda number: number.value)
    sentence = f"The best pair is {best.name}: {best.text('%')}"
    if not single:
        return f"{sentence}."
    alone = max(single, key=lambda number: number.value)
    return f"{sentence}, against {alone.text('%')} for {alone.name}, the best single transformation."


def render() -> None:
    known_studies = studies(run_folder.runs_folder())
    if not known_studies:
        gaps.box(
            "No augmentation study",
            "This command trains a small network for each of 49 pairs:",
            job_panel.command("augmentations", ["mocov3"], "--config", "recipes/composition-shapes.yaml"),
        )
        return
    name = next(iter(known_studies))
    if len(known_studies) > 1:
        name = st.selectbox("Study", list(known_studies), key="study", bind="query-params") or name
    content = known_studies[name]
    sides, known = [*names(content), "mean"], cells(content)
    page.verdict(answer(known))
    table = [[known.get((first, second)) for second in sides] for first in sides]
    values = np.array([[np.nan if row is None else row["value"] for row in line] for line in table], float)
    inner = values[:-1, :-1]
    low, high = float(np.nanmin(inner)), float(np.nanmax(inner))
    st.html(image_grid.colour_bar(f"{low:.1f} %", f"{high:.1f} %", "linear probe, top-1"))
    figure = matrices.heat_map(
        values,
        rows=sides,
        columns=sides,
        low=low,
        high=high,
        text=[["" if row is None else printed(row) for row in line] for line in table],
        x_title="second transformation",
        y_title="first transformation",
        unit=" %",
        height=52 * len(sides) + 90,
        square=False,
    )
    ends = [[[row and finite_number(row.get(end)) for row in line] for line in table] for end in ("low", "high")]
    figure.update_traces(meta={"low": ends[0], "high": ends[1], "x": sides, "y": sides})
    figure.update_xaxes(side="top")
    page.chart(figure, "composition", "linear probe, top-1 in %, by the two transformations of one view")
    baselines = [baseline(row) for row in rows(content) if row["model"] != "run"]
    if baselines:
        page.note("for comparison: " + " · ".join(baselines))
    n, seeds = content.get("n"), content.get("seeds")
    parts = [f"{content.get('method')} on {content.get('data')}", str(content.get("protocol") or "").rstrip(".")]
    parts += [f"n = {n:,}"] if isinstance(n, int) else []
    parts += [f"seed {', '.join(map(str, seeds))}"] if isinstance(seeds, list) else []
    page.note("diagonal: one transformation alone")
    page.details(" · ".join(parts))
