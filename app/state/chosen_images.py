"""The images selected on all pages; the selection is part of the URL."""

import base64
import re
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
import streamlit as st

from app.reading import files
from app.state.chosen_runs import probes

LISTED = 12  # images; more become a bitmap if that is shorter


def write_images(images: Sequence[int], sets: Iterable[np.ndarray]) -> str:
    """Ids of images as a short text: a list, or a bitmap over the probe set that has most of them.

    Different data may have the same ids, so both forms carry the CRC-32 of the set's ids.

    Args:
        images: ids; those outside the probe set are left out, unless no set has any of them.
        sets: ids (n,) of each probe set.

    Returns:
        ``1a2b3c4d~3,10,17``, ``3,10,17`` if no probe set has them, or ``~`` and base64url of the CRC (4 bytes) and the
        deflated bitmap, the first row in the lowest bit.
    """
    wanted = np.asarray(list(images), np.int64)
    flags = [(ids, np.isin(ids, wanted)) for ids in sets]
    ids, chosen = max(flags, key=lambda pair: int(pair[1].sum()), default=(None, np.zeros(0, bool)))
    if ids is None or not chosen.any():
        return ",".join(map(str, wanted[:LISTED].tolist()))
    mark, members = _mark(ids), wanted[np.isin(wanted, ids)]
    listed = f"{mark.hex()}~{','.join(map(str, members.tolist()))}"
    if len(members) <= LISTED:
        return listed
    content = mark + zlib.compress(np.packbits(chosen, bitorder="little").tobytes(), 9)
    bitmap = "~" + base64.urlsafe_b64encode(content).decode().rstrip("=")
    return min(listed, bitmap, key=len)


def read_images(text: str, sets: Iterable[np.ndarray]) -> list[int]:
    """The inverse of :func:`write_images`; malformed parts and ids of another probe set are left out."""
    if not text.startswith("~"):
        mark, _, listed = text.rpartition("~")  # links of earlier versions have no mark
        if mark and mark not in (_mark(ids).hex() for ids in sets):
            return []
        parts = (part for part in listed.split(",") if re.fullmatch(r"-?[0-9]{1,18}", part))
        return list(dict.fromkeys(map(int, parts)))
    try:
        content = base64.urlsafe_b64decode(text[1:] + "=" * (-len(text[1:]) % 4))
    except ValueError:
        return []
    for ids in sets:
        size = -(-len(ids) // 8)
        try:
            bits = zlib.decompressobj().decompress(content[4:], size + 1)
        except zlib.error:
            return []
        if content[:4] == _mark(ids) and len(bits) == size:
            flags = np.unpackbits(np.frombuffer(bits, np.uint8), count=len(ids), bitorder="little")
            return ids[flags.astype(bool)].tolist()
    return []


def _mark(ids: np.ndarray) -> bytes:
    return zlib.crc32(np.ascontiguousarray(ids, "<i8").tobytes()).to_bytes(4, "little")


def _probe_ids() -> list[np.ndarray]:
    """Ids (n,) of the first probe set of the chosen runs, in a list; empty without one."""
    return [np.asarray(ids) for probe in probes()[:1] if (ids := files.matrix(probe.ids(), (None,))) is not None]


def images_text() -> str:
    """The selection as written in the URL, which may be of images that the chosen runs do not have."""
    text = st.query_params.get("images", st.session_state.get("images", ""))
    _keep(text)
    return text


def selected_ids() -> list[int]:
    """Ids of the selected images, of one probe set on every page."""
    text = images_text()
    return read_images(text, _probe_ids() if "~" in text else ())


def selected_rows(ids: np.ndarray) -> np.ndarray | None:
    """Rows (m,) of the selected images in an array of ids: None without a selection, empty if none of it is there."""
    selected = selected_ids()
    return np.flatnonzero(np.isin(ids, selected)) if selected else None


def selected_or_all(ids: np.ndarray) -> np.ndarray:
    """Rows (m,) of the selected images in an array of ids (n,), or all rows if none of them is there."""
    rows = selected_rows(ids)
    return rows if rows is not None and len(rows) else np.arange(len(ids))


def select_images(ids: Iterable[int]) -> None:
    """Select images on all pages."""
    chosen = [int(image) for image in ids]
    _keep(write_images(chosen, _probe_ids() if chosen else ()))


def _keep(text: str) -> None:
    """Write the selection into the URL and into the session, which survives a change of pages."""
    st.session_state["images"] = text
    if text and st.query_params.get("images") != text:
        st.query_params["images"] = text
    elif not text and "images" in st.query_params:
        del st.query_params["images"]
