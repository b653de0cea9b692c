"""Reconstructions: what is lost?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from app import theme
from app.figures import image_grid
from app.figures.image_grid import ImageRow
from app.reading import files, verdict
from app.reading.choice import Choice
from app.reading.reconstructions import Reconstruction, gather, originals, same_ids, size_of, variants
from app.state import chosen_images, chosen_runs
from app.widgets import gaps, page, subset, verdicts
from workbench import palette
from workbench.store import Probe, Run

TITLE = "Reconstructions"
QUESTION = "How accurately does the model reconstruct images?"
EVALUATIONS = ("reconstruction", "decoder")
ACROSS = 10
DECODERS = {"reconstruction": "own decoder", "decoder": "common decoder (frozen encoder)"}  # by evaluation
ORDERS = {"probe": "as in the probe set", "error": "largest error first", "disagreement": "largest disagreement first"}


def psnr(mse: float) -> str:
    return f"{-10 * np.log10(max(mse, 1e-10)):.1f}"


def render() -> None:
    place = st.container()
    comparable, probe = gaps.comparable(chosen_runs.choices())
    task = page.switch("Decoder", DECODERS, "decoder")
    chosen, missing = gaps.split(
        comparable, task, lambda choice: variants(choice, task) and originals(choice, task, probe)
    )
    if chosen:
        with place:
            page.verdict(answer(chosen, task))
        show(subset.subset_of(chosen), task, probe)
        table(chosen, task)
    gaps.explain(missing, task)
    if task == "reconstruction" and any(variants(choice, "decoder") for choice in missing):
        page.note("Select the common decoder above to reconstruct images from their features.")


def answer(chosen: Sequence[Choice], task: str) -> str:
    """Who reconstructs best, and whether the models saw the same amount of the image."""

    def row_of(run: Run, _space: str | None) -> dict[str, Any] | None:
        evaluation = run.evaluation(task)
        rows = files.rows(evaluation, model="run", metric="psnr")
        return next((row for row in rows if row.get("variant") == evaluation.get("default")), next(iter(rows), None))

    numbers = verdicts.headlines(chosen, task) if task == "reconstruction" else verdicts.of_groups(chosen, task, row_of)
    sentence = verdict.ranking(numbers, "PSNR", "dB")
    noisy = [choice for choice in chosen if str(choice.run.evaluation(task).get("default", "")).startswith("t=")]
    if sentence and noisy and task == "reconstruction" and len(numbers) > 1:
        levels = verdict.listed(list(dict.fromkeys(str(c.run.evaluation(task)["default"]) for c in noisy)))
        sentence += f" Diffusion models start from the noised image ({levels}), the others from their latent code only."
    return sentence


def show(chosen: Sequence[Choice], task: str, probe: Probe | None) -> None:
    base = originals(chosen[0], task, probe)
    assert base is not None
    ids, images = base
    other = [c for c in chosen if not same_ids(c, task, ids)]
    if other:
        st.warning(f"Not shown, because they were evaluated on other images: {theme.literal(page.names(other))}.")
    with st.container(horizontal=True, gap="large", vertical_alignment="bottom"):
        order = page.switch("Order", ORDERS, "order")
        picked = {}
        for choice in (choice for choice in chosen if choice not in other):
            options = variants(choice, task)
            label, key = f"{theme.literal(choice.label)} at", f"variant-{choice.index}"
            picked[choice] = page.switch(label, options, key, in_url=False) if len(options) > 1 else options[0]
    reconstructions = gather(picked, task)
    selected = chosen_images.selected_rows(ids)
    if selected is not None and len(selected):
        page.note(
            f"{len(selected)} of the selected images were reconstructed and are shown; clear the selection above to "
            "see all."
        )
    elif selected is not None:
        page.note("None of the selected images were reconstructed, so all are shown.")
    sequence = chosen_images.selected_or_all(ids)
    sequence = sequence[ranking(order, [model.mse[sequence] for model in reconstructions if model.colour])]
    sheet = turn(-(-len(sequence) // ACROSS))
    keep = sequence[sheet * ACROSS : (sheet + 1) * ACROSS]
    known = dict(zip(np.asarray(probe.ids()).tolist(), files.image_titles(probe), strict=True)) if probe else {}
    titles = [known.get(image, f"image {image}") for image in np.asarray(ids)[keep].tolist()]
    st.html(image_grid.sheet(rows(reconstructions, images, keep, titles)))
    highest = largest_error(reconstructions, images)
    st.html(image_grid.colour_bar("0", f"≥ {highest:.0f} / 255", "absolute error, mean over channels"))
    first = sheet * ACROSS
    page.note("click an image to enlarge it, and to compare a reconstruction with its original under a divider")
    page.note(f"PSNR in dB under each image · images {first + 1}\N{EN DASH}{first + len(keep)} of {len(sequence)}")
    page.protocol(list(picked), task)
    table(chosen, task)


def ranking(order: str, errors: Sequence[np.ndarray]) -> np.ndarray:
    """Positions in the order that was asked for; disagreement is the spread of log errors among the models."""
    logs = np.log10(np.maximum(np.stack(errors), 1e-10))
    score = {"error": logs.mean(0), "disagreement": np.ptp(logs, axis=0)}.get(order, np.zeros(logs.shape[1]))
    return np.argsort(-score, kind="stable")


def turn(pages: int) -> int:
    """Pages of images, turned by click or arrow key."""
    st.session_state["sheet"] = min(st.session_state.get("sheet", 0), pages - 1)
    if pages > 1:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.button(
                "", icon=":material/arrow_back:", key="sheet-back", on_click=step, args=(-1, pages), shortcut="Left"
            )
            st.button(
                "", icon=":material/arrow_forward:", key="sheet-on", on_click=step, args=(1, pages), shortcut="Right"
            )
            st.caption(f"page {st.session_state['sheet'] + 1} of {pages}", width="content")
    return st.session_state["sheet"]


def step(by: int, pages: int) -> None:
    st.session_state["sheet"] = (st.session_state["sheet"] + by) % pages


def largest_error(reconstructions: Sequence[Reconstruction], images: np.ndarray) -> float:
    """The end of the error scale: what 99 % of the models' pixels stay under."""
    trained = [model for model in reconstructions if model.colour]
    errors = [np.abs(model.images.astype(np.float32) - images).mean(-1) for model in trained]
    return float(max(1.0, np.percentile(np.concatenate(errors), 99)))


