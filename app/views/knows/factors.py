"""Factors: what is kept of how an image was made, and what is thrown away?"""

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
import streamlit as st

from app.figures import image_grid, matrices
from app.figures.dots import Dot, small_multiples
from app.reading import files
from app.reading.verdict import Measured, ranking
from app.state.seeds import SeedGroup, seed_groups
from app.widgets import gaps, page, subset
from workbench import palette
from workbench.comparison.seeds import over_seeds
from workbench.format import finite_number
from workbench.headline import space_in
from workbench.report.answers import share
from workbench.store import Run

TITLE = "Factors"
QUESTION = "Which image properties can a probe predict from the features?"
EVALUATIONS = ("factors",)
PROJECTOR = "projector"
HEADLINE, DEFAULT, BEST = "headline", "default", "best"
SPACES = {HEADLINE: "best space of the linear probe", DEFAULT: "default space", BEST: "best space per factor"}
Columns = dict[str, tuple[str, dict[str, dict]]]
"""Colour and rows by factor of what stands side by side, by name."""


def best(evaluation: dict, model: str, space: str | None) -> dict[str, dict]:
    """By factor, the model's row of a space, or, without one, of the best space for that factor."""
    rows: dict[str, dict] = {}
    for row in files.rows(evaluation):
        kind = "untrained" if row["model"].startswith("untrained") else row["model"]
        other = kind != "pixels" and space is not None and space != row.get("space")
        name = str(row.get("factor", ""))
        if kind == model and name and not other and (name not in rows or row["value"] > rows[name]["value"]):
            rows[name] = row
    return rows


def printed(row: dict) -> str:
    """A cell's text in the metric's own unit."""
    return f"{row['value']:.1f} %" if row.get("metric") == "accuracy" else f"{round(row['value'], 2) + 0.0:.2f}"


def space_of(runs: Sequence[Run], reading: str) -> str | None:
    """The space in which a group is read under a key of :data:`SPACES`; None for the best one of each factor."""
    if reading == HEADLINE:
        return space_in(runs, "factors")
    defaults = [str(run.evaluation("factors").get("default")) for run in runs]
    return defaults[0] if reading == DEFAULT else None


def mean_rows(runs: Sequence[Run], model: str, space: str | None) -> dict[str, dict]:
    """By factor, the model's row (see :func:`best`); of several seeds their mean, with its interval over seeds."""
    by_run = [best(run.evaluation("factors"), model, space) for run in runs]
    names = dict.fromkeys(name for rows in by_run for name in rows)
    return {name: _mean([rows[name] for rows in by_run if name in rows], model) for name in names}


def _mean(rows: Sequence[dict], model: str) -> dict:
    values = [row["value"] for row in rows]
    if len(values) == 1 or (model != "run" and len(set(values)) == 1):  # untrained ones may be drawn from one seed
        return rows[0]
    spaces = "/".join(dict.fromkeys(str(row.get("space", "")) for row in rows))
    return rows[0] | over_seeds(values, rows[0].get("metric"))._asdict() | {"space": spaces, "seeds": len(rows)}


def columns_for(groups: Sequence[SeedGroup], reading: str) -> Columns:
    """Colour and rows by factor of every column: the models, pixels, and each model's untrained networks.

    A model whose projector can be read beside that space has a column for both.

    Args:
        reading: a key of :data:`SPACES`.
    """
    columns, untrained, pixels = {}, {}, {}
    for group in groups:
        runs, title = group.group.runs, group.group.title
        space = space_of(runs, reading)
        seeds = title.removeprefix(group.group.label)
        own = mean_rows(runs, "run", space)
        projector = mean_rows(runs, "run", PROJECTOR) if space is not None else {}
        split = bool(projector) and {row.get("space") for row in own.values()} != {PROJECTOR}
        columns[f"{group.group.label} backbone{seeds}" if split else title] = group.colour, own
        if split:
            columns[f"{group.group.label} {PROJECTOR}{seeds}"] = group.colour, projector
        untrained[f"untrained {group.group.label}"] = palette.GREY, mean_rows(runs, "untrained", space)
        pixels = pixels or best(runs[0].evaluation("factors"), "pixels", space)
    columns |= {"pixels": (palette.GREY, pixels)} if pixels else {}
    return columns | {name: column for name, column in untrained.items() if column[1]}


