"""Stability: why did it dip? Spikes of the gradient, dips of the kNN curve, and the health of the features."""

import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app.figures import gradient_map, image_grid
from app.figures.lines import curves
from app.reading import training_health
from app.reading.choice import Choice
from app.reading.curve import Curve
from app.reading.training_health import HEALTH, Diagnosis, Series, diagnose
from app.state import chosen_runs
from app.widgets import gaps, incidents, page
from workbench.metrics.stability import Spike

TITLE = "Why did it dip?"
WHOLE = "the whole training"
Window = tuple[float, float] | None


def render() -> None:
    live = any(choice.status == "running" for choice in chosen_runs.choices())
    st.fragment(figures, run_every=3 if live else None)()


def figures() -> None:
    diagnoses = {choice: diagnose(choice.run) for choice in chosen_runs.choices()}
    window = opened(diagnoses)
    knn(diagnoses, window)
    gradients(diagnoses, window)
    maps(diagnoses, window)
    incidents.sentences(diagnoses)
    incidents.batches(diagnoses)
    health(diagnoses, window)
    lacking(diagnoses)


def opened(diagnoses: incidents.Diagnoses) -> Window:
    """The part of training that is looked at: all of it, or the steps around a dip."""
    around: dict[str, Window] = {WHOLE: None}
    for choice, diagnosis in diagnoses.items():
        for dip in diagnosis.dips:
            every = max(dip.start - dip.before, 1)
            end = (dip.recovered or dip.step) + 2 * every
            around[f"{choice.label}: the dip at step {dip.step:,}"] = (max(0.0, dip.before - 3.0 * every), float(end))
    if len(around) == 1:
        return None
    return around[st.selectbox("Look at", list(around), key="around", width=360) or WHOLE]


def line(choice: Choice, series: Series | None) -> Curve | None:
    if series is None or not np.isfinite(series.values).any():
        return None
    known = np.isfinite(series.values)
    return Curve(choice.label, choice.colour, series.steps[known].astype(float), series.values[known])


def draw(lines: Sequence[Curve], title: str, window: Window, **options: Any) -> go.Figure:
    return curves(lines, y_title=title, x_title="step", zoom=window, **options)


def value_at(series: Series, step: int) -> float:
    """The value of the last row up to a step."""
    return float(series.values[max(int(np.searchsorted(series.steps, step, "right")) - 1, 0)])


def knn(diagnoses: incidents.Diagnoses, window: Window) -> None:
    lines = [curve for choice, diagnosis in diagnoses.items() if (curve := line(choice, diagnosis.knn))]
    if not lines:
        return
    st.subheader("kNN accuracy, its dips marked", anchor=False)
    figure = draw(lines, "top-1, %", window, height=340)
    for choice, diagnosis in diagnoses.items():
        if diagnosis.knn is not None:
            dips = [
                (dip.step, value_at(diagnosis.knn, dip.step), f"{choice.label}: {dip.depth:.1f} points below its best")
                for dip in diagnosis.dips
            ]
            gradient_map.add_marks(figure, dips, choice.colour, gradient_map.DIP, window)
            gradient_map.add_marks(
                figure, collapsed(choice, diagnosis, diagnosis.knn), choice.colour, gradient_map.COLLAPSE, window
            )
    page.chart(figure, "stability-knn", "kNN accuracy with its dips")
    page.note(
        "weighted kNN monitor · validation split · ▼ dip: below the highest reading so far by more than three standard "
        "deviations of the difference (binomial) · ✕ collapse"
    )


def collapsed(choice: Choice, diagnosis: Diagnosis, series: Series) -> list[tuple[float, float, str]]:
    return [(c.step, value_at(series, c.step), f"{choice.label}: {c.reason}") for c in diagnosis.collapses]


def gradients(diagnoses: incidents.Diagnoses, window: Window) -> None:
    parts = {"total": "gradient norm", "first": "gradient norm, first layer"}
    parts_by_run = {
        part: {
            choice: curve
            for choice, diagnosis in diagnoses.items()
            if diagnosis.gradients is not None
            and (curve := line(choice, Series(diagnosis.gradients.steps, getattr(diagnosis.gradients, part))))
        }
        for part in parts
    }
    if not parts_by_run["total"]:
        return
    st.subheader("Gradient norms, their spikes marked", anchor=False)
    for place, (part, by_run) in zip(st.columns(2, gap="medium"), parts_by_run.items(), strict=True):
        if not by_run:
            continue
        lines = [gradient_map.envelope(curve, window) for curve in by_run.values()]
        figure = draw(lines, parts[part], window, log=True, height=290, labels=False)
        for choice in by_run:
            diagnosis, curve = diagnoses[choice], by_run[choice]
            series = Series(curve.x, curve.y)
            own = (
                diagnosis.first_spikes
                if part == "first"
                else [spike for spike in diagnosis.spikes if spike.of == "total"]
            )
            heights = [peak_near(series, spike.start, spike.end) for spike in own]
            marks = [(s.step, height, spike_words(choice, s)) for s, height in zip(own, heights, strict=True)]
            gradient_map.add_marks(figure, marks, choice.colour, gradient_map.SPIKE, window)
        with place:
            page.chart(figure, f"stability-{part}", parts[part])
    page.note(
        "before clipping, the highest since the row before (of runs from before this was kept, of that step alone) · "
        "▲ spike of that norm: more than four robust deviations above the median of the 50 rows before (15 at least), "
        "and twice it · colours as above"
    )


