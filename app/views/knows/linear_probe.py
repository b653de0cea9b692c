"""Linear probe: who knows more?"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

from app import theme
from app.figures import dots, image_grid, matrices
from app.reading import files
from app.reading.choice import Choice
from app.state import chosen_runs, seeds
from app.widgets import gaps, image_picker, page, pairs, verdict_table
from workbench.comparison.differences import caveat
from workbench.comparison.seeds import group_runs
from workbench.format import finite_number

TITLE = "Who knows more?"


def render() -> None:
    chosen, missing, _ = gaps.with_evaluation("linear")
    if chosen:
        order = [choice.label for choice in sorted(chosen, key=lambda choice: -score(choice))]
        panels = [panel("linear probe, top-1 in %", "linear", chosen)]
        if any(files.rows(choice.run.evaluation("knn"), model="run") for choice in chosen):
            panels.append(panel("kNN, top-1 in %", "knn", chosen))
        page.chart(dots.by_model(panels, order), "probe-dots", "accuracy by model with intervals")
        page.note(
            "large dot: the model's default space, with its 95 % interval · small dots: its other spaces · "
            "short grey line: the same network untrained · dotted line: the same probe on raw pixels"
        )
        page.protocol(chosen, "linear", before="Linear probe: ")
        if len(panels) > 1:
            page.protocol(chosen, "knn", before="kNN: ")
        verdict_table.verdict_table(chosen)
        draw_pairs(chosen)
        by_class(chosen)
        page.numbers(numbers(chosen))
    gaps.explain(missing, "linear")


def score(choice: Choice) -> float:
    """What models are sorted by."""
    row = files.default_row(choice.run.evaluation("linear"))
    return row["value"] if row else 0.0


def panel(title: str, task: str, chosen: Sequence[Choice]) -> dots.DotPanel:
    """The dots of one evaluation."""
    points, ticks, pixels = [], {}, []
    for choice in chosen:
        evaluation = choice.run.evaluation(task)
        main = files.default_row(evaluation)
        for row in files.rows(evaluation, model="run"):
            space = str(row.get("space", ""))
            points.append(dots.Dot(choice.label, choice.colour, row["value"], *files.bounds(row), space, row is main))
        if untrained := files.untrained_row(evaluation):
            ticks[choice.label] = untrained["value"]
        pixels += [row["value"] for row in files.rows(evaluation, model="pixels")]
    return dots.DotPanel(title, points, {"pixels": max(pixels)} if pixels else {}, ticks)


def draw_pairs(chosen: Sequence[Choice]) -> None:
    """Every pair of models on the same test images, with the sentence that may be said of it; seeds form groups."""
    labels = {choice.run.id: choice.label for choice in chosen}
    names = [chosen_runs.name_of(choice.run.summary()) for choice in chosen]
    groups = group_runs([choice.run for choice in chosen], names, [seeds.traits(choice.run) for choice in chosen])
    groups = [replace(group, label=labels[group.runs[0].id]) if len(group) == 1 else group for group in groups]
    differing = pairs.differences(groups)
    if not differing:
        return
    st.subheader("Which differences are real?", anchor=False)
    pairs.chart(
        differing,
        [f"{pair.label} \N{MINUS SIGN} {pair.other}" for pair in differing],
        {choice.run.id: choice.colour for choice in chosen},
        "differences",
        "95 % interval of the paired difference, over seeds and images where both sides have three seeds, otherwise "
        "over images (bootstrap)",
    )
    with st.expander("In words"):
        st.markdown("\n".join(f"- {theme.literal(str(pair))}" for pair in differing))
        st.caption(caveat(differing))


def by_class(chosen: Sequence[Choice]) -> None:
    """Accuracy per class and confusions, of the default space."""
    rows = {choice: files.default_row(choice.run.evaluation("linear")) or {} for choice in chosen}
    scores = {}
    for choice, row in rows.items():
        accuracies = files.matrix(row.get("per_class"), (None,))
        if accuracies is not None and np.isfinite(accuracies).any():
            scores[choice.label] = choice.colour, accuracies
    sizes = {len(accuracies) for _, accuracies in scores.values()}
    if len(sizes) > 1:
        st.caption("The models were probed on different classes, so they are not compared class by class.")
    if len(sizes) != 1:
        return
    n = sizes.pop()
    classes = files.class_names(chosen[0].run.evaluation("linear").get("classes"), n)
    st.subheader("Class by class", anchor=False)
    page.chart(dots.per_class(scores, classes), "per-class", "accuracy per class")
    measured = int(np.all([np.isfinite(values) for _, values in scores.values()], axis=0).sum())
    few = f" · the 30 of {measured} classes on which the models differ most" if measured > 30 else ""
    none = f" · left out: {n - measured} of {n} classes, without test images" if measured < n else ""
    page.note("linear probe of the default space, as above" + few + none)
    tables = {choice: files.square(row.get("confusion"), n) for choice, row in rows.items()}
    tables = {choice: table for choice, table in tables.items() if table is not None}
    if not tables:
        return
    st.subheader("What is taken for what", anchor=False)
    st.html(image_grid.colour_bar("0", "100 %", "of the true class"))
    for choice, table in page.side_by_side(tables.items()):
        page.heading(choice.label, choice.colour, str(rows[choice].get("space", "")))
        total = table.sum(1, keepdims=True)
        share = 100 * table / np.where(total > 0, total, np.nan)
        figure = matrices.heat_map(
            share,
            rows=classes,
            columns=classes,
            low=0,
            high=100,
            decimals=0 if n <= 10 else None,
            x_title="predicted",
            y_title="true",
            unit=" %",
            height=page.side(len(tables)) + 20,
        )
        key = f"confusion-{choice.index}"
        selecting = image_picker.cells(figure, choice, key, share, classes)
        page.chart(figure, key, f"confusion matrix of {choice.label}, % of the true class", **selecting)
    page.note(
        "share of the true class in %, rows sum to 100 · the same scale for every model · click a cell: its images "
        "become the selection"
    )


def numbers(chosen: Sequence[Choice]) -> list[dict[str, Any]]:
    """Every row of both evaluations."""
    return [
        {
            "model": choice.label if row["model"] == "run" else row["model"],
            "space": str(row.get("space", "")),
            "dimension": finite_number(row.get("dim")),
            "metric": title,
            "value (95 % interval)": files.format_row(row),
        }
        for choice in chosen
        for task, title in (("linear", "linear probe, %"), ("knn", "kNN, %"))
        for row in files.rows(choice.run.evaluation(task))
    ]
