"""Stability: why did it dip? Spikes of the gradient, dips of the kNN curve, and the health of the features."""

from collections.abc import Callable, Iterable
from functools import partial
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
from app.widgets import gaps, incidents, job_panel, page, subset
from workbench.metrics.stability import Spike

TITLE = "Stability"
QUESTION = "Did the accuracy dip during training, and did a gradient spike precede it?"
WHOLE = "whole training"
Window = tuple[float, float] | None


def render() -> None:
    live = any(choice.status == "running" for choice in chosen_runs.networks(chosen_runs.choices()))
    st.fragment(figures, run_every=3 if live else None)()


def figures() -> None:
    chosen = subset.subset_of(chosen_runs.networks(chosen_runs.choices()))
    diagnoses = {choice: diagnose(choice.run) for choice in chosen}
    page.verdict(incidents.answer(diagnoses))
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
            around[f"{choice.label}: dip at step {dip.step:,}"] = (max(0.0, dip.before - 3.0 * every), float(end))
    if len(around) == 1:
        return None
    return around[st.selectbox("Steps", list(around), key="around", width=360) or WHOLE]


def curves_by_run(
    diagnoses: incidents.Diagnoses, series_of: Callable[[Diagnosis], Series | None]
) -> dict[Choice, Curve]:
    """A quantity of the runs that recorded it."""
    by_run = {}
    for choice, diagnosis in diagnoses.items():
        series = series_of(diagnosis)
        known = np.isfinite(series.values) if series is not None else np.zeros(0, bool)
        if series is not None and known.any():
            steps, values = series.steps[known].astype(float), series.values[known]
            by_run[choice] = Curve(choice.label, choice.colour, steps, values)
    return by_run


def draw(lines: Iterable[Curve], title: str, window: Window, **options: Any) -> go.Figure:
    return curves(list(lines), y_title=title, x_title="step", zoom=window, **options)


def value_at(curve: Curve, step: int) -> float:
    """The value of the last row up to a step."""
    return float(curve.y[max(int(np.searchsorted(curve.x, step, "right")) - 1, 0)])


def knn(diagnoses: incidents.Diagnoses, window: Window) -> None:
    by_run = curves_by_run(diagnoses, lambda diagnosis: diagnosis.knn)
    if not by_run:
        return
    st.subheader("kNN accuracy", anchor=False)
    figure = draw(by_run.values(), "top-1, %", window, height=340)
    for choice, curve in by_run.items():
        dips = [
            (dip.step, value_at(curve, dip.step), f"{choice.label}: {dip.depth:.1f} points below the previous best")
            for dip in diagnoses[choice].dips
        ]
        gradient_map.add_marks(figure, dips, choice.colour, gradient_map.DIP, window)
        mark_collapses(figure, choice, diagnoses[choice], curve, window)
    page.chart(figure, "stability-knn", "kNN accuracy with dips")
    page.note("▼ dip · ✕ collapse")
    page.details(
        "weighted kNN monitor · validation split · ▼ dip: below the highest reading so far by more than three standard "
        "deviations of the difference (binomial)"
    )


def mark_collapses(figure: go.Figure, choice: Choice, diagnosis: Diagnosis, curve: Curve, window: Window) -> None:
    marks = [(c.step, value_at(curve, c.step), f"{choice.label}: {c.reason}") for c in diagnosis.collapses]
    gradient_map.add_marks(figure, marks, choice.colour, gradient_map.COLLAPSE, window)


def gradients(diagnoses: incidents.Diagnoses, window: Window) -> None:
    parts = {"total": "gradient norm", "first": "gradient norm, first layer"}
    by_part = {part: curves_by_run(diagnoses, partial(norm, part=part)) for part in parts}
    if not by_part["total"]:
        return
    st.subheader("Gradient norms", anchor=False)
    for part, by_run in page.side_by_side(by_part.items()):
        if not by_run:
            continue
        lines = [gradient_map.envelope(curve, window) for curve in by_run.values()]
        figure = draw(lines, parts[part], window, log=True, height=290, labels=False)
        for choice, curve in by_run.items():
            whole = [spike for spike in diagnoses[choice].spikes if spike.of == "total"]
            marks = [
                (spike.step, peak_near(curve, spike.start, spike.end), spike_words(choice, spike))
                for spike in (diagnoses[choice].first_spikes if part == "first" else whole)
            ]
            gradient_map.add_marks(figure, marks, choice.colour, gradient_map.SPIKE, window)
        page.chart(figure, f"stability-{part}", parts[part])
    page.note("▲ spike · norms before clipping")
    page.details(
        "before clipping, maximum since the previous row (runs of earlier versions: value of that step only) · ▲ "
        "spike: "
        "more than four robust deviations above the median of the previous 50 rows (at least 15), and at least twice "
        "that median · colours as above"
    )


