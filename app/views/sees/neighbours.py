"""Neighbours: what does it retrieve?"""

from collections.abc import Sequence
from html import escape
from typing import Any
from urllib.parse import urlencode

import numpy as np
import streamlit as st

from app import component
from app.figures import image_grid
from app.figures.dots import Dot, DotPanel, by_model
from app.reading import files, neighbours, verdict
from app.reading.choice import Choice
from app.reading.neighbours import ProbeSet, Retriever
from app.state import chosen_images, chosen_runs, feature_space
from app.widgets import gaps, page, subset, verdicts
from workbench import palette
from workbench.format import finite_number
from workbench.store import Probe

TITLE = "Neighbours"
QUESTION = "Which images are nearest to a query image?"
EVALUATIONS = ("retrieval",)
K, QUERIES, SIDE, SMALL = 10, 8, 64, 40
KEY = "neighbours"
STYLE = """<style>
.wb-query {display: grid; gap: 5px 10px; width: max-content; align-items: center; padding: 3px 3px 1.4rem;}
.wb-query figure {margin: 0; text-align: center;}
.wb-query figcaption {color: var(--wb-muted); font-size: .72rem; line-height: 1.3; white-space: nowrap;
  overflow: hidden;}
.wb-query img {display: block; border-radius: 2px; margin: 0 auto;}
.wb-query a {text-decoration: none;}
.wb-query .wb-asked {align-self: start; padding-right: 14px;}
.wb-asked figcaption {white-space: normal;}
.wb-right img {box-shadow: 0 0 0 3px #009E73;} .wb-wrong img {box-shadow: 0 0 0 3px #D55E00;}
.wb-right figcaption, .wb-wrong figcaption {padding-top: 3px;}
.wb-share {padding-left: .6rem; font-size: .86rem; font-variant-numeric: tabular-nums; white-space: nowrap;}
</style>"""


def render() -> None:
    comparable, probe = gaps.comparable(chosen_runs.choices())
    known = neighbours.probe_set(probe)
    chosen, missing = gaps.split(comparable, "retrieval", lambda choice: known and stored(choice, known))
    if chosen and known and probe:
        page.verdict(verdict.ranking(verdicts.headlines(chosen, "retrieval"), f"mAP@{K}", "%"))
        with st.container(horizontal=True, gap="large", vertical_alignment="bottom"):
            how = page.space_switch()
            rows = queries(known)
            untrained = st.toggle("Untrained networks", value=True, key="untrained-rows", bind="query-params")
        models = retrievers(subset.subset_of(chosen), probe, known.ids, how, untrained)
        st.html(STYLE)
        component.links("".join(block(row, models, known) for row in rows), KEY, clicked)
        marks = "click an image to use it as the query, its magnifier to enlarge it"
        if known.labels is not None:
            marks += " · \N{CHECK MARK} green: same class as the query, \N{MULTIPLICATION X} red: another class"
        page.note(marks)
        page.details(f"{K} nearest probe images by cosine similarity, excluding the query")
        precision(chosen, how)
    gaps.explain(missing, "retrieval")


def stored(choice: Choice, known: ProbeSet) -> bool:
    """Whether the run's neighbours are there, in its default space at least."""
    space = feature_space.space_of(choice, choice.run.evaluation("retrieval"), "default")
    return neighbours.run_retriever(choice, space, known.ids).nearest is not None


def retrievers(chosen: Sequence[Choice], probe: Probe, ids: np.ndarray, how: str, untrained: bool) -> list[Retriever]:
    """The models, then pixels and the untrained networks, as far as their neighbours are stored."""
    read = [(choice, feature_space.space_of(choice, choice.evaluation("retrieval"), how)) for choice in chosen]
    models = [neighbours.run_retriever(choice, space, ids) for choice, space in read]
    models.append(neighbours.pixels_retriever(probe, ids, chosen))
    if untrained:
        models += [neighbours.untrained_retriever(choice, space, ids) for choice, space in read]
    return [model for model in models if model.nearest is not None]


def queries(known: ProbeSet) -> list[int]:
    """Rows of the queries: the one that was clicked or typed, the selected images, or some at random."""
    query = st.text_input("Query", key="query", placeholder="id of an image", bind="query-params", width=160)
    rows = np.flatnonzero(known.ids.astype(str) == (query.split() or [""])[0])  # links had the class after the id
    if len(rows):
        st.button("Show several queries", on_click=ask)
        return [int(rows[0])]
    if query:
        st.caption("No image with this id in the probe set.")
    chosen = chosen_images.selected_rows(known.ids)
    if chosen is not None and len(chosen):
        return [int(row) for row in chosen[:QUERIES]]
    st.button("Others", icon=":material/casino:", on_click=draw_others, help="Draw other random images")
    generator = np.random.default_rng(st.session_state.get("neighbours-draw", 0))
    return sorted(int(row) for row in generator.choice(len(known.ids), min(QUERIES, len(known.ids)), replace=False))


def ask(image: str = "") -> None:
    """Make an image the query, by id, or several."""
    st.session_state["query"] = image


