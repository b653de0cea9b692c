"""Where is it: a probe of the class at every layer of every model."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app.figures import image_grid
from app.figures.dots import Dot, DotPanel, by_model
from app.figures.layer_map import LayerGrid, Row, best_row, layer_grid, layer_map, validation
from app.reading import files, verdict
from app.reading.choice import Choice
from app.state.seeds import seed_groups
from app.widgets import gaps, page, subset
from workbench.format import finite_number

TITLE = "Layers"
QUESTION = "Which layers give the best linear probe?"
EVALUATIONS = ("layers",)
WIDTHS = {"full": "full width", "128": "128 dimensions", "32": "32 dimensions"}
SHORT = {"full": "at full width", "128": "at 128 dimensions", "32": "at 32 dimensions"}


def render() -> None:
    chosen, missing, _ = gaps.with_evaluation("layers", lambda choice: layers(choice, "full"))
    if chosen:
        page.verdict(verdict.ranking(best_layers(chosen), "linear probe accuracy", "%"))
        width = page.switch("Feature dimensions", WIDTHS, "layer-width")
        draw_maps(subset.subset_of(chosen, single=False, subject="Maps show"), width)
        draw_best(chosen)
        page.details(
            "large dot: best layer on validation images, with its 95 % interval on test images · small dots: other "
            "layers · "
            "grey line: best layer of the same network untrained · equal width by PCA, since wider features have an "
            "advantage",
            page.measured(chosen, "layers", groups=seed_groups(chosen, "layers")),
        )
        page.numbers(numbers(chosen), height=420)
    gaps.explain(missing, "layers")


def best_layers(chosen: Sequence[Choice]) -> list[verdict.Measured]:
    """Each model's best layer by validation, at full width."""
    best = {choice: row for choice in chosen if (row := best_row(layers(choice, "full")))}
    return [
        verdict.Measured(f"{c.label} ({row['space']})", row["value"], *files.bounds(row)) for c, row in best.items()
    ]


def layers(choice: Choice, width: str, model: str = "run") -> list[Row]:
    """The rows of one width that name their layer, in order through the network; ``untrained`` is any such model."""
    rows = files.rows(choice.evaluation("layers"))
    rows = [row for row in rows if row["model"].split(":")[0] == model and str(row.get("width")) == width]
    rows = [row for row in rows if isinstance(row.get("layer"), str) and isinstance(row.get("space"), str)]
    return sorted(rows, key=lambda row: finite_number(row.get("depth")) or 0)


def draw_maps(chosen: Sequence[Choice], width: str) -> None:
    """One map per model, on one colour scale."""
    grids: dict[Choice, tuple[LayerGrid, Row]] = {}
    for choice in chosen:
        trained, pixels = layers(choice, width), layers(choice, width, "pixels")
        if (ringed := best_row(trained)) is not None:
            cells = layer_grid(trained, layers(choice, width, "untrained"), pixels[0] if pixels else None)
            grids[choice] = cells, ringed
    values = [row["value"] for cells, _ in grids.values() for row in cells.cells.values()]
    if grids:
        low, high = min(values), max(values)
        st.html(image_grid.colour_bar(f"{low:.0f}", f"{high:.0f} %", "linear probe, top-1"))
        for choice, (cells, ringed) in page.side_by_side(grids.items()):
            page.heading(choice.label, choice.colour, f"best: {ringed['space']}, {ringed['value']:.0f} %")
            figure = layer_map(cells, ringed, low, max(high, low + 1))
            page.chart(figure, f"layers-{choice.index}", f"accuracy by layer of {choice.label}")
        page.note(
            "layers from input (top) to output (bottom) · circle: best layer · right of the gap: pixels, untrained"
        )
        page.details(
            "circle: best layer on validation images; all numbers are on test images · right of the gap: raw pixels "
            "and "
            "the same network untrained · one colour scale for all models"
        )
    narrow = [choice.label for choice in chosen if choice not in grids]
    if narrow:
        page.note(f"{', '.join(narrow)}: no layer has that many dimensions.")


def draw_best(chosen: Sequence[Choice]) -> None:
    """The best layer of every model at each width."""
    st.subheader("Best layer by model", anchor=False)
    panels = [panel for width in WIDTHS if (panel := best_panel(chosen, width)).dots]
    scores = {choice: best_row(layers(choice, "full")) for choice in chosen}
    order = sorted(chosen, key=lambda choice: -float((scores[choice] or {"value": 0})["value"]))
    page.chart(by_model(panels, [choice.label for choice in order]), "best-layers", "best layer at each width")
    page.note("large dot: best layer with its 95 % interval · grey line: untrained network · dotted line: pixels")


def best_panel(chosen: Sequence[Choice], width: str) -> DotPanel:
    dots, ticks, pixels = [], {}, []
    for choice in chosen:
        rows = layers(choice, width)
        main = best_row(rows)
        for row in rows:
            bounds = files.bounds(row) if row is main else (None, None)
            dots.append(Dot(choice.label, choice.colour, row["value"], *bounds, row["space"], row is main))
        if untrained := best_row(layers(choice, width, "untrained")):
            ticks[choice.label] = untrained["value"]
        pixels += [row["value"] for row in layers(choice, width, "pixels")]
    return DotPanel(f"top-1 {SHORT[width]}, %", dots, {"pixels": max(pixels)} if pixels else {}, ticks)


def numbers(chosen: Sequence[Choice]) -> list[dict[str, Any]]:
    """Every row, at every width."""
    return [
        {
            "model": choice.label if model == "run" else row["model"],
            "space": row["space"],
            "width": width,
            "dimension": finite_number(row.get("dim")),
            "validation, %": round(validation(row), 1),
            "test, % (95 % interval)": files.format_row(row),
        }
        for choice in chosen
        for model in ("run", "untrained", "pixels")
        for width in WIDTHS
        for row in layers(choice, width, model)
    ]