def norm(diagnosis: Diagnosis, part: str) -> Series | None:
    """The norm of the ``total`` gradient, or of that of the ``first`` layer."""
    norms = diagnosis.gradients
    return None if norms is None else Series(norms.steps, getattr(norms, part))


def peak_near(curve: Curve, start: int, end: int) -> float:
    inside = (curve.x >= start) & (curve.x <= end)
    return float(curve.y[inside].max()) if inside.any() else value_at(curve, end)


def spike_words(choice: Choice, spike: Spike) -> str:
    return f"{choice.label}: {training_health.spike_height(spike)} at step {spike.step:,}{incidents.first_in(spike)}"


def maps(diagnoses: incidents.Diagnoses, window: Window) -> None:
    """One map per run with norms by layer."""
    layer_maps = [
        (choice, diagnosis.gradients, figure)
        for choice, diagnosis in diagnoses.items()
        if diagnosis.gradients is not None
        and (figure := gradient_map.gradient_map(diagnosis, choice.colour, window)) is not None
    ]
    if not layer_maps:
        return
    st.subheader("Gradient norm of every layer", anchor=False)
    for choice, norms, figure in page.side_by_side(layer_maps, across=min(len(layer_maps), 2)):
        low, high = gradient_map.norm_limits(gradient_map.binned(norms, window)[1])
        page.heading(choice.label, choice.colour, f"first trained layer: {norms.name}")
        st.html(image_grid.colour_bar(f"{10**low:.2g}", f"{10**high:.2g}", "norm, logarithmic"))
        page.chart(figure, f"stability-map-{choice.index}", f"gradient norm by layer of {choice.label}")
    page.note("layers from input (top) to output (bottom) · shaded: dips · dotted lines: spikes")
    page.details(
        "maximum norm in each interval of steps · one colour scale per run, since the norms of different methods "
        "differ by orders of magnitude"
    )


def health(diagnoses: incidents.Diagnoses, window: Window) -> None:
    by_key = {key: curves_by_run(diagnoses, lambda diagnosis, key=key: diagnosis.health.get(key)) for key in HEALTH}
    by_key = {key: by_run for key, by_run in by_key.items() if by_run}
    if not by_key:
        return
    st.subheader("Feature collapse", anchor=False)
    for key, by_run in page.side_by_side(by_key.items(), across=3):
        figure = draw(by_run.values(), HEALTH[key], window, height=230, labels=False)
        for choice, curve in by_run.items():
            mark_collapses(figure, choice, diagnoses[choice], curve, window)
        page.chart(figure, f"stability-{key}", HEALTH[key])
    page.note("uniformity and alignment: lower is better · normalised std: 0 where all features are equal · ✕ collapse")
    page.details(
        "up to 1,000 validation images, default space, 1 seed per run · linear probe: ridge regression on frozen "
        "features, not used for any selection · effective rank: RankMe · std: of normalised features, 1 if they are "
        "spread over the sphere, 0 if all are equal · uniformity and alignment: Wang and Isola · ✕ collapse · "
        "colours as above"
    )


def lacking(diagnoses: incidents.Diagnoses) -> None:
    """Runs without norms by layer or readings of the features, and how to get them."""
    bare = [choice for choice, known in diagnoses.items() if not (known.gradients and known.gradients.layers)]
    blind = [choice for choice, diagnosis in diagnoses.items() if not diagnosis.health]
    missing = [choice for choice in diagnoses if choice in (*bare, *blind)]
    for choice in missing:
        if choice.status in ("unreadable", "failed"):
            page.note(gaps.obstacle(choice, "gradients"))
        elif choice.status == "running":
            page.note(f"{choice.label} is training: gradients and features appear after the first rows.")
    missing = [choice for choice in missing if choice.status not in ("unreadable", "running")]
    if missing:
        parts = (("gradient norms by layer", bare), ("feature statistics", blind))
        what = " or ".join(part for part, runs in parts if any(choice in runs for choice in missing))
        configs = [str(choice.run.path / "config.yaml") for choice in missing]
        gaps.box(
            f"{page.names(missing)}: no {what}",
            "They are recorded during training (feature statistics every --monitor-every epochs). Train again, or "
            "continue "
            "an incomplete run with `workbench resume`.",
            *(job_panel.command("train", [], "--config", config) for config in configs),
        )