def clicked() -> None:
    """Make the image that was clicked the query."""
    image = st.session_state[KEY].get("link")
    if isinstance(image, str):
        ask(image)


def draw_others() -> None:
    st.session_state["neighbours-draw"] = st.session_state.get("neighbours-draw", 0) + 1


def image_name(row: int, known: ProbeSet) -> str:
    """An image in words."""
    return f"{known.titles[row]} {known.label(row)}".strip()


def link(row: int, known: ProbeSet) -> str:
    """The address of this page with an image as the query."""
    return "?" + urlencode(st.query_params.to_dict() | {"query": str(known.ids[row])})


def block(query: int, models: Sequence[Retriever], known: ProbeSet) -> str:
    """A query on the left, a row of neighbours per model."""
    name = escape(known.label(query))
    image = image_grid.tag(known.images[query], image_grid.SIDE, known.titles[query])
    title = f"<b>{name}</b><br>" if name else ""
    cells = [
        f'<figure class="wb-asked" style="grid-row: 1 / span {len(models)}">{image}'
        f"<figcaption>{title}{escape(known.titles[query])}</figcaption></figure>"
    ]
    for model in models:
        assert model.nearest is not None
        nearest, side = model.nearest[query, :K], SMALL if model.colour == palette.GREY else SIDE
        dot = f'<span class="wb-dot" style="background:{model.colour}"></span>'
        small = f"<small>{escape(model.small)}</small>" if model.small else ""
        cells.append(f'<div class="wb-row">{dot} {escape(model.label)}{small}</div>')
        cells += [neighbour(int(row), query, known, side) for row in nearest]
        cells += ["<span></span>"] * (K - len(nearest))
        cells.append(f'<div class="wb-share">{share(nearest, query, known)}</div>')
    columns = f"grid-template-columns: 120px 150px repeat({K}, {SIDE}px) auto"
    return f'<div class="wb-sheet"><div class="wb-query" style="{columns}">{"".join(cells)}</div></div>'


def neighbour(row: int, query: int, known: ProbeSet, side: int) -> str:
    """A retrieved image, framed and marked by whether it is of the query's class."""
    kind = caption = ""
    if known.labels is not None:
        right = known.labels[row] == known.labels[query]
        kind = "wb-right" if right else "wb-wrong"
        caption = f"{chr(0x2713) if right else chr(0x2715)} {escape(known.label(row))}"
    image = image_grid.tag(known.images[row], side, image_name(row, known))
    target = escape(link(row, known))
    link_to = f'<a href="{target}" data-link="{known.ids[row]}">{image}</a>'
    glass = '<button type="button" class="wb-magnify" title="Enlarge" aria-label="Enlarge"></button>'
    return f'<figure class="wb-magnified {kind}">{link_to}{glass}<figcaption>{caption}</figcaption></figure>'


def share(nearest: np.ndarray, query: int, known: ProbeSet) -> str:
    """How many of the neighbours are of the query's class, in words."""
    if known.labels is None:
        return ""
    return f"{int((known.labels[nearest] == known.labels[query]).sum())} of {len(nearest)}"


def precision(chosen: Sequence[Choice], how: str) -> None:
    """mAP@10 with intervals."""
    measured = [choice for choice in chosen if files.rows(choice.evaluation("retrieval"), model="run")]
    if not measured:
        return page.note("Precision needs labels, and this data set has none.")
    st.subheader("Mean average precision over all queries", anchor=False)
    dots, ticks, pixels = [], {}, {}
    for choice in measured:
        evaluation = choice.evaluation("retrieval")
        main = feature_space.space_of(choice, evaluation, how)
        for row in files.rows(evaluation, model="run"):
            space = row.get("space")
            dots.append(Dot(choice.label, choice.colour, row["value"], *files.bounds(row), str(space), space == main))
        for row in files.rows(evaluation, space=main):
            if row["model"].startswith("untrained"):
                ticks[choice.label] = row["value"]
        for row in files.rows(evaluation, model="pixels"):
            pixels["pixels"] = row["value"]
    best = {dot.label: dot.value for dot in dots if dot.main}
    order = sorted(dict.fromkeys(dot.label for dot in dots), key=lambda label: -best.get(label, 0.0))
    panel = DotPanel(f"mAP@{K} in %", dots, pixels, ticks)
    page.chart(by_model([panel], order), "retrieval-dots", "mean average precision by model with intervals")
    page.note("large dot: mAP with its 95 % interval · grey line: untrained network · dotted line: pixels")
    page.protocol(measured, "retrieval", "large dot: the space shown above, small dots: the model's other spaces")
    page.numbers(numbers(measured))


def numbers(chosen: Sequence[Choice]) -> list[dict[str, Any]]:
    """Every row of the evaluations."""
    table: list[dict[str, Any]] = []
    for choice in chosen:
        for row in files.rows(choice.evaluation("retrieval")):
            model = row["model"] if row["model"] == "pixels" else choice.label
            model += " untrained" if row["model"].startswith("untrained") else ""
            entry = {"model": model, "space": str(row.get("space", "")), "dimension": finite_number(row.get("dim"))}
            table.append(entry | {f"mAP@{K} in % (95 % interval)": files.format_row(row)})
    return table
