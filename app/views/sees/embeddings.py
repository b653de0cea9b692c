"""Embeddings: what is near what?"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import streamlit as st

from app import component
from app.figures import image_grid, point_colours
from app.reading import files, map_neighbours
from app.reading.choice import Choice
from app.reading.verdict import Measured, ranking
from app.state import appearance, chosen_images, chosen_runs, seeds
from app.widgets import gaps, linked_maps, page, subset
from workbench.store import Probe

TITLE = "Embeddings"
QUESTION = "Which images are close in feature space?"
EVALUATIONS = ("projection",)
THUMBNAILS = 24
KEY = "maps"


def kinds_of(chosen: Sequence[Choice]) -> list[str]:
    """The kinds of map that any run has, t-SNE at least."""
    drawn = [kind for kind in linked_maps.KINDS if any(linked_maps.spaces_with(choice, kind) for choice in chosen)]
    return [kind for kind in linked_maps.KINDS if kind == "tsne" or kind in drawn]


def pixel_map(probe: Probe, kind: str) -> np.ndarray | None:
    """The map of raw pixels (n, 2), or None where there is none of this probe set."""
    ids = probe.ids()
    return None if ids is None else files.matrix(files.baselines(probe).array(f"{kind}-pixels"), (len(ids), 2))


def render() -> None:
    comparable, probe = gaps.comparable(chosen_runs.choices())
    kind = st.session_state.get("map") or "tsne"
    chosen, missing = gaps.split(
        comparable, "projection", lambda choice: probe is not None and linked_maps.spaces_with(choice, kind)
    )
    if probe is not None and (chosen or kind != "tsne"):
        maps(chosen, comparable, kind, probe)
    gaps.explain(missing, "projection")


def maps(chosen: Sequence[Choice], comparable: Sequence[Choice], kind: str, probe: Probe) -> None:
    """The controls, the maps of at most four models and of pixels, and the selected images."""
    ids = np.asarray(probe.ids())
    drawn_runs = subset.subset_of(chosen, linked_maps.MOST)
    page.verdict(answer(drawn_runs, kind, probe))
    predicted = {choice.run.id: seeds.predicted(choice, ids) for choice in drawn_runs}
    with st.container(horizontal=True, gap="large", vertical_alignment="bottom"):
        page.switch("Map", {kind: linked_maps.KINDS[kind] for kind in kinds_of(comparable)}, "map")
        names = point_colours.options(probe, any(classes is not None for classes in predicted.values()))
        by = page.switch("Colour", names, "colour") if names else ""
        pixels, few = pixel_map(probe, kind), len(chosen) < linked_maps.MOST
        if pixels is not None:
            key = "pixels" if few else "pixels-too"  # the URL leaves out what is the default, and that differs
            pixels = pixels if st.toggle("Show raw pixels", value=few, key=key, bind="query-params") else None
    if not chosen:
        return
    colours = point_colours.colouring(probe, by, len(ids), appearance.dark())
    panes = [linked_maps.pane(choice, kind, probe, colours) for choice in drawn_runs]
    if pixels is not None:
        panes.append(linked_maps.pixel_pane(pixels, kind, probe, colours, drawn_runs))
    component.show(linked_maps.payload(probe, panes, colours), KEY, partial(circled, probe), asked_for_sheet)
    page.note(
        "click or lasso images to select them on all pages · Shift: add · Escape: clear · wheel: zoom · Enlarge: one "
        "map with the selected images beside it"
    )
    page.protocol(
        chosen,
        "projection",
        f"neighbours of the same class, and those kept: of the {map_neighbours.K} nearest images in the map, mean over "
        "images with its 95 % interval (Student's t), in the default space",
        "right button: pan",
    )
    images(probe)


def answer(chosen: Sequence[Choice], kind: str, probe: Probe) -> str:
    """Whose map keeps classes together, and how far it keeps the neighbours of the features."""
    known = [(choice, found) for choice in chosen if (found := map_neighbours.measure(choice, kind, probe)) is not None]
    name = linked_maps.KINDS[kind]
    purity = [Measured(choice.label, *found.purity) for choice, found in known if found.purity]
    kept = [(choice.label, found.retained) for choice, found in known if found.retained]
    parts = [ranking(purity, f"share of same-class neighbours in its {name} map", "%")] if purity else []
    if kept:
        shares = ", ".join(f"{share.value:.0f} % ({label})" for label, share in kept)
        parts.append(
            f"Share of the {map_neighbours.K} nearest neighbours in feature space that are also nearest on the map: "
            f"{shares}."
        )
    return " ".join(parts)


def circled(probe: Probe) -> None:
    """Take over the images that were selected in one of the maps."""
    ids = np.asarray(probe.ids())
    chosen_images.select_images(ids[component.rows(st.session_state[KEY].get("selected"), len(ids))])


def asked_for_sheet() -> None:
    """Send a sheet of images from now on."""
    sheet = st.session_state[KEY].get("sheet")
    if isinstance(sheet, int) and not isinstance(sheet, bool):
        st.session_state["sheets"] = st.session_state.get("sheets", set()) | {sheet}


def images(probe: Probe) -> None:
    """The selected images below the maps."""
    thumbnails, ids, labels = probe.images(), np.asarray(probe.ids()), probe.labels()
    rows = chosen_images.selected_rows(ids)
    if rows is None or thumbnails is None:
        return
    if not len(rows):
        page.note("The selected images are not in this probe set.")
        return
    st.subheader("Selected images", anchor=False)
    names = files.label_names(probe.info().get("classes"))
    sample = rows[np.linspace(0, len(rows) - 1, min(len(rows), THUMBNAILS)).round().astype(int)]
    titles = files.image_titles(probe)
    captions = [
        f"{names[int(labels[i])]} · {titles[i]}" if labels is not None and int(labels[i]) < len(names) else titles[i]
        for i in sample
    ]
    st.html(image_grid.wrapped_tiles(np.asarray(thumbnails[sample]), captions))
    if len(rows) > THUMBNAILS:
        page.note(f"{THUMBNAILS} of {len(rows):,}, evenly spaced by class")
