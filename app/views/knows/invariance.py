"""Invariance: what is a model blind to?"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
import streamlit as st

from app.figures import strength_curves
from app.figures.strength_curves import ChangePanel, Profile
from app.reading import files, verdict
from app.reading.choice import Choice
from app.state import feature_space
from app.widgets import gaps, page, subset
from workbench import palette
from workbench.format import finite_number
from workbench.store import Probe

TITLE = "Invariance"
QUESTION = "Which image transformations leave the features unchanged?"
EVALUATIONS = ("invariance",)
PROJECTOR = "projector"
Steps = dict[str, list[float]]  # strengths by transform, in order
UNITS = {
    "crop": ("crop, share of area removed", "{:.0%}"),
    "flip": ("flip", ""),
    "rotation": ("rotation, degrees", "{:g}"),
    "colour": ("colour jitter, strength", "{:g}"),
    "blur": ("blur, SD in % of image side", "{:g}"),
    "noise": ("noise, SD in units of the pixel range", "{:g}"),
    "solarise": ("solarise, share of range inverted", "{:.0%}"),
}
FLIPS = {1: "left-right", 2: "top-bottom"}


def render() -> None:
    chosen, missing, probe = gaps.with_evaluation("invariance", lambda choice: complete_rows(choice, model="run"))
    if chosen:
        place = st.container()
        strengths_of: dict[str, set[float]] = {}
        for choice in chosen:
            for row in complete_rows(choice, model="run"):
                strengths_of.setdefault(row["transform"], set()).add(row["strength"])
        steps = {transform: sorted(strengths) for transform, strengths in strengths_of.items()}
        with st.container(horizontal=True, gap="large", vertical_alignment="bottom"):
            how = page.space_switch()
            image = example(chosen, probe, steps)
        with place:
            page.verdict(answer(chosen, how))
            chosen = subset.subset_of(chosen, single=False)
        lines, key = styled_lines(chosen, how)
        panels = [
            ChangePanel(
                UNITS.get(transform, (transform, ""))[0],
                [tick(transform, strength) for strength in strengths],
                [profile for line in lines if (profile := line_in(line, transform, strengths)) is not None],
                transform != "flip",
                None if image is None else image[transform],
            )
            for transform, strengths in steps.items()
        ]
        figure = strength_curves.strength_curves(panels, key)
        page.chart(figure, "invariance", "feature similarity under seven image transformations")
        page.note("1: features unchanged · 0: as different as another image · bands: 95 % interval")
        page.protocol(
            chosen,
            "invariance",
            "values below 0 are not shown",
            "leftmost image of each strip: original",
        )
        page.numbers(numbers(chosen), height="auto")
    gaps.explain(missing, "invariance")


def answer(chosen: Sequence[Choice], how: str) -> str:
    """Whose features change least on average, and under which change most."""
    kept: dict[str, dict[str, float]] = {}
    for choice in chosen:
        space = feature_space.space_of(choice, choice.evaluation("invariance"), how)
        by_transform: dict[str, list[float]] = {}
        for row in complete_rows(choice, model="run", space=space):
            by_transform.setdefault(row["transform"], []).append(row["value"])
        if by_transform:
            kept[choice.label] = {transform: fmean(values) for transform, values in by_transform.items()}
    if not kept:
        return ""
    means = [verdict.Measured(label, fmean(values.values())) for label, values in kept.items()]
    first = max(means, key=lambda number: number.value).name
    worst = min(kept[first], key=kept[first].__getitem__)
    name = UNITS.get(worst, (worst, ""))[0].partition(",")[0]
    return (
        verdict.ranking(means, "similarity to the original, averaged over all transformations", digits=2)
        + f" {first} is least invariant to {name} ({kept[first][worst]:.2f})."
    )


def complete_rows(choice: Choice, **where: Any) -> list[dict[str, Any]]:
    """The rows that have all that the page draws."""
    return [
        row
        for row in files.rows(choice.evaluation("invariance"), metric="kept", **where)
        if isinstance(row.get("transform"), str)
        and isinstance(row.get("space"), str)
        and finite_number(row.get("strength")) is not None
    ]


def tick(transform: str, strength: float) -> str:
    """A strength in words."""
    if transform == "flip":
        return FLIPS.get(int(strength), f"{strength:g}")
    return UNITS.get(transform, ("", "{:g}"))[1].format(strength)


def styled_lines(
    chosen: Sequence[Choice], how: str
) -> tuple[list[tuple[Profile, list[dict]]], dict[str, tuple[str, str]]]:
    """Every line's style and rows, the grey ones first so that they lie below, and the key."""
    front, behind, pixels = [], [], []
    for choice in chosen:
        evaluation = choice.evaluation("invariance")
        space = feature_space.space_of(choice, evaluation, how)
        read = dict.fromkeys([str(space), *([PROJECTOR] if PROJECTOR in files.spaces(evaluation) else [])])
        for name in read:
            dash = "dash" if name != space else "solid"
            label = f"{choice.label} {name}"
            front.append((style(label, choice.colour, dash), complete_rows(choice, model="run", space=name)))
        rows = [row for row in complete_rows(choice, space=space) if row["model"].startswith("untrained")]
        behind.append((style(f"untrained {choice.label}", palette.GREY, "solid", main=False), rows))
        pixels = pixels or complete_rows(choice, model="pixels")
    behind.append((style("pixels", palette.GREY, "dot", main=False), pixels))
    lines = [(line, rows) for line, rows in behind + front if rows]
    key = {line.label: (line.colour, line.dash) for line, rows in front if rows}
    if any(rows and line.label != "pixels" for line, rows in behind):
        key["untrained"] = (palette.GREY, "solid")
    return lines, key | ({"pixels": (palette.GREY, "dot")} if pixels else {})