def peak_near(series: Series, start: int, end: int) -> float:
    inside = (series.steps >= start) & (series.steps <= end)
    return float(series.values[inside].max()) if inside.any() else value_at(series, end)


def spike_words(choice: Choice, spike: Spike) -> str:
    return f"{choice.label}: {training_health.spike_height(spike)} at step {spike.step:,}{incidents.first_in(spike)}"


def maps(diagnoses: incidents.Diagnoses, window: Window) -> None:
    """One map per run with norms by layer."""
    maps_by_run = {
        choice: (figure, diagnosis)
        for choice, diagnosis in diagnoses.items()
        if (figure := gradient_map.gradient_map(diagnosis, choice.colour, window)) is not None
    }
    if not maps_by_run:
        return
    st.subheader("Gradient norm of every layer", anchor=False)
    places = page.columns(len(maps_by_run), across=min(len(maps_by_run), 2))
    for place, (choice, (figure, diagnosis)) in zip(places, maps_by_run.items(), strict=True):
        assert diagnosis.gradients is not None
        low, high = gradient_map.norm_limits(gradient_map.binned(diagnosis.gradients, window)[1])
        with place:
            page.heading(choice.label, choice.colour, f"first trained layer: {diagnosis.gradients.name}")
            st.html(image_grid.colour_bar(f"{10**low:.2g}", f"{10**high:.2g}", "norm, logarithmic"))
            page.chart(figure, f"stability-map-{choice.index}", f"gradient norm by layer of {choice.label}")
    page.note(
        "layers from the image down to the output · the highest norm in each stretch of steps · shaded: dips, dotted "
        "lines: spikes · each run has its own colour scale, since norms of methods lie orders of magnitude apart"
    )


def health(diagnoses: incidents.Diagnoses, window: Window) -> None:
    readings = {
        key: {
            choice: curve
            for choice, diagnosis in diagnoses.items()
            if (curve := line(choice, diagnosis.health.get(key)))
        }
        for key in HEALTH
    }
    readings = {key: by_run for key, by_run in readings.items() if by_run}
    if not readings:
        return
    st.subheader("Health of the features", anchor=False)
    for place, (key, by_run) in zip(page.columns(len(readings), across=3), readings.items(), strict=True):
        figure = draw(list(by_run.values()), HEALTH[key], window, height=230, labels=False)
        for choice in by_run:
            diagnosis = diagnoses[choice]
            marks = collapsed(choice, diagnosis, diagnosis.health[key])
            gradient_map.add_marks(figure, marks, choice.colour, gradient_map.COLLAPSE, window)
        with place:
            page.chart(figure, f"stability-{key}", HEALTH[key])
    page.note(
        "of up to 1,000 validation images, default feature, 1 seed per run · linear probe: ridge on frozen features, "
        "chooses nothing · effective rank: RankMe · std: of normalised features, 1 where they fill the sphere, 0 where "
        "all are one · uniformity and alignment: Wang and Isola, lower is more even and more alike · ✕ collapse · "
        "colours as above"
    )


def lacking(diagnoses: incidents.Diagnoses) -> None:
    """Runs without norms by layer or readings of the features, and how to get them."""
    bare = [
        choice
        for choice, diagnosis in diagnoses.items()
        if diagnosis.gradients is None or not diagnosis.gradients.layers
    ]
    blind = [choice for choice, diagnosis in diagnoses.items() if not diagnosis.health]
    unread = [choice for choice in bare if choice.status == "unreadable"]
    for choice in unread:
        page.note(f"{choice.label}: its run.json is missing or damaged, so nothing is known about it.")
    missing = [choice for choice in diagnoses if choice in (*bare, *blind) and choice not in unread]
    for choice in missing:
        if choice.status == "failed":
            page.note(f"{choice.label} failed: {choice.run.info().get('error') or 'the reason was not recorded.'}")
        elif choice.status == "running":
            page.note(f"{choice.label} is training: what it records is shown after its first rows.")
    missing = [choice for choice in missing if choice.status != "running"]
    if missing:
        what = " and ".join(
            part
            for part, those in (("gradient norms by layer", bare), ("readings of the features' health", blind))
            if any(choice in those for choice in missing)
        )
        configs = [shlex.quote(str(choice.run.path / "config.yaml")) for choice in missing]
        gaps.box(
            f"{page.names(missing)}: no {what}",
            "They are recorded while a model trains (--monitor-every 1 reads the features). Train it again, or let "
            "`workbench resume` go on with one that is not complete, which then records them.",
            *(f"workbench train --config {config}" for config in configs),
        )
