"""What the linked maps are drawn from: points, colours, neighbours, snapshots and small images of each model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from app import component
from app.figures import image_grid, point_colours
from app.figures.point_colours import Colouring
from app.reading import files, neighbours, predictions
from app.reading.choice import Choice
from app.state import chosen_images
from workbench import palette
from workbench.format import finite_number
from workbench.store import Probe, Run

MOST = 4
KINDS = {"tsne": "t-SNE", "pca": "PCA", "umap": "UMAP"}
TILE, COLUMNS, ROWS = 48, 32, 32  # pixels of a tile at most, and tiles of a sheet
AT_ONCE = 4  # sheets that are sent unasked


def spaces_with(choice: Choice, kind: str) -> list[str]:
    """Spaces of a run that have a map of this kind."""
    names = files.spaces(choice.run.evaluation("projection"))
    return [space for space in names if files.matrix(choice.run.array(f"{kind}-{space}"), (None, 2)) is not None]


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
        near = neighbours.probe_rows(choice.run.array(f"neighbours-{space}"), ids)
        if near is not None:
            entry["neighbours"] = component.file(near.astype("<u4").tobytes(), f"neighbours-{name}")
        entry["frames"] = frames(choice.run, evaluation, kind, space, len(ids), name)
        entries.append(entry)
    if not entries:
        lost = {"name": "map of another probe set", "points": None, "note": "evaluate it again", "frames": []}
        entries = [lost | {"points": component.file(component.positions(np.full((len(ids), 2), np.nan)), "lost")}]
    entry = {"name": choice.label, "colour": choice.colour, "spaces": entries}
    return entry | {"alt": f"{KINDS[kind]} of {choice.label}"}


def pixel_pane(
    points: np.ndarray, kind: str, probe: Probe, colours: Colouring, chosen: Sequence[Choice]
) -> dict[str, Any]:
    """The map of raw pixels."""
    ids, evaluation = np.asarray(probe.ids()), files.baselines(probe).evaluation("projection")
    entry = {"name": "pixels", "points": component.file(component.positions(points), f"{kind}-pixels")}
    entry["note"] = explained(evaluation, kind, "pixels")
    entry |= own_codes(colours, probe, predictions.of_pixels(ids, chosen), "pixels")
    near = neighbours.probe_rows(files.baselines(probe).array("neighbours-pixels"), ids)
    if near is not None:
        entry["neighbours"] = component.file(near.astype("<u4").tobytes(), "neighbours-pixels")
    return {"name": "pixels", "colour": palette.GREY, "alt": f"{KINDS[kind]} of pixels", "spaces": [entry]}


def own_codes(colours: Colouring, probe: Probe, predicted: np.ndarray | None, name: str) -> dict[str, str]:
    """The codes of a map that is coloured by its own model's errors."""
    labels = files.matrix(probe.labels(), (None,))
    if colours.codes is not None or labels is None:
        return {}
    return {"codes": component.file(point_colours.errors(labels, predicted).astype("<u2").tobytes(), f"errors-{name}")}


def frames(run: Run, evaluation: dict[str, Any], kind: str, space: str, n: int, name: str) -> list[dict[str, Any]]:
    """The maps of a space at the run's snapshots, by the share of training that was done."""
    snapshots = []
    for entry in files.entries(evaluation, "snapshots"):
        step, share = entry.get("step"), finite_number(entry.get("share"))
        points = files.matrix(run.array(f"{kind}-{space}-step-{step}"), (n, 2))
        if share is not None and points is not None:
            address = component.file(component.positions(points), f"{kind}-{name}-{step}")
            snapshots.append({"share": share, "step": step, "points": address})
    return sorted(snapshots, key=lambda entry: entry["share"]) if len(snapshots) > 1 else []


def payload(probe: Probe, panes: list[dict[str, Any]], colours: Colouring) -> dict[str, Any]:
    """All that the component is told."""
    ids = np.asarray(probe.ids())
    labels = files.matrix(probe.labels(), (len(ids),))
    classes = [] if labels is None else files.label_names(probe.info().get("classes"), labels)
    codes = np.full(len(ids), LAST) if labels is None else np.where(labels < 0, LAST, labels)
    common = ids.astype("<i8").tobytes() + codes.astype("<u2").tobytes()
    values = None if colours.values is None else component.file(colours.values.astype("<f4").tobytes(), "values")
    shared = None if colours.codes is None else component.file(colours.codes.astype("<u2").tobytes(), "codes")
    names = probe.names()
    width = len(panes) if len(panes) <= MOST else 3
    return {
        "n": len(ids),
        "common": component.file(common, "common"),
        "classes": classes,
        "names": component.file("\0".join(names).encode(), "names") if names else None,
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
    drawn = {sheet: drawn_sheet(probe.path, modified, sheet) for sheet in wanted}
    addresses = {sheet: component.file(data, f"sheet-{sheet}", "image/webp") for sheet, data in drawn.items()}
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
    parts = files.matrix(files.section(evaluation, "explained").get(space), (2,)) if kind == "pca" else None
    if parts is None or not np.isfinite(parts).all():
        return ""
    return "explained variance: " + " + ".join(f"{100 * part:.0f} %" for part in parts)
