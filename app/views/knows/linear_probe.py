"""Linear probe: who knows more?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import streamlit as st

from app import theme
from app.figures import dots, image_grid, matrices
from app.reading import files, predictions, verdict
from app.reading.choice import Choice
from app.state import seeds
from app.widgets import confusion_images, gaps, image_picker, page, pairs, subset, verdict_table, verdicts
from workbench.comparison.differences import Difference, caveat
from workbench.comparison.table import Row, baseline_value, group_table
from workbench.format import finite_number
from workbench.headline import best_space
from workbench.store import Run

TITLE = "Linear probe"
QUESTION = "Whose features classify the test images best?"
EVALUATIONS = ("linear",)
MEASURES = {"linear": "linear probe, top-1 in %", "knn": "kNN, top-1 in %"}


def render() -> None:
    chosen, missing, _ = gaps.with_evaluation("linear")
    if chosen:
        place = st.container()
        groups = seeds.seed_groups(chosen, "linear")
        rows = group_table([member.group for member in groups])
        own = {member.group.label: row for member, row in zip(groups, _headlines(rows), strict=True)}
        order = sorted(groups, key=lambda member: -own[member.group.label]["linear"]["value"])
        panels = [panel(key, groups, own, rows) for key in MEASURES if any(row[key] for row in own.values())]
        page.chart(
            dots.by_model(panels, [member.group.title for member in order]),
            "probe-dots",
            "accuracy by model with intervals",
        )
        page.note("large dot: accuracy with its 95 % interval · grey line: untrained network · dotted line: pixels")
        page.details(
            "large dot: best space by validation, 95 % interval (over seeds where there are several) · small dots: "
            "single seeds and other spaces",
            page.measured(chosen, "linear", before="Linear probe: ", groups=groups),
            page.measured(chosen, "knn", before="kNN: ", groups=groups) if len(panels) > 1 else "",
        )
        verdict_table.verdict_table(chosen)
        subject = "Differences and confusion matrices show"
        some = subset.subset_of([member.choice for member in groups], single=False, subject=subject)
        few = [member for member in groups if member.choice in some]
        tested = draw_pairs(groups, few)
        with place:
            page.verdict(
                answer([member.group.label for member in order], tested)
                or verdict.ranking(verdicts.headlines(chosen, "linear"), "linear probe accuracy", "%")
            )
        by_class(groups, few, chosen)
        page.numbers(numbers(groups))
    gaps.explain(missing, "linear")


def _headlines(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["kind"] == "run"]


def panel(key: str, groups: Sequence[seeds.SeedGroup], own: Mapping[str, Row], rows: Sequence[Row]) -> dots.DotPanel:
    """The dots of one measure: of every group the headline number, its single seeds and its other spaces."""
    points, ticks, references = [], {}, {}
    for member in groups:
        group, row = member.group, own[member.group.label]
        label, cell = group.title, row[key]
        if cell:
            points.append(dots.Dot(label, member.colour, cell["value"], cell["low"], cell["high"], row["space"] or ""))
        spaces: dict[str, list[float]] = {}
        for run, seed in zip(group.runs, group.seeds, strict=True):
            for entry in files.rows(run.evaluation(key), model="run"):
                space = str(entry.get("space", ""))
                if space != row["space"]:
                    spaces.setdefault(space, []).append(entry["value"])
                elif len(group) > 1:
                    points.append(dots.Dot(label, member.colour, entry["value"], detail=f"seed {seed}", main=False))
        points += [
            dots.Dot(label, member.colour, float(np.mean(values)), detail=space, main=False)
            for space, values in spaces.items()
        ]
        untrained = f"untrained:{group.runs[0].info().get('method')}"
        if (value := baseline_value(rows, untrained, key, row["parameters"])) is not None:
            ticks[label] = value
    if (value := baseline_value(rows, "pixels", key)) is not None:
        references["pixels"] = value
    return dots.DotPanel(MEASURES[key], points, references, ticks)


def answer(names: Sequence[str], tested: Sequence[Difference]) -> str:
    """What the tests say of the most accurate model: its difference from the next one, then from the others.

    Args:
        names: of the models, the most accurate first.
    """
    known = {frozenset((pair.name, pair.other_name)): pair for pair in tested}
    against = [(name, known.get(frozenset((names[0], name)))) for name in names[1:]]
    if not against or against[0][1] is None:
        return ""
    others = [(name, pair.significant) for name, pair in against[1:] if pair]
    better, equal = ([name for name, differs in others if differs == wanted] for wanted in (True, False))
    parts = [str(against[0][1])]
    parts += [f"{names[0]} is also ahead of {verdict.listed(better)}."] * bool(better)
    parts += [f"No significant difference between {names[0]} and {verdict.listed(equal)}."] * bool(equal)
    return " ".join(parts)


def draw_pairs(groups: Sequence[seeds.SeedGroup], few: Sequence[seeds.SeedGroup]) -> Sequence[Difference]:
    """Every pair of models on the same test images; those of a ``few`` as a figure and in sentences."""
    differing = pairs.differences([member.group for member in groups])
    if not differing:
        return []
    st.subheader("Significance of differences", anchor=False)
    among = pairs.among(differing, groups, few)
    pairs.chart(among, len(differing), {member.group.runs[0].id: member.colour for member in groups}, "differences")
    with st.expander("As sentences"):
        st.markdown("\n".join(f"- {theme.literal(str(pair))}" for pair in among))
        st.caption(caveat(differing))
    return differing


def by_class(groups: Sequence[seeds.SeedGroup], few: Sequence[seeds.SeedGroup], chosen: Sequence[Choice]) -> None:
    """Accuracy per class and, of a ``few``, confusions in the best space; of several seeds all test images together."""
    tables = {}
    for member in groups:
        runs, space = member.group.runs, best_space(member.group.runs)
        known = [table for run in runs if (table := _confusion(run, space)) is not None]
        if known and len({len(table) for table in known}) == 1:
            tables[member.group.label] = member, np.sum(known, axis=0)
    sizes = {len(table) for _, table in tables.values()}
    if len(sizes) > 1:
        st.caption("The models were evaluated on different classes, so there is no comparison by class.")
    if len(sizes) != 1:
        return
    n = sizes.pop()
    classes = files.class_names(groups[0].group.runs[0].evaluation("linear").get("classes"), n)
    shares = {}
    for label, (member, table) in tables.items():
        total = table.sum(1, keepdims=True)
        shares[label] = member, 100 * table / np.where(total > 0, total, np.nan)
    scores = {member.group.title: (member.colour, np.diag(share)) for member, share in shares.values()}
    st.subheader("Accuracy by class", anchor=False)
    page.chart(dots.per_class(scores, classes), "per-class", "accuracy per class")
    measured = int(np.all([np.isfinite(values) for _, values in scores.values()], axis=0).sum())
    most = f" · the 30 of {measured} classes with the largest differences" if measured > 30 else ""
    none = f" · {n - measured} of {n} classes left out: no test images" if measured < n else ""
    page.note("linear probe of the best space; all seeds together" + most + none)
    st.subheader("Confusion matrices", anchor=False)
    st.html(image_grid.colour_bar("0", "100 %", "of the true class"))
    known = [shares[member.group.label] for member in few if member.group.label in shares]
    places, cell = page.with_room(len(known)), confusion_images.current()
    for (place, room), (member, share) in zip(places, known, strict=True):
        key = f"confusion-{member.choice.index}"
        with place:
            confusion_matrix(member, share, classes, key, page.side(len(known)) + 20)
        if cell is not None and cell.chart == key:
            with room:
                confusion_images.show(cell, member.choice, chosen, classes)
    page.note("rows: true class, sum to 100 % · columns: predicted class · click a cell to show and select its images")
    page.details(
        "all seeds together, one colour scale for all models · a click selects images by the predictions of the shown "
        "seed"
    )


def confusion_matrix(member: seeds.SeedGroup, share: np.ndarray, classes: Sequence[str], key: str, height: int) -> None:
    """One group's matrix, shares (n, n) in %, whose cells can be clicked."""
    group, n = member.group, len(classes)
    page.heading(group.title, member.colour, best_space(group.runs) or "")
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
        height=height,
    )
    selecting = image_picker.cells(figure, member.choice, key, share, classes)
    page.chart(figure, key, f"confusion matrix of {group.title}, % of the true class", **selecting)


def _confusion(run: Run, space: str | None) -> np.ndarray | None:
    """Test images by true and predicted class: from the stored predictions, or the evaluation's own table."""
    evaluation = run.evaluation("linear")
    row = next(iter(files.rows(evaluation, model="run", space=space)), {})
    classes = evaluation.get("classes")
    table = predictions.confusion(run, space, len(classes)) if isinstance(classes, list) else None
    return files.square(row.get("confusion")) if table is None else table


def numbers(groups: Sequence[seeds.SeedGroup]) -> list[dict[str, Any]]:
    """Every row of both evaluations, run by run."""
    return [
        {
            "model": member.group.label if row["model"] == "run" else row["model"],
            "seed": seed if row["model"] == "run" else None,
            "space": str(row.get("space", "")),
            "dimension": finite_number(row.get("dim")),
            "metric": title,
            "value (95 % interval)": files.format_row(row),
        }
        for member in groups
        for run, seed in zip(member.group.runs, member.group.seeds, strict=True)
        for task, title in MEASURES.items()
        for row in files.rows(run.evaluation(task))
    ]
