"""Embeddings: what is near what?"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from app import component
from app.figures import image_grid, point_colours
from app.figures.point_colours import Colouring
from app.reading import files, predictions
from app.reading.choice import Choice
from app.state import chosen_images, chosen_runs
from app.widgets import gaps, page
from workbench import palette
from workbench.format import finite_number
from workbench.store import Probe, Run

TITLE = "What is near what?"
MOST = 4
THUMBNAILS = 24
KINDS = {"tsne": "t-SNE", "pca": "PCA", "umap": "UMAP"}
KEY = "maps"
TILE, COLUMNS, ROWS = 48, 32, 32  # pixels of a tile at most, and tiles of a sheet
AT_ONCE = 4  # sheets that are sent unasked


def spaces_with(choice: Choice, kind: str) -> list[str]:
    """Spaces of a run that have a map of this kind."""
    names = files.spaces(choice.run.evaluation("projection"))
    return [space for space in names if files.matrix(choice.run.array(f"{kind}-{space}"), (None, 2)) is not None]


def kinds_of(chosen: Sequence[Choice]) -> list[str]:
    """The kinds of map that any run has, t-SNE at least."""
    return [kind for kind in KINDS if kind == "tsne" or any(spaces_with(choice, kind) for choice in chosen)]


def pixel_map(probe: Probe, kind: str) -> np.ndarray | None:
    """The map of raw pixels (n, 2), or None where there is none of this probe set."""
    ids = probe.ids()
    return None if ids is None else files.matrix(files.baselines(probe).array(f"{kind}-pixels"), (len(ids), 2))


def render() -> None:
    comparable, probe = gaps.comparable(chosen_runs.choices())
    kind = st.session_state.get("map") or "tsne"
    chosen, missing = gaps.split(
        comparable, "projection", lambda choice, _: probe is not None and spaces_with(choice, kind)
    )
    if probe is not None and (chosen or kind != "tsne"):
        maps(chosen, comparable, kind, probe)
    gaps.explain(missing, "projection")


def maps(chosen: Sequence[Choice], comparable: Sequence[Choice], kind: str, probe: Probe) -> None:
    """The controls, the maps of at most four models and of pixels, and the selected images."""
    ids = np.asarray(probe.ids())
    drawn_runs = chosen[:MOST]
    predicted = {choice.run.id: predictions.of_run(choice.run, ids) for choice in drawn_runs}
    with st.container(horizontal=True, gap="large", vertical_alignment="bottom"):
        page.switch("Map", {kind: KINDS[kind] for kind in kinds_of(comparable)}, "map")
        names = point_colours.options(probe, any(classes is not None for classes in predicted.values()))
        by = page.switch("Colour", names, "colour") if names else ""
        pixels, few = pixel_map(probe, kind), len(chosen) < MOST
        if pixels is not None:
            key = "pixels" if few else "pixels-too"  # the URL leaves out what is the default, and that differs
            pixels = pixels if st.toggle("Raw pixels, too", value=few, key=key, bind="query-params") else None
    if not chosen:
        return
    colours = point_colours.colouring(probe, by, len(ids))
    panes = [pane(choice, kind, probe, colours) for choice in drawn_runs]
    if pixels is not None:
        panes.append(pixel_pane(pixels, kind, probe, colours, drawn_runs))
    component.show(payload(probe, panes, colours), KEY, partial(circled, probe), asked_for_sheet)
    if len(chosen) > MOST:
        page.note(f"The first {MOST} of {len(chosen)} models are drawn; remove a chip above to see another.")
    page.protocol(
        chosen,
        "projection",
        "circle images or click one: they light up in every map and on every page · Shift adds, Escape clears · "
        "wheel: zoom, right button: move",
    )
    images(probe)


def pane(choice: Choice, kind: str, probe: Probe, colours: Colouring) -> dict[str, Any]:
    """One model's maps, one per space, as the component wants them."""
    ids, evaluation = np.asarray(probe.ids()), choice.run.evaluation("projection")
    entries = []
    for space in spaces_with(choice, kind):
        points = np.asarray(choice.run.array(f"{kind}-{space}"))
        if len(points) != len(ids):
            continue
        name = f"{choice.index}-{space}"
        entry: dict[str, Any] = {"name": space, "points": component.file(component.positions(points), f"{kind}-{name}")}
        entry["note"] = explained(evaluation, kind, space)
        entry |= own_codes(colours, probe, predictions.of_run(choice.run, ids, space), name)
        near = neighbour_rows(choice.run, space, ids)
        if near is not None:
            entry["neighbours"] = component.file(near.astype("<u4").tobytes(), f"neighbours-{name}")
        entry["frames"] = frames(choice.run, evaluation, kind, space, len(ids), name)
        entries.append(entry)
    if not entries:
        lost = {"name": "its map is of another probe set", "points": None, "note": "evaluate it again", "frames": []}
        entries = [lost | {"points": component.file(component.positions(np.full((len(ids), 2), np.nan)), "lost")}]
    return {
        "name": choice.label,
        "colour": choice.colour,
        "alt": f"{KINDS[kind]} of {choice.label}",
        "spaces": entries,
    }


