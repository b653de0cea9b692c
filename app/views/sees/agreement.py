"""Agreement: do models see alike?"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app.figures import image_grid, matrices
from app.reading import files
from app.reading.choice import Choice
from app.state import chosen_runs, feature_space
from app.widgets import disagreement, gaps, page, subset
from workbench.format import finite_number

TITLE = "Agreement"
QUESTION = "How similar are the models' representations?"
EVALUATIONS = ("agreement",)
MEASURES = {"cka": "CKA", "mutual_knn": "mutual kNN", "procrustes": "Procrustes"}
MEANS = {
    "cka": ("0 unrelated", "1 the same up to rotation and scale", "linear CKA"),
    "mutual_knn": ("0 no common neighbours", "1 all neighbours", "overlap of neighbours"),
    "procrustes": ("0 unrelated", "1 the same up to rotation and scale", "Procrustes similarity"),
}
READINGS = {"value": "value", "excess": "above chance"}
ALIKE = "alike"
LEVEL = 0.05
MOST = 12  # models in a matrix
BASELINES = ("its untrained network", "pixels")
Rows = dict[Choice, list[dict[str, Any]]]
"""What was measured of each run by the measure that is shown."""


class Pair(NamedTuple):
    """A run and what it is compared with: another run, or a baseline by name."""

    first: Choice
    other: Choice | str

    @property
    def name(self) -> str:
        return self.other if isinstance(self.other, str) else self.other.label

    def __str__(self) -> str:
        return f"{self.first.label} and {self.name}"


def render() -> None:
    networks, probe = gaps.comparable(chosen_runs.networks(chosen_runs.choices(), every=False))
    chosen, missing = gaps.split(networks, "agreement", lambda c: measured(c.run.evaluation("agreement")))
    if chosen:
        chosen = subset.subset_of(chosen, MOST)
        place = st.container()
        with st.container(horizontal=True, gap="large", vertical_alignment="bottom"):
            metric = page.switch("Measure", MEASURES, "measure")
            reading = page.switch("Values", READINGS, "agreement-shown")
            how = page.space_switch(**{ALIKE: "most similar pair of spaces"})
        st.html(image_grid.colour_bar(*legend(metric, reading)))
        left, right = st.columns([1.15, 1], gap="large")
        known = {choice: measured(choice.run.evaluation("agreement"), metric) for choice in chosen}
        with place:
            page.verdict(answer(known, metric, reading, how))
        with left:
            matrix(known, metric, reading, how)
        with right:
            pair = layers(known, metric, reading)
        page.note("faint, n.s.: not significantly more similar than independent features")
        page.protocol(
            chosen, "agreement", "n.s.: not significantly more similar than independent features (p > 0.05, corrected)"
        )
        if pair:
            disagreement.show(pair.first, pair.other, chosen, probe, how if how != ALIKE else "default")
    gaps.explain(missing, "agreement")


def legend(metric: str, reading: str) -> tuple[str, str, str]:
    low, high, what = MEANS[metric]
    return (low, high, what) if reading == "value" else ("0 chance", "1", f"{what} minus that of independent features")


def measure(metric: str, reading: str) -> str:
    """What the numbers are, in words."""
    return MEASURES[metric] + " above chance" * (reading == "excess")


def measured(evaluation: dict[str, Any], metric: str | None = None) -> list[dict[str, Any]]:
    """The rows, of one measure or of all, that have all that the page draws."""
    return [
        row
        for row in files.rows(evaluation, model="run")
        if metric in (None, row.get("metric"))
        and all(finite_number(row.get(key)) is not None for key in ("expected", "p_value"))
        and all(isinstance(row.get(name), str) for name in ("space", "other", "other_space", "metric"))
    ]


def between(pair: Pair, known: Rows) -> list[dict[str, Any]]:
    """The rows of a pair, seen from its first run; where only the second was evaluated with it, turned round."""
    first, other = pair

    def of(choice: Choice, name: str) -> list[dict[str, Any]]:
        return [row for row in known[choice] if row["other"].startswith(name)]

    if isinstance(other, str):
        return of(first, "pixels" if other == "pixels" else "untrained:")
    turned = [row | {"space": row["other_space"], "other_space": row["space"]} for row in of(other, first.run.id)]
    return of(first, other.run.id) or turned


def value(row: dict[str, Any], reading: str) -> float:
    return row["value"] - (row["expected"] if reading == "excess" else 0.0)


def cell(pair: Pair, known: Rows, read: dict[Choice, str | None] | None) -> dict[str, Any] | None:
    """The row that stands for a pair: of the spaces that the runs are read from, or the one furthest above chance."""
    rows = between(pair, known)
    if read is None:
        return max(rows, key=lambda row: value(row, "excess"), default=None)
    own = read[pair.first]
    theirs = read[pair.other] if isinstance(pair.other, Choice) else "pixels" if pair.other == "pixels" else own
    return next((row for row in rows if (row["space"], row["other_space"]) == (own, theirs)), None)


def answer(known: Rows, metric: str, reading: str, how: str) -> str:
    """The two models that are the most similar, and whether chance explains it."""
    spaces = None if how == ALIKE else spaces_read(known, how)
    runs = [Pair(first, other) for first, other in combinations(known, 2)]
    compared = {pair: row for pair in runs if (row := cell(pair, known, spaces)) is not None}
    if not compared:
        return "" if len(known) > 1 else "Select a second model to compare representations."
    most, least = (pick(compared, key=lambda pair: value(compared[pair], reading)) for pick in (max, min))
    row, what = compared[most], measure(metric, reading)
    chance = "not above chance" if row["p_value"] > LEVEL else f"chance: {row['expected']:.2f}"
    number = f"{what} {value(row, reading):.2f} ({chance})"
    if len(compared) == 1:
        return f"The similarity of {most}: {number}."
    return f"{most} are the most similar: {number}; {least} are the least: {value(compared[least], reading):.2f}."


def spaces_read(known: Rows, how: str) -> dict[Choice, str | None]:
    """The space in which each run is read."""
    return {choice: feature_space.space_of(choice, choice.run.evaluation("agreement"), how) for choice in known}


def matrix(known: Rows, metric: str, reading: str, how: str) -> None:
    """Run x run, baselines as further columns: what they have in common with one another is nobody's question."""
    chosen = list(known)
    others: list[Choice | str] = [*chosen, *BASELINES]
    read = spaces_read(known, how)
    spaces = None if how == ALIKE else read
    cells = [[None if b is a else cell(Pair(a, b), known, spaces) for b in others] for a in chosen]
    text = [[printed(row, reading, how == ALIKE) for row in line] for line in cells]
    names = [other if isinstance(other, str) else other.label for other in others]
    rows = [choice.label for choice in chosen]
    figure = heat_map(cells, reading, rows=rows, columns=names, text=text, height=80 + 92 * len(rows))
    figure.update_traces(textfont={"size": 15})
    figure.update_xaxes(side="top", tickfont={"size": 13})
    figure.update_yaxes(tickfont={"size": 13})
    names_read = "" if how == ALIKE else ", ".join(map(str, read.values()))
    page.heading("Models", small=names_read)
    alt = f"{measure(metric, reading)} between the models" + f", features: {names_read}" * bool(names_read)
    page.chart(figure, "agreement", alt)
    uncompared = [
        Pair(first, other)
        for first, line in zip(chosen, cells, strict=True)
        for other, row in zip(others, line, strict=True)
        if row is None and other is not first
    ]
    lacking = [choice for choice in chosen if any(choice in pair for pair in uncompared)]
    able = gaps.evaluable(lacking, "comparison with some of the other runs")
    if any({pair.first, pair.other} <= {*able, *BASELINES} for pair in uncompared):
        gaps.box(
            "Some pairs are not compared yet",
            "Runs are compared when they are evaluated together. This command adds the missing pairs:",
            gaps.evaluate(able, "agreement"),
        )


