"""Embeddings: what is near what?"""

from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from app import look, maps, pictures, pieces, reading, selection
from app.selection import Choice
from workbench.store import Probe

TITLE = "What is near what?"
MOST = 4
SHOWN = 24
KINDS = {"tsne": "t-SNE", "pca": "PCA"}


def spaces_with(choice: Choice, kind: str) -> list[str]:
    """Spaces of a run that have a map of this kind."""
    names = reading.spaces(choice.run.evaluation("projection"))
    return [space for space in names if reading.matrix(choice.run.array(f"{kind}-{space}"), (None, 2)) is not None]


def pixel_map(probe: Probe, kind: str) -> np.ndarray | None:
    """The map of raw pixels (n, 2), or None where there is none of this probe set."""
    ids = probe.ids()
    return None if ids is None else reading.matrix(reading.baselines(probe).array(f"{kind}-pixels"), (len(ids), 2))


def render() -> None:
    comparable, probe = pieces.same_probe(selection.choices())
    kind = st.session_state.get("map") or "tsne"
    chosen, missing = pieces.having(
        comparable, "projection", lambda choice, _: probe is not None and spaces_with(choice, kind)
    )
    if chosen and probe is not None:
        info = probe.info()
        factors = [factor for factor in info.get("factors") or [] if isinstance(factor, dict) and "name" in factor]
        names = (["label"] if probe.labels() is not None else []) + [
            str(factor["name"]) for factor in factors if probe.factors() is not None
        ]
        with st.container(horizontal=True, gap="large", vertical_alignment="bottom"):
            st.segmented_control(
                "Map",
                list(KINDS),
                format_func=KINDS.__getitem__,
                default="tsne",
                required=True,
                key="map",
                bind="query-params",
            )
            by = None
            if names:
                by = st.segmented_control(
                    "Colour", names, default=names[0], required=True, key="colour", bind="query-params"
                )
            pixels, few = pixel_map(probe, kind), len(chosen) < MOST
            if pixels is not None:
                key = "pixels" if few else "pixels-too"  # the URL leaves out what is the default, and that differs
                pixels = pixels if st.toggle("Raw pixels, too", value=few, key=key, bind="query-params") else None
        selected = selection.images()
        colour = colouring(probe, by or "")
        st.html(legend(colour))
        shown = chosen[:MOST]
        places = pieces.columns_of(len(shown) + (pixels is not None))
        for place, choice in zip(places, shown, strict=False):
            with place:
                pieces.name(choice.label, choice.colour)
                draw(choice, kind, probe, colour, selected, pieces.side_of(len(places)))
        if pixels is not None:
            with places[-1]:
                pieces.name("pixels", look.GREY)
                # Empty, so that the maps stand at one height.
                st.selectbox("Space", ["no network"], key="map-space", disabled=True, label_visibility="collapsed")
                side, alt = pieces.side_of(len(places)), f"{KINDS[kind]} of pixels"
                figure(pixels, f"map-{kind}-pixels", alt, probe, colour, selected, side)
                explained(reading.baselines(probe).evaluation("projection"), kind, "pixels")
        if len(chosen) > MOST:
            pieces.note(f"The first {MOST} of {len(chosen)} models are drawn; remove a chip above to see another.")
        pieces.note(
            pieces.protocol(
                chosen,
                "projection",
                "circle points with the lasso or click one: the same images light up in every map",
            )
        )
        images(probe, selected)
    pieces.lacking(missing, "projection")


def colouring(probe: Probe, name: str) -> dict[str, Any]:
    """What points are coloured by, as arguments of :func:`app.maps.scatter`."""
    labels, factors = probe.labels(), probe.factors()
    if name == "label" and labels is not None:
        n = max(int(labels.max()) + 1, len(probe.info().get("classes") or []))
        return {"labels": np.asarray(labels), "classes": reading.class_names(probe.info().get("classes"), n)}
    for index, factor in enumerate(probe.info().get("factors") or []):
        if factor.get("name") == name and factors is not None and factors.ndim == 2 and index < factors.shape[1]:
            values = np.asarray(factors[:, index])
            if factor.get("kind") == "categorical":
                whole = values.astype(int)
                return {"labels": whole, "classes": [str(value) for value in range(whole.max() + 1)]}
            return {"values": values, "circular": factor.get("kind") == "circular"}
    return {}


def legend(colour: dict[str, Any]) -> str:
    """What the colours mean, once for all maps."""
    if "values" in colour:
        low, high = colour["values"].min(), colour["values"].max()
        return pictures.colour_bar(
            f"{low:.3g}", f"{high:.3g}", "", look.CIRCULAR if colour["circular"] else look.MAGNITUDE
        )
    if "labels" not in colour:
        return ""
    return pictures.class_legend({int(index): colour["classes"][int(index)] for index in np.unique(colour["labels"])})


def draw(choice: Choice, kind: str, probe: Probe, colour: dict[str, Any], selected: list[int], side: int) -> None:
    """One model's map of ``side`` pixels, with its space above."""
    options = spaces_with(choice, kind)
    space = st.selectbox("Space", options, key=f"map-space-{choice.index}", label_visibility="collapsed")
    points, ids = choice.run.array(f"{kind}-{space}"), probe.ids()
    if points is None or ids is None or len(points) != len(ids):
        pieces.empty("This map is of another probe set", "", pieces.evaluate_command([choice]))
        return
    alt = f"{KINDS[kind]} of {choice.label}"
    figure(np.asarray(points), f"map-{kind}-{choice.index}", alt, probe, colour, selected, side)
    explained(choice.run.evaluation("projection"), kind, space)


def figure(
    points: np.ndarray, key: str, alt: str, probe: Probe, colour: dict[str, Any], selected: list[int], side: int
) -> None:
    """A map whose circled images become the selection."""
    st.plotly_chart(
        maps.scatter(points, np.asarray(probe.ids()), selected=selected, height=side, **colour),
        key=key,
        config={"displaylogo": False, "scrollZoom": True},
        alt=alt,
        on_select=partial(circled, key),
        selection_mode=("points", "lasso", "box"),
    )


def explained(evaluation: dict[str, Any], kind: str, space: str) -> None:
    """How much of the variance the two principal components hold."""
    found = evaluation.get("explained")
    parts = reading.matrix(found.get(space), (2,)) if kind == "pca" and isinstance(found, dict) else None
    if parts is not None and np.isfinite(parts).all():
        pieces.note("explained variance: " + " + ".join(f"{100 * part:.0f} %" for part in parts))


def circled(key: str) -> None:
    """Take over the images that were circled in one of the maps."""
    points = st.session_state[key]["selection"]["points"]
    selection.select_images(point["customdata"][0] for point in points if point.get("customdata"))


def images(probe: Probe, selected: list[int]) -> None:
    """The selected images below the maps."""
    thumbnails, ids, labels = probe.images(), probe.ids(), probe.labels()
    if not selected or thumbnails is None or ids is None:
        return
    found = np.flatnonzero(np.isin(ids, selected))[:SHOWN]
    if not len(found):
        pieces.note("The selected images are not in this probe set.")
        return
    st.subheader("The selected images", anchor=False)
    names = reading.class_names(probe.info().get("classes"), len(probe.info().get("classes") or []))
    captions = [
        f"{names[int(labels[i])] if labels is not None and int(labels[i]) < len(names) else 'image'} · {int(ids[i])}"
        for i in found
    ]
    pieces.thumbnails(np.asarray(thumbnails[found]), captions)
    if len(selected) > SHOWN:
        pieces.note(f"the first {SHOWN} of {len(selected)}")
