"""What a browser does itself: links that keep the session, curves that zoom together, the maps of the page Embeddings.

The maps are one component that draws all of them in the browser and links them there.

What it is told goes over in two ways: small things as JSON with every rerun, arrays and images as files whose address
changes with their content, so that a browser fetches each once. What it tells is rows of the probe set, as a bitmap.
"""

import base64
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from streamlit import runtime
from streamlit.components.v2 import component

FOLDER = Path(__file__).parent
SCRIPTS = ("raster.js", "geometry.js", "keep.js", "pane.js", "gallery.js", "stage.js")
LOST = 65535  # the coordinate of a point that has none


@cache
def _renderer() -> Callable[..., Any]:
    read = {
        name: (FOLDER / name).read_text(encoding="utf-8") for name in (*SCRIPTS, "embeddings.html", "embeddings.css")
    }
    script = "\n".join(read[name] for name in SCRIPTS)  # one module, since a component has one script
    return component("workbench.embeddings", html=read["embeddings.html"], css=read["embeddings.css"], js=script)


def show(data: dict[str, Any], key: str, selected: Callable[[], None], sheet: Callable[[], None]) -> None:
    """Place the component on the page.

    Args:
        data: what ``app.views.sees.embeddings`` puts together.
        selected: called when images were selected; ``st.session_state[key]["selected"]`` is their bitmap.
        sheet: called when images are needed whose sheet has no address yet; its number is in ``["sheet"]``.
    """
    _renderer()(key=key, data=data, on_selected_change=selected, on_sheet_change=sheet)


@cache
def _linker() -> Callable[..., Any]:
    script = (FOLDER / "links.js").read_text(encoding="utf-8")
    return component("workbench.links", html='<div class="wb-links"></div>', js=script, isolate_styles=False)


def links(html: str, key: str, clicked: Callable[[], None]) -> None:
    """HTML on the page in which a click on an element with ``data-link`` reruns the page and does not load it anew.

    Args:
        html: what is drawn; trusted, so names in it have to be escaped.
        clicked: called at a click; ``st.session_state[key]["link"]`` is the element's ``data-link``.
    """
    _linker()(key=key, data={"html": html}, on_link_change=clicked)


@cache
def _linked_curves() -> Callable[..., Any]:
    script = (FOLDER / "linked_curves.js").read_text(encoding="utf-8")
    html = '<div class="wb-curves" role="figure"></div>'
    return component("workbench.linked_curves", html=html, js=script, isolate_styles=False)


@cache
def _plotly() -> bytes:
    return get_plotlyjs().encode()


def linked_curves(figure: go.Figure, key: str, alt: str, whole: float, zoomed: Callable[[], None]) -> None:
    """A figure over training; a drag along x zooms all of them on the page in the browser, without the server.

    Args:
        alt: what the figure shows, for screen readers.
        whole: end of the x axis that shows the whole training.
        zoomed: called after a zoom; ``st.session_state[key]["zoom"]`` holds both ends of the x axis, or nothing.
    """
    library = file(_plotly(), "plotly.js", "text/javascript")
    data = {"figure": figure.to_json(), "alt": alt, "whole": whole, "library": library}
    _linked_curves()(key=key, data=data, on_zoom_change=zoomed)


def file(content: bytes, name: str, kind: str = "application/octet-stream") -> str:
    """The address of a file that the server keeps for as long as the page shows it."""
    return runtime.get_instance().media_file_mgr.add(content, kind, f"workbench-{name}")


def positions(points: np.ndarray) -> bytes:
    """Points (n, 2) as uint16 pairs in a square that holds them all, their proportions kept; 65535 is no number."""
    points = np.asarray(points, np.float64)
    known = np.all(np.isfinite(points), axis=1)
    if not known.any():
        return np.full(points.shape, LOST, "<u2").tobytes()
    low, high = points[known].min(0), points[known].max(0)
    span = float((high - low).max()) or 1.0
    scaled = 0.5 + (np.where(known[:, None], points, 0) - (low + high) / 2) / span
    return np.where(known[:, None], (scaled * (LOST - 1)).round(), LOST).astype("<u2").tobytes()


def bitmap(rows: np.ndarray | None, n: int) -> str:
    """Rows below ``n`` as base64, the first row in the lowest bit; nothing where there are none."""
    if rows is None or not len(rows):
        return ""
    flags = np.zeros(n, bool)
    flags[rows] = True
    return base64.b64encode(np.packbits(flags, bitorder="little").tobytes()).decode()


def rows(text: Any, n: int) -> np.ndarray:
    """The inverse of :func:`bitmap`; a bitmap of another length is none."""
    try:
        content = base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        return np.zeros(0, np.int64)
    if len(content) != -(-n // 8):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.unpackbits(np.frombuffer(content, np.uint8), count=n, bitorder="little"))
