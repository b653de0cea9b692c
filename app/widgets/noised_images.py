"""What a diffusion model makes of images under noise: a film strip, other images at one level, the errors."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from app import theme
from app.figures import image_grid, noise_levels
from app.figures.image_grid import ImageRow
from app.reading import denoising, files, verdict
from app.reading.choice import Choice
from app.reading.denoising import FilmStrip
from app.state.seeds import seed_groups
from app.widgets import gaps, page, subset
from workbench.format import finite_number


def show() -> None:
    """The section with its verdict."""
    chosen, missing, probe = gaps.with_evaluation(denoising.TASK, denoising.film_strip)
    if chosen:
        page.verdict(answer(chosen))
        strips = [strip for choice in subset.subset_of(chosen) if (strip := denoising.film_strip(choice)) is not None]
        images = files.pictures(probe.images()) if probe is not None else None
        originals: dict[int, np.ndarray] = {}
        if probe is not None and images is not None:
            originals = dict(zip(np.asarray(probe.ids()).tolist(), images, strict=False))
        same = [strip for strip in strips if np.array_equal(strip.ids, strips[0].ids)]
        if other := page.names(strip.choice for strip in strips if strip not in same):
            st.warning(f"Not shown, because they were evaluated on other images: {theme.literal(other)}.")
        film(same, originals)
        one_level(same, originals)
        errors(chosen)
    gaps.explain(missing, denoising.TASK)


def answer(chosen: Sequence[Choice]) -> str:
    """Whose estimate of the image is closest where image and noise are equally strong."""
    numbers, levels = [], []
    for choice in chosen:
        rows = files.rows(choice.evaluation(denoising.TASK), model="run", metric="mse_x0")
        known = [(abs(level), row) for row in rows if (level := finite_number(row.get("log_snr"))) is not None]
        if known:
            level, row = min(known, key=lambda entry: entry[0])
            levels.append(level)
            numbers.append(verdict.Measured(choice.label, row["value"], *files.bounds(row)))
    if not numbers:
        return "The errors of these models were not measured."
    text = verdict.ranking(numbers, "x0 error where signal and noise are about equal", digits=4, lowest=True)
    apart = (
        " Their noise levels differ, so the comparison is not fair." if max(levels) > 0.5 and len(levels) > 1 else ""
    )
    return text + apart


def captions(strip: FilmStrip) -> list[str]:
    """The columns' noise, in words."""
    wide = "\N{NO-BREAK SPACE}"
    return [
        f"ln{wide}SNR{wide}{denoising.format_log_snr(value)}, t{wide}={wide}{t:.2f}"
        for value, t in zip(strip.log_snr, strip.t, strict=True)
    ]


def film(strips: Sequence[FilmStrip], originals: dict[int, np.ndarray]) -> None:
    """One image at every level, noise falling from left to right: what goes in above what the model makes of it."""
    n = len(strips[0].ids)
    at = st.slider("Image", 1, n, 1, key="film-image", bind="query-params", width=260) - 1 if n > 1 else 0
    rows = []
    for strip in strips:
        small, levels = "x_t: noised image", captions(strip)[::-1]
        colour, label = strip.choice.colour, strip.choice.label
        rows.append(ImageRow(label, strip.noised[at, ::-1], small, levels, colour, gap=bool(rows)))
        rows.append(ImageRow(label, strip.estimate[at, ::-1], "estimate of x0", colour=colour))
    original = originals.get(int(strips[0].ids[at]))
    if original is not None:
        rows.append(ImageRow("original", original[None].repeat(len(strips[0].t), 0), "a test image", gap=True))
    st.html(image_grid.sheet(rows))
    page.note("each column is one network evaluation, not a sampling step")
    page.protocol(
        [strip.choice for strip in strips],
        denoising.TASK,
        "each column has about the same ln SNR in all models, within the range of their schedules",
    )


def one_level(strips: Sequence[FilmStrip], originals: dict[int, np.ndarray]) -> None:
    """All images at one level."""
    st.subheader("All images at one noise level", anchor=False)
    levels = strips[0].log_snr
    names, middle = [denoising.format_log_snr(value) for value in levels], len(levels) // 2
    text = st.select_slider("ln SNR", names[::-1], names[middle], key="film-level", bind="query-params", width=420)
    level = names.index(text) if text in names else middle
    rows = []
    ids = strips[0].ids.tolist()
    if originals.keys() >= set(ids):
        rows.append(ImageRow("original", np.stack([originals[image] for image in ids]), "test images"))
    for strip in strips:
        at = int(np.argmin(np.abs(strip.log_snr - levels[level])))
        small = f"x_t at {captions(strip)[at]}"
        colour, label = strip.choice.colour, strip.choice.label
        rows.append(ImageRow(label, strip.noised[:, at], small, colour=colour, gap=bool(rows)))
        rows.append(ImageRow(label, strip.estimate[:, at], "estimate of x0", colour=colour))
    st.html(image_grid.sheet(rows))
    page.note("noise seeded by image id: each column has the same noise in all models")


def errors(chosen: Sequence[Choice]) -> None:
    """Mean squared errors over the noise level, of the noise and of the image."""
    st.subheader("Prediction error", anchor=False)
    for metric, title in page.side_by_side([("mse_eps", "the noise eps"), ("mse_x0", "the image x0")]):
        lines = [line for choice in chosen if (line := denoising.metric_curve(choice, metric)) is not None]
        if not lines:
            continue
        ends = np.array([min(line.x.min() for line in lines), max(line.x.max() for line in lines)])
        guess = {
            row["value"]
            for choice in chosen
            for row in files.rows(choice.evaluation(denoising.TASK), metric=metric, model="mean image")
        }
        name, value = ("zero", 1.0) if metric == "mse_eps" else ("mean image", max(guess, default=None))
        if value is not None:
            lines.append(noise_levels.reference_curve(name, ends, np.full(2, value)))
        page.heading(title)
        figure = noise_levels.level_curves(lines, "ln SNR (less noise to the right)", "mean squared error", log=True)
        page.chart(figure, f"denoising-{metric}", f"mean squared error of {title} by ln SNR")
    page.note("band: 95 % interval over images · dotted: predicting zero noise, or the mean training image")
    page.protocol(chosen, denoising.TASK, groups=seed_groups(chosen, denoising.TASK))