def render() -> None:
    chosen, missing, _ = gaps.with_evaluation("factors")
    if chosen:
        place = st.container()
        reading = page.switch("Features", SPACES, "factor-space")
        groups = seed_groups(chosen, "linear")
        with place:
            page.verdict(answer(groups, reading))
            some = subset.subset_of([group.choice for group in groups], single=False)
        groups = [group for group in groups if group.choice in some]
        columns = columns_for(groups, reading)
        first = {name: row for _, rows in reversed(columns.values()) for name, row in rows.items()}
        names = list(dict.fromkeys(name for _, rows in columns.values() for name in rows))
        units = {name: "%" if first[name].get("metric") == "accuracy" else "R²" for name in names}
        factor_map(columns, units)
        if reading == HEADLINE:
            page.other_spaces(groups, "factors")
        page.note("cells: accuracy or R² · colour: from chance to perfect")
        picked = "The best space is selected on the split shown here, which favours models with more spaces."
        page.details(
            page.measured(chosen, "factors", SPACES[reading], groups=groups), picked if reading == BEST else ""
        )
        st.subheader("Factors with intervals", anchor=False)
        chance = {name: level for name in names if (level := finite_number(first[name].get("chance"))) is not None}
        page.chart(small_multiples(dots(columns, names), chance, units), "factor-dots", "every factor with intervals")
        several = [group.group.title for group in groups if len(group.group) > 1]
        over = f"of {', '.join(several)} and their untrained networks over seeds (Student's t), otherwise " * bool(
            several
        )
        page.note("bars: 95 % interval · dotted line: chance")
        page.details(f"probes as above · bars: 95 % interval, {over}over test images")
    gaps.explain(missing, "factors")


def answer(groups: Sequence[SeedGroup], reading: str) -> str:
    """Who keeps most of the factors, and which factor that model keeps best and worst."""
    kept, by_factor = [], {}
    for group in groups:
        space = space_of(group.group.runs, reading)
        means = [
            fmean(map(share, rows.values()))
            for run in group.group.runs
            if (rows := best(run.evaluation("factors"), "run", space))
        ]
        if not means:
            continue
        interval = over_seeds(means)[1:] if len(means) > 1 else ()
        kept.append(Measured(group.group.label, 100 * fmean(means), *(100 * end for end in interval)))
        by_factor[group.group.label] = mean_rows(group.group.runs, "run", space)
    if not kept:
        return ""
    first = max(kept, key=lambda number: number.value)
    rows = by_factor[first.name]
    if len(rows) < 2:
        return ranking(kept, "mean factor score", "%")
    most, least = (pick(rows, key=lambda name: share(rows[name])) for pick in (max, min))
    texts = [f"{name} ({100 * share(rows[name]):.0f} %)" for name in (most, least)]
    sentence = ranking(kept, "mean factor score", "%")
    return f"{sentence} Its best factor is {texts[0]}, its worst {texts[1]}."


def factor_map(columns: Columns, units: Mapping[str, str]) -> None:
    """Factors down, models across; of several seeds the mean."""
    names = list(units)
    rows = [by_factor for _, by_factor in columns.values()]
    values = np.array([[share(known[name]) if name in known else np.nan for known in rows] for name in names])
    text = [[printed(known[name]) if name in known else "" for known in rows] for name in names]
    st.html(image_grid.colour_bar("chance", "perfect", "factor score"))
    figure = matrices.heat_map(
        values,
        rows=[f"{name}, {units[name]}" for name in names],
        columns=[name.replace(" (", "<br>(") for name in columns],
        low=0,
        high=1,
        text=text,
        height=46 * len(names) + 80,
        square=False,
    )
    figure.update_xaxes(side="top", tickfont={"size": 13})
    figure.update_traces(textfont={"size": 14})
    alt = "factor score by model, 0 at chance, 1 perfect"
    page.chart(figure, "factor-map", alt)


def dots(columns: Columns, names: Sequence[str]) -> dict[str, list[Dot]]:
    """By factor, a dot with its interval for every column."""

    def dot(label: str, colour: str, row: dict) -> Dot:
        return Dot(label, colour, row["value"], *files.bounds(row), str(row.get("space", "")))

    own = columns.items()
    return {name: [dot(label, colour, rows[name]) for label, (colour, rows) in own if name in rows] for name in names}