def rows(
    reconstructions: Sequence[Reconstruction], images: np.ndarray, keep: np.ndarray, titles: Sequence[str]
) -> list[ImageRow]:
    """Original, what the models drew, and where they erred; ``titles`` are of the images in ``keep``."""
    highest = largest_error(reconstructions, images)
    sheet = [ImageRow("original", images[keep], "held-out images", titles=titles, role="original")]
    for index, model in enumerate(reconstructions):
        first_baseline = index > 0 and not model.colour and bool(reconstructions[index - 1].colour)
        captions, colour = [psnr(float(value)) for value in model.mse[keep]], model.colour or palette.GREY
        pictures, place = model.images[keep], {"titles": titles, "role": "reconstruction"}
        sheet.append(ImageRow(model.label, pictures, model.small, captions, colour, gap=first_baseline, **place))
    for index, model in enumerate(reconstructions):
        maps, small = image_grid.error_map(images[keep], model.images[keep], highest), f"{model.small} error".strip()
        colour = model.colour or palette.GREY
        sheet.append(ImageRow(model.label, maps, small, colour=colour, gap=not index, titles=titles))
    return sheet


def table(chosen: Sequence[Choice], task: str) -> None:
    """PSNR over all held-out images."""
    table_rows: list[dict[str, Any]] = []
    for choice in chosen:
        for row in files.rows(choice.evaluation(task), metric="psnr"):
            model = choice.label if row["model"] == "run" else row["model"]
            if size := size_of(choice, row):
                model += f", {size}"
            entry = {"model": model, "at": str(row.get("variant", ""))}
            table_rows.append(entry | {"PSNR in dB (95 % interval)": files.format_row(row)})
    page.numbers(table_rows)
