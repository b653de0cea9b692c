"""Latent space: what does a latent variable do?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from app.figures import image_grid, noise_levels
from app.figures.image_grid import ImageRow
from app.reading import files, verdict
from app.reading.choice import Choice
from app.reading.curve import Curve
from app.widgets import gaps, latents, page, subset
from workbench.format import finite_number

TITLE = "Latent space"
QUESTION = "What do the latent variables encode?"

EVALUATIONS = ("latent",)


def traversal(choice: Choice) -> tuple[list[str], np.ndarray, np.ndarray] | None:
    """Names of latent variables with their KL, the values (values,) they are set to, and what is drawn, uint8
    (variables, values, H, W, C)."""
    evaluation = choice.run.evaluation("latent")
    values = files.matrix(evaluation.get("values"), (None,))
    images = files.pictures(choice.run.array("latent-traversal"), (None, None))
    variables = files.entries(evaluation, "variables")
    if values is None or images is None or images.shape[:2] != (len(variables), len(values)):
        return None
    names = []
    for variable in variables:
        kl = finite_number(variable.get("kl"))
        name = f"{variable.get('group', 'z')}, number {variable.get('index', '?')}"
        names.append(f"{name}|" + (f"{kl:.2f} nats" if kl is not None else ""))
    return names, values, images


def render() -> None:
    chosen, missing, _ = gaps.with_evaluation("latent", traversal)
    if chosen:
        some = subset.subset_of(chosen)
        page.verdict(answer(some))
        usage(some)
        walks(some)
        ways(some)
    gaps.explain(missing, "latent")


def answer(chosen: Sequence[Choice]) -> str:
    """How many of its latent variables each model uses."""
    parts = []
    for choice in chosen:
        groups = files.entries(latents.of_run(choice), "groups")
        counts = [[finite_number(group.get(key)) for group in groups] for key in ("active", "dims")]
        if groups and None not in (*counts[0], *counts[1]):
            active, dims = (sum(value for value in values if value is not None) for values in counts)
            parts.append(f"{choice.label} uses {active:.0f} of its {dims:.0f} latent variables")
    return f"{verdict.listed(parts, 4)}." if parts else "The number of active latent variables was not measured."


def usage(chosen: Sequence[Choice]) -> None:
    """KL of every latent variable, the largest first, active units, and collapse in words."""
    latents.warn_of_collapse(chosen)
    lines = []
    for choice in chosen:
        kl = files.matrix(latents.of_run(choice).get("kl"), (None,))
        if kl is not None and len(kl) > 1:
            ordered = np.sort(np.maximum(kl, 1e-5))[::-1]
            lines.append(Curve(choice.label, choice.colour, np.arange(1, len(kl) + 1), ordered))
    if lines:
        st.subheader("Information per latent variable", anchor=False)
        figure = noise_levels.level_curves(lines, "latent variables, sorted by KL", "KL to the prior in nats", log=True)
        page.chart(figure, "latent-kl", "KL of every latent variable, sorted")
    table = []
    for choice in chosen:
        for group in files.entries(latents.of_run(choice), "groups"):
            kl = finite_number(group.get("kl"))
            entry = {"model": choice.label, "group": str(group.get("name", "")), "active": group.get("active")}
            table.append(entry | {"variables": group.get("dims"), "KL in nats": None if kl is None else round(kl, 2)})
    if table:
        st.dataframe(pd.DataFrame(table), hide_index=True, height="content", width="content")
    about = [choice for choice in chosen if latents.of_run(choice)]
    thresholds = [finite_number(latents.of_run(choice).get("threshold")) for choice in about]
    thresholds = [threshold for threshold in thresholds if threshold is not None]
    if about:
        active = f"active: variance of the posterior mean over images above {min(thresholds, default=0.01):g}"
        page.note("a variable with a KL of 0 carries no information about an image")
        page.protocol(about, "likelihood", active)


def walks(chosen: Sequence[Choice]) -> None:
    """What changes in an image with one latent variable."""
    st.subheader("Latent traversals", anchor=False)
    for choice in page.side_by_side(chosen):
        traversed = traversal(choice)
        if traversed is None:
            continue
        names, values, pictures = traversed
        rows = []
        for index, (name, images) in enumerate(zip(names, pictures, strict=True)):
            label, _, kl = name.partition("|")
            captions = [f"{value:+.0f}" for value in values] if not index else ()
            rows.append(ImageRow(label, images, kl, captions))
        page.heading(choice.label, choice.colour)
        st.html(image_grid.sheet(rows, side=64))
    page.note("column labels: value of the latent variable in standard deviations of the prior")
    page.protocol(chosen, "latent", "the same values in all rows")


def ways(chosen: Sequence[Choice]) -> None:
    """From one image to another."""
    rows = []
    for choice in chosen:
        paths = files.pictures(choice.run.array("latent-interpolation"), (None, None))
        for index, images in enumerate(paths if paths is not None else []):
            rows.append(ImageRow(choice.label, images, f"pair {index + 1}", colour=choice.colour, gap=not index))
    if rows:
        st.subheader("Interpolation", anchor=False)
        pairs = sorted({row.small for row in rows})
        picked = page.switch("Pair", pairs, "pair") if len(pairs) > 1 else pairs[0]
        st.html(image_grid.sheet([row for row in rows if row.small == picked]))
        with st.expander("All pairs"):
            st.html(image_grid.sheet(rows, side=64))
        kinds = {str(choice.run.evaluation("latent").get("interpolation", "")) for choice in chosen}
        page.note(
            f"{' / '.join(sorted(kinds))} interpolation between the codes of two test images, with reconstructions "
            "at both ends"
        )