def pixel_pane(
    points: np.ndarray, kind: str, probe: Probe, colours: Colouring, chosen: Sequence[Choice]
) -> dict[str, Any]:
    """The map of raw pixels."""
    ids, evaluation = np.asarray(probe.ids()), files.baselines(probe).evaluation("projection")
    entry = {"name": "no network", "points": component.file(component.positions(points), f"{kind}-pixels")}
    entry["note"] = explained(evaluation, kind, "pixels")
    entry |= own_codes(colours, probe, predictions.of_pixels(ids, chosen), "pixels")
    near = neighbour_rows(files.baselines(probe), "pixels", ids)
    if near is not None:
        entry["neighbours"] = component.file(near.astype("<u4").tobytes(), "neighbours-pixels")
    return {"name": "pixels", "colour": palette.GREY, "alt": f"{KINDS[kind]} of pixels", "spaces": [entry]}


def own_codes(colours: Colouring, probe: Probe, predicted: np.ndarray | None, name: str) -> dict[str, str]:
    """The codes of a map that is coloured by its own model's errors."""
    labels = files.matrix(probe.labels(), (None,))
    if colours.codes is not None or labels is None:
        return {}
    return {"codes": component.file(point_colours.errors(labels, predicted).astype("<u2").tobytes(), f"errors-{name}")}


def neighbour_rows(owner: Run | Probe, space: str, ids: np.ndarray) -> np.ndarray | None:
    """Rows (n, k) of each image's nearest in the features, nearest first, or None where evaluation has not told."""
    near = files.matrix(owner.array(f"neighbours-{space}"), (len(ids), None))
    if near is None:
        return None
    order = np.argsort(ids, kind="stable")
    place = np.searchsorted(ids[order], near).clip(0, len(ids) - 1)
    return order[place] if (ids[order][place] == near).all() else None


def frames(run: Run, evaluation: dict[str, Any], kind: str, space: str, n: int, name: str) -> list[dict[str, Any]]:
    """The maps of a space at the run's snapshots, by the share of training that was done."""
    snapshots, entries = [], evaluation.get("snapshots")
    for entry in entries if isinstance(entries, list) else []:
        step = entry.get("step") if isinstance(entry, dict) else None
        share = finite_number(entry.get("share")) if isinstance(entry, dict) else None
        points = files.matrix(run.array(f"{kind}-{space}-step-{step}"), (n, 2))
        if share is not None and points is not None:
            address = component.file(component.positions(points), f"{kind}-{name}-{step}")
            snapshots.append({"share": share, "step": step, "points": address})
    return sorted(snapshots, key=lambda entry: entry["share"]) if len(snapshots) > 1 else []


