"""Agreement: do models see alike?"""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from app import maps, pictures, pieces, reading, selection
from app.selection import Choice

TITLE = "Do models see alike?"


def agreement(chosen: Sequence[Choice]) -> tuple[list[str], np.ndarray]:
    """Linear CKA between the models' default spaces, and with pixels and untrained networks.

    Returns:
        names, and values (names, names) with NaN where nobody has measured it.
    """
    label = {choice.run.id: choice.label for choice in chosen}
    pairs: dict[tuple[str, str], float] = {}
    baselines: list[str] = []
    for choice in chosen:
        for row in reading.rows(choice.run.evaluation("cka"), model="run", metric="cka"):
            other = str(row.get("other", ""))
            name = label.get(other, "pixels" if other == "pixels" else "its untrained self")
            if other not in label and not (other == "pixels" or other.startswith("untrained")):
                continue
            if other not in label and name not in baselines:
                baselines.append(name)
            pairs.setdefault((choice.label, name), row["value"])
    names = [*label.values(), *sorted(baselines, key=lambda name: name == "pixels")]
    values = np.full((len(names), len(names)), np.nan)
    np.fill_diagonal(values, 1.0)
    for (one, other), value in pairs.items():
        i, j = names.index(one), names.index(other)
        values[i, j] = value
        if np.isnan(values[j, i]):
            values[j, i] = value
    return names, values


def render() -> None:
    comparable, _ = pieces.same_probe(selection.choices())
    chosen, missing = pieces.having(comparable, "cka", lambda _, evaluation: reading.rows(evaluation, model="run"))
    if chosen:
        names, values = agreement(chosen)
        # Baselines are columns only: what they have in common with one another is nobody's question.
        values, rows = values[: len(chosen)], names[: len(chosen)]
        st.html(pictures.colour_bar("0 nothing in common", "1 the same up to rotation and scale", "linear CKA"))
        figure = maps.heat_map(
            values, rows=rows, columns=names, low=0, high=1, decimals=2, height=90 + 96 * len(rows), square=False
        )
        figure.update_traces(textfont={"size": 16})
        figure.update_xaxes(side="top", tickfont={"size": 13})
        figure.update_yaxes(tickfont={"size": 13})
        width = min(1.0, 0.22 + 0.13 * len(names))
        place, _ = st.columns([width, 1.001 - width])
        with place:
            pieces.chart(figure, "cka", "CKA between the models")
        spaces = ", ".join(
            f"{choice.label}: {choice.run.evaluation('cka').get('default', 'default space')}" for choice in chosen
        )
        pieces.note(pieces.protocol(chosen, "cka"))
        pieces.note(f"spaces: {spaces}")
        if np.isnan(values[:, : len(chosen)]).any():
            pieces.empty(
                "Some pairs have not been compared",
                "A run is compared with those that existed when it was evaluated; this fills the gaps:",
                pieces.evaluate_command(chosen),
            )
    pieces.lacking(missing, "cka")