def printed(row: dict[str, Any] | None, reading: str, named: bool) -> str:
    """A cell's text: the value, and beneath it the spaces where they were searched for."""
    if row is None:
        return ""
    text = f"{value(row, reading) + 0.0:.2f}" + (" n.s." if row["p_value"] > LEVEL else "")
    both = f"{row['space']}<br>{row['other_space']}"
    return f'{text}<br><span style="font-size:10px">{both}</span>' if named else text


def heat_map(cells: Sequence[Sequence[dict[str, Any] | None]], reading: str, **options: Any) -> go.Figure:
    """Cells (rows, columns) from 0 to 1; those no more alike than independent features could be, after correction, are
    pale."""
    values = np.array([[np.nan if row is None else value(row, reading) for row in line] for line in cells])
    figure = matrices.heat_map(values, low=0, high=1, square=False, **options)
    matrices.fade(figure, np.array([[row is not None and row["p_value"] > LEVEL for row in line] for line in cells]))
    return figure


def layers(known: Rows, metric: str, reading: str) -> Pair | None:
    """Layer x layer of one pair, which is returned."""
    chosen = list(known)
    runs = [Pair(first, other) for index, first in enumerate(chosen) for other in chosen[index + 1 :]]
    pairs = runs + [Pair(first, other) for first in chosen for other in BASELINES]
    pairs = {str(pair): pair for pair in pairs if between(pair, known)}
    if not pairs:
        return None
    names = list(pairs)
    largest = max(names, key=lambda name: len(between(pairs[name], known)) * (pairs[name] in runs))
    name = st.selectbox("Layers of", names, names.index(largest), key="agreement-pair", bind="query-params")
    pair = pairs.get(name) or next(iter(pairs.values()))
    rows = between(pair, known)
    own, theirs = (list(dict.fromkeys(row[key] for row in rows)) for key in ("space", "other_space"))
    at = {(row["space"], row["other_space"]): row for row in rows}
    cells = [[at.get((space, other)) for other in theirs] for space in own]
    text = [[printed(row, reading, False) for row in line] for line in cells] if len(own) * len(theirs) <= 120 else None
    titles, height = {"x_title": pair.name, "y_title": pair.first.label}, 120 + 44 * len(own)
    figure = heat_map(cells, reading, rows=own, columns=theirs, text=text, height=height, **titles)
    figure.update_traces(textfont={"size": 13})
    page.chart(figure, "agreement-layers", f"{measure(metric, reading)} between the layers of {pair}")
    return pair