def style(label: str, colour: str, dash: str, main: bool = True) -> Profile:
    """A line without values."""
    none = np.zeros(0)
    return Profile(label, colour, none, none, none, dash, main)


def line_in(line: tuple[Profile, list[dict]], transform: str, strengths: Sequence[float]) -> Profile | None:
    """A line's part in one panel, or None where it has none."""
    like, rows = line
    at = {row["strength"]: row for row in rows if row["transform"] == transform}
    if not at:
        return None
    value, low, high = (
        np.array([finite_number(at.get(strength, {}).get(key)) for strength in strengths], np.float64)
        for key in ("value", "low", "high")
    )
    return replace(like, values=value, low=low, high=high)


def example(chosen: Sequence[Choice], probe: Probe | None, steps: Steps) -> dict[str, np.ndarray] | None:
    """By transform, one image unchanged and at each strength, as a person picks it among those that are stored."""
    evaluations = [choice.evaluation("invariance") for choice in chosen]
    stored_steps = next(filter(None, (files.entries(evaluation, "steps") for evaluation in evaluations)), [])
    array = files.pictures(probe.array("invariance-examples"), (1 + len(stored_steps), None)) if probe else None
    at = {(step.get("transform"), step.get("strength")): i for i, step in enumerate(stored_steps, 1)}
    whole = all((transform, strength) in at for transform, strengths in steps.items() for strength in strengths)
    if array is None or not whole:
        return None
    options = list(range(1, array.shape[1] + 1))
    images = array[:, page.switch("Example image", options, "invariance-example") - 1]
    return {
        transform: np.asarray(images[[0, *(at[transform, strength] for strength in strengths)]])
        for transform, strengths in steps.items()
    }


def numbers(chosen: Sequence[Choice]) -> list[dict[str, Any]]:
    """Every row."""
    table: list[dict[str, Any]] = []
    for choice in chosen:
        for row in complete_rows(choice):
            model = row["model"] if row["model"] == "pixels" else choice.label
            model += " untrained" if row["model"].startswith("untrained") else ""
            entry = {"model": model, "space": row["space"], "transformation": row["transform"]}
            entry["strength"] = tick(row["transform"], row["strength"])
            table.append(entry | {"similarity (95 % interval)": files.format_row(row, alone=2)})
    return table
