"""Factors: what is kept of how an image was made, and what is thrown away?"""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from app import intervals, look, maps, pictures, pieces, reading, selection
from app.selection import Choice

TITLE = "What is kept?"


def best(evaluation: dict, model: str, space: str) -> dict[str, dict]:
    """By factor, the model's row of a space, or of the space that reads the factor best (``best``)."""
    found: dict[str, dict] = {}
    for row in reading.rows(evaluation):
        kind = "untrained" if row["model"].startswith("untrained") else row["model"]
        default = space == "default" and kind != "pixels" and evaluation.get("default") not in (None, row.get("space"))
        name = str(row.get("factor", ""))
        if kind == model and name and not default and (name not in found or row["value"] > found[name]["value"]):
            found[name] = row
    return found


def share(row: dict) -> float:
    """How far a probe comes from chance (0) to perfect (1)."""
    top = 100.0 if row.get("metric") == "accuracy" else 1.0
    chance = min(reading.number(row.get("chance")) or 0.0, 0.999 * top)
    return (row["value"] - chance) / (top - chance)


def printed(row: dict) -> str:
    """A cell's text in the metric's own unit."""
    return f"{row['value']:.0f} %" if row.get("metric") == "accuracy" else f"{round(row['value'], 2) + 0.0:.2f}"


def columns_for(chosen: Sequence[Choice], space: str) -> dict[str, tuple[str, dict[str, dict]]]:
    """Colour and rows by factor of every column: the models, each one's untrained network, and pixels."""
    columns, baselines, pixels = {}, {}, {}
    for choice in chosen:
        evaluation = choice.run.evaluation("factors")
        columns[choice.label] = choice.colour, best(evaluation, "run", space)
        baselines[f"untrained {choice.summary.get('method')}"] = look.GREY, best(evaluation, "untrained", space)
        pixels = best(evaluation, "pixels", space) or pixels
    columns |= {name: column for name, column in baselines.items() if column[1]}
    return columns | ({"pixels": (look.GREY, pixels)} if pixels else {})


def render() -> None:
    chosen, missing = pieces.having(
        selection.choices(), "factors", lambda _, evaluation: reading.rows(evaluation, model="run")
    )
    if chosen:
        space = st.segmented_control(
            "Read from",
            ["default", "best"],
            format_func={"default": "default space", "best": "best space per factor"}.__getitem__,
            default="default",
            required=True,
            key="factor-space",
            bind="query-params",
        )
        columns = columns_for(chosen, space or "default")
        names = list(dict.fromkeys(name for _, rows in columns.values() for name in rows))
        values = np.array(
            [[share(rows[name]) if name in rows else np.nan for _, rows in columns.values()] for name in names]
        )
        text = [[printed(rows[name]) if name in rows else "" for _, rows in columns.values()] for name in names]
        metric = {
            name: next(rows[name] for _, rows in columns.values() if name in rows).get("metric") for name in names
        }
        units = {name: "%" if metric[name] == "accuracy" else "R²" for name in names}
        st.html(pictures.colour_bar("chance", "perfect", "share of what could be read beyond chance"))
        figure = maps.heat_map(
            values,
            rows=[f"{name}, {units[name]}" for name in names],
            columns=list(columns),
            low=0,
            high=1,
            text=text,
            height=46 * len(names) + 70,
            square=False,
        )
        figure.update_xaxes(side="top", tickfont={"size": 13})
        figure.update_traces(textfont={"size": 14})
        pieces.chart(figure, "factor-map", "how well each factor can be read from each model")
        pieces.note(
            pieces.protocol(chosen, "factors", "cells: accuracy or R² as measured; colour: 0 at chance, 1 when perfect")
        )
        if space == "best":
            pieces.note(
                "The best space is picked on the split that is shown, so a model with more spaces has an advantage."
            )
        st.subheader("With their intervals", anchor=False)
        dots = {
            name: [
                intervals.Dot(
                    label,
                    colour,
                    rows[name]["value"],
                    reading.number(rows[name].get("low")),
                    reading.number(rows[name].get("high")),
                    str(rows[name].get("space", "")),
                )
                for label, (colour, rows) in columns.items()
                if name in rows
            ]
            for name in names
        }
        levels = {
            name: next(rows[name] for _, rows in columns.values() if name in rows).get("chance") for name in names
        }
        chance = {name: level for name, value in levels.items() if (level := reading.number(value)) is not None}
        pieces.chart(intervals.small_multiples(dots, chance, units), "factor-dots", "every factor with intervals")
        pieces.note("probes as above · bars: 95 % interval · dotted line: chance")
    pieces.lacking(missing, "factors")
