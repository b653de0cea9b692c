"""Samples: what can it imagine?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from app.figures import image_grid
from app.figures.image_grid import ImageRow
from app.reading import files, verdict
from app.reading.choice import Choice
from app.widgets import gaps, page, subset
from workbench import palette
from workbench.format import finite_number, format_duration
from workbench.store import Probe

TITLE = "Samples"
QUESTION = "What do samples of the model look like?"
EVALUATIONS = ("samples",)
STRIP = 10


def variants(choice: Choice) -> list[tuple[dict[str, Any], np.ndarray]]:
    """The sampler variants of a run with their images uint8 (n, H, W, C)."""
    usable = []
    for variant in files.entries(choice.run.evaluation("samples"), "variants"):
        if isinstance(array := variant.get("array"), str):
            images = files.pictures(choice.run.array(array))
            if images is not None:
                usable.append((variant, images))
    return usable


def describe(variant: dict[str, Any]) -> str:
    """A variant in words: sampler, steps."""
    steps = finite_number(variant.get("steps"))
    sampler = str(variant.get("sampler", "sampler"))
    return f"{sampler}, {steps:.0f} steps" if steps is not None and steps > 1 else sampler


def cost(variant: dict[str, Any], n: int) -> str:
    """The time that drawing took."""
    seconds = finite_number(variant.get("seconds"))
    if seconds is None:
        return f"{n} images"
    return f"{n} images in {format_duration(seconds) if seconds >= 10 else f'{seconds:.2g} s'}"


def render() -> None:
    chosen, missing, probe = gaps.with_evaluation("samples", variants)
    if chosen:
        page.verdict(
            f"Samples of {verdict.listed([c.label for c in chosen])}, for visual comparison only: no metric is "
            "computed."
        )
        some = subset.subset_of(chosen)
        grids(some, probe)
        strips(some)
    gaps.explain(missing, "samples")


def grids(chosen: Sequence[Choice], probe: Probe | None) -> None:
    """A grid per model and one of real images, all of the same size."""
    real = files.pictures(probe.images()) if probe else None
    across = {1: 6, 2: 4}.get(len(chosen), 3)
    count = across * 4
    places = page.columns(len(chosen) + (real is not None))
    if real is not None:
        with places[0]:
            page.heading("real images", palette.GREY)
            classes = "all classes · " if probe and probe.labels() is not None else ""
            st.selectbox("Probe set", [f"{classes}{len(real)} images"], disabled=True, label_visibility="collapsed")
            spread = np.linspace(0, len(real) - 1, min(count, len(real))).astype(int)
            titles = files.image_titles(probe) if probe else []
            st.html(image_grid.tile_grid(np.asarray(real[spread]), across, [titles[row] for row in spread]))
    for place, choice in zip(places[real is not None :], chosen, strict=True):
        samplers = variants(choice)
        with place:
            page.heading(choice.label, choice.colour)
            index = st.selectbox(
                "Sampler",
                range(len(samplers)),
                format_func=lambda i, samplers=samplers: (
                    f"{describe(samplers[i][0])} · {cost(samplers[i][0], len(samplers[i][1]))}"
                ),
                key=f"sampler-{choice.index}",
                label_visibility="collapsed",
            )
            variant, images = samplers[index or 0]
            drawings = np.asarray(images[:count])
            titles = [f"{choice.label}, {describe(variant)}, image {at + 1}" for at in range(len(drawings))]
            st.html(image_grid.tile_grid(drawings, across, titles))
    page.note("first samples of each seed, not selected")
    page.protocol(chosen, "samples", "same seed and position for all samplers of a model")


def strips(chosen: Sequence[Choice]) -> None:
    """All samplers below one another: the same column starts from the same noise."""
    rows = []
    for choice in chosen:
        for index, (variant, images) in enumerate(variants(choice)):
            seed = f", seed {variant['seed']}" if variant.get("seed") is not None else ""
            small = f"{describe(variant)}, {cost(variant, len(images))}{seed}"
            rows.append(ImageRow(choice.label, np.asarray(images[:STRIP]), small, colour=choice.colour, gap=not index))
    st.subheader("Samplers", anchor=False)
    st.html(image_grid.sheet(rows))
    page.note("within a model, each column starts from the same noise")