def payload(probe: Probe, panes: list[dict[str, Any]], colours: Colouring) -> dict[str, Any]:
    """All that the component is told."""
    ids = np.asarray(probe.ids())
    labels, known = files.matrix(probe.labels(), (len(ids),)), probe.info().get("classes")
    classes = [] if labels is None else files.class_names(known, max(int(labels.max()) + 1, len(known or [])))
    codes = np.full(len(ids), LAST) if labels is None else np.where(labels < 0, LAST, labels)
    common = ids.astype("<i8").tobytes() + codes.astype("<u2").tobytes()
    values = None if colours.values is None else component.file(colours.values.astype("<f4").tobytes(), "values")
    shared = None if colours.codes is None else component.file(colours.codes.astype("<u2").tobytes(), "codes")
    width = len(panes) if len(panes) <= MOST else 3
    return {
        "n": len(ids),
        "common": component.file(common, "common"),
        "classes": classes,
        "by": colours.name,
        "palette": list(colours.styles),
        "ramp": colours.ramp,
        "values": values,
        "codes": shared,
        "shared": colours.codes is not None,
        "tiles": sheets(probe),
        "selected": component.bitmap(chosen_images.selected_rows(ids), len(ids)),
        "columns": max(width, 2),
        "panes": panes,
    }


LAST = 65535  # the label of an image that has none


def sheets(probe: Probe) -> dict[str, Any]:
    """Where the sheets of small images are: all of a few, of many those that were asked for."""
    images = files.pictures(probe.images())
    layout = {"side": TILE, "columns": COLUMNS, "rows": ROWS, "sheets": {}, "many": False}
    if images is None:
        return layout
    count = -(-len(images) // (COLUMNS * ROWS))
    try:
        modified = (probe.path / "probe.json").stat().st_mtime_ns  # which is written after the images
    except OSError:
        modified = 0
    requested = st.session_state.get("sheets", set())
    wanted = [sheet for sheet in range(count) if count <= AT_ONCE or sheet in requested]
    addresses = {
        sheet: component.file(drawn_sheet(probe.path, modified, sheet), f"sheet-{sheet}", "image/webp")
        for sheet in wanted
    }
    return layout | {"side": min(TILE, images.shape[1]), "sheets": addresses, "many": count > AT_ONCE}


@st.cache_data(max_entries=64, show_spinner=False)
def drawn_sheet(folder: Path, modified: int, sheet: int) -> bytes:
    """A sheet of the probe set's images as WebP; drawn again only where the set has changed."""
    images = Probe(folder).images()
    assert images is not None
    part = np.asarray(images[sheet * COLUMNS * ROWS : (sheet + 1) * COLUMNS * ROWS])
    return image_grid.tiles(part, min(TILE, part.shape[1]), COLUMNS)


def explained(evaluation: dict[str, Any], kind: str, space: str) -> str:
    """How much of the variance the two principal components hold."""
    shares = evaluation.get("explained")
    parts = files.matrix(shares.get(space), (2,)) if kind == "pca" and isinstance(shares, dict) else None
    if parts is None or not np.isfinite(parts).all():
        return ""
    return "explained variance: " + " + ".join(f"{100 * part:.0f} %" for part in parts)


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
    st.subheader("The selected images", anchor=False)
    names = files.class_names(probe.info().get("classes"), len(probe.info().get("classes") or []))
    sample = rows[np.linspace(0, len(rows) - 1, min(len(rows), THUMBNAILS)).round().astype(int)]
    captions = [
        f"{names[int(labels[i])] if labels is not None and int(labels[i]) < len(names) else 'image'} · {int(ids[i])}"
        for i in sample
    ]
    st.html(image_grid.wrapped_tiles(np.asarray(thumbnails[sample]), captions))
    if len(rows) > THUMBNAILS:
        page.note(f"{THUMBNAILS} of {len(rows):,}, evenly spread over the classes")
