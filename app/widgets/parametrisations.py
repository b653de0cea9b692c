"""Four views of one prediction: noise, image, velocity and score are one network's output."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from app.figures import image_grid, noise_levels
from app.figures.image_grid import ImageRow
from app.reading import denoising
from app.reading.choice import Choice
from app.widgets import gaps, page, subset
from workbench.format import finite_number

MEANING = {
    "eps": "the noise",
    "x0": "the image",
    "v": "the velocity, a eps \N{MINUS SIGN} s x0",
    "score": "grad ln p(x_t) = \N{MINUS SIGN}eps / s",
}


def usable(choice: Choice) -> bool:
    strip = denoising.film_strip(choice)
    return strip is not None and denoising.parametrisations(choice, strip) is not None


def show() -> None:
    """The section with its verdict."""
    chosen, missing, _ = gaps.with_evaluation(denoising.TASK, usable)
    if chosen:
        page.verdict(answer(chosen))
        sheets(subset.subset_of(chosen))
        agreement(chosen)
    gaps.explain(missing, denoising.TASK)


def answer(chosen: Sequence[Choice]) -> str:
    """Whether the four forms of the prediction agree."""
    lines = [line for choice in chosen if (line := denoising.agreement_curve(choice, "double"))]
    if not lines:
        return "The agreement of the four parametrisations was not measured."
    worst = max(float(line.y.max()) for line in lines)
    agree = "The four parametrisations agree" if worst < 1e-6 else "The four parametrisations differ"
    return f"{agree}: largest relative difference of the KL of one step {worst:.0e}, in double precision."


def sheets(chosen: Sequence[Choice]) -> None:
    """A model's output on one image at all levels, read in four ways, each above what is true."""
    first = denoising.film_strip(chosen[0])
    assert first is not None
    with st.container(horizontal=True, gap="large", vertical_alignment="bottom"):
        labels, picked = [choice.label for choice in chosen], None
        if len(chosen) > 1:
            picked = st.segmented_control("Model", labels, default=labels[0], required=True, key="views-model")
        n = len(first.ids)
        image = st.slider("Image", 1, n, 1, key="views-image", bind="query-params", width=260) - 1 if n > 1 else 0
        truth = st.toggle("Show true values", value=True, key="views-truth", bind="query-params")
    for choice in [choice for choice in chosen if picked in (None, choice.label)]:
        strip = denoising.film_strip(choice)
        readings = denoising.parametrisations(choice, strip) if strip is not None else None
        if strip is None or readings is None:
            continue
        names, predicted, target = readings
        known = str(choice.run.evaluation(denoising.TASK).get("prediction", ""))
        at = min(image, len(strip.ids) - 1)
        columns = [f"ln SNR {denoising.format_log_snr(value)}" for value in strip.log_snr]
        rows = [ImageRow("x_t", strip.noised[at, ::-1], "network input", columns[::-1])]
        for place, name in enumerate(names):
            small = MEANING.get(name, "") + (
                ", the training target" if name == known else ", computed from the prediction"
            )
            rows.append(ImageRow(name, predicted[place, at, ::-1], small, colour=choice.colour, gap=True))
            if truth:
                rows.append(ImageRow(f"true {name}", target[place, at, ::-1]))
        page.heading(choice.label, choice.colour, f"predicts {known}")
        st.html(image_grid.sheet(rows))
    reach = finite_number(chosen[0].run.evaluation(denoising.TASK).get("reach")) or 3.0
    page.note("one network evaluation per column · x_t and x0 clipped to the image range")
    page.details(
        f"eps and v from \N{MINUS SIGN}{reach:g} (black) to {reach:g} (white) · the score in units of 1 / s, where it "
        "equals the negative noise · at high noise (left) a small error of eps is a large error of x0"
    )


def agreement(chosen: Sequence[Choice]) -> None:
    """How far the four readings give the same KL of a step."""
    lines = []
    for precision, dash in (("double", "solid"), ("single", "dash")):
        for choice in chosen:
            line = denoising.agreement_curve(choice, precision)
            if line is not None:
                lines.append(replace(line, label=f"{line.label}, {precision}", dash=dash))
    if not lines:
        return
    st.subheader("Agreement of the parametrisations", anchor=False)
    figure = noise_levels.level_curves(
        lines, "ln SNR (less noise to the right)", "largest relative difference", log=True
    )
    page.chart(figure, "four-agreement", "relative difference of the KL between four parametrisations, by ln SNR")
    page.protocol(chosen, denoising.TASK, "KL of one step through eps, x0, v and score, each with its own weight")
