"""Schedules: when is the noise taken away, and where does the bound get its bits?"""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from app.figures import noise_levels
from app.reading import denoising, files, verdict
from app.reading.choice import Choice
from app.reading.curve import Curve
from app.widgets import gaps, page

CONTINUOUS = "vdm"  # the method whose likelihood has the term in continuous time
OTHERWISE = {"ddpm": "ddpm, a sum over its steps", "score": "score, of the probability-flow ODE"}


def schedule(choice: Choice) -> tuple[np.ndarray, np.ndarray] | None:
    """Times and ln SNR of what a run was trained with."""
    return denoising.schedule(files.section(choice.evaluation(denoising.TASK), "schedule"))


def show() -> None:
    """The section with its verdict."""
    chosen, missing, _ = gaps.with_evaluation(denoising.TASK, schedule)
    if chosen:
        page.verdict(answer(chosen))
        curves(chosen)
        shares(chosen)
    gaps.explain(missing, denoising.TASK)


def answer(chosen: Sequence[Choice]) -> str:
    """At which time of the process image and noise are equally strong."""
    parts = []
    for choice in chosen:
        if (curve := schedule(choice)) is not None and curve[1].min() <= 0 <= curve[1].max():
            order = np.argsort(curve[1])
            time = float(np.interp(0.0, curve[1][order], curve[0][order]))
            parts.append(f"t = {time:.2f} for {choice.label}")
    return f"Signal and noise are equal at {verdict.listed(parts, 4)}." if parts else ""


def curves(chosen: Sequence[Choice]) -> None:
    """ln SNR over the process's time, beside schedules that nobody learned."""
    lines: dict[str, Curve] = {}
    for choice in chosen:
        for entry in files.entries(choice.evaluation(denoising.TASK), "references"):
            if (curve := denoising.schedule(entry)) is not None:
                name = str(entry.get("name", ""))
                lines[name] = noise_levels.reference_curve(name, *curve)
    own = []
    for choice in chosen:
        if (curve := schedule(choice)) is not None:
            learned = ", learned" if choice.evaluation(denoising.TASK).get("learned") is True else ""
            own.append(Curve(choice.label + learned, choice.colour, *curve))
    figure = noise_levels.level_curves([*lines.values(), *own], "time t of the process", "ln SNR", height=420)
    page.chart(figure, "schedules", "ln SNR by time of the noising process")
    page.note("0: signal equals noise · coloured: schedule of the run · dotted: standard schedules")
    page.details(
        "ln SNR = ln (a\N{SUPERSCRIPT TWO} / s\N{SUPERSCRIPT TWO}) of x_t = a x0 + s eps · dotted: DDPM's linear and "
        "cosine schedules in continuous time, VDM's initial linear schedule · no intervals, since schedules are not "
        "estimated"
    )


def shares(chosen: Sequence[Choice]) -> None:
    """Where the bound's diffusion term comes from, and how much it varies over images."""
    st.subheader("Bound by time", anchor=False)
    for entry, name in page.side_by_side([("value", "share of the bound"), ("std", "standard deviation over images")]):
        lines = [line for choice in chosen if (line := denoising.metric_curve(choice, "bound", "t", entry)) is not None]
        if not lines:
            continue
        page.heading(name)
        log = all((line.y > 0).all() for line in lines)
        unit = "bits per dimension and unit of t"
        figure = noise_levels.level_curves(lines, "time t of the process", unit, log=log)
        page.chart(figure, f"shares-{entry}", f"{name} by time")
    page.protocol(
        chosen,
        denoising.TASK,
        *means(chosen),
        "the first and last intervals are coarse where ln SNR is steep, as at the ends of cosine and learned "
        "schedules: one error represents the whole interval",
        "a flat curve on the left minimises the variance of the estimate, which is the objective of VDM's learned "
        "schedule",
    )


def means(chosen: Sequence[Choice]) -> list[str]:
    """What a curve's mean over t is; only VDM's likelihood in continuous time has the same term."""
    methods = {str(choice.run.info().get("method")) for choice in chosen}
    parts = ["the mean over t is about the diffusion term of a bound in continuous time"]
    if CONTINUOUS in methods:
        parts[0] += f", as in the likelihood of {CONTINUOUS} without steps, there of other images and noise"
    if others := [why for method, why in OTHERWISE.items() if method in methods]:
        parts.append("not that of the likelihood of " + ", nor of ".join(others))
    return parts
