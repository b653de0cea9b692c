"""What is being compared: up to eight runs, each with its colour, and some images. All of it stands in the URL."""

import base64
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from app import look, reading
from workbench.store import Probe, Run

MOST = 8
LISTED = 12  # images; more are written as a bitmap where that is shorter


@dataclass(frozen=True, eq=False)
class Choice:
    """A run that was chosen.

    Attributes:
        colour: its colour in every figure, as ``#rrggbb``.
        label: its name among the chosen ones.
    """

    run: Run
    index: int
    colour: str
    label: str
    summary: dict[str, Any]

    @property
    def status(self) -> str:
        return str(self.summary["status"])


def parse(text: str) -> dict[str, int]:
    """``id:colour,id:colour`` as colour index by run id, in order; what makes no sense is left out."""
    chosen: dict[str, int] = {}
    for part in text.split(","):
        run_id, _, index = part.rpartition(":")
        known = re.fullmatch(r"[0-9]", index) and int(index) < MOST
        if run_id and run_id not in chosen and known and int(index) not in chosen.values():
            chosen[run_id] = int(index)
    return dict(list(chosen.items())[:MOST])


def write(chosen: dict[str, int]) -> str:
    """The inverse of :func:`parse`; ``none`` where nothing is chosen."""
    return ",".join(f"{run_id}:{index}" for run_id, index in chosen.items()) or "none"


def recolour(run_ids: Iterable[str], before: dict[str, int]) -> dict[str, int]:
    """Runs keep the colours that they had; new ones get the first that is free."""
    wanted = list(dict.fromkeys(run_ids))
    chosen = {run_id: index for run_id, index in before.items() if run_id in wanted}
    for run_id in wanted:
        free = [index for index in range(MOST) if index not in chosen.values()]
        if run_id not in chosen and free:
            chosen[run_id] = free[0]
    return chosen


def first_choice(summaries: Sequence[dict[str, Any]]) -> dict[str, int]:
    """What is compared before anybody chose: the newest evaluated run of each method, on the newest one's data."""
    shown = [summary for summary in summaries if not summary.get("archived")]
    usable = [summary for summary in shown if summary["status"] in ("finished", "interrupted", "running")]
    best = sorted(usable, key=lambda one: (reading.number(one.get("linear")) is None, one["status"] != "finished"))
    newest: dict[str, str] = {}
    for summary in best:
        if summary.get("data") == best[0].get("data"):
            newest.setdefault(str(summary.get("method")), summary["id"])
    order = {"mocov3": 0, "vae": 1, "ddpm": 2}
    return recolour([newest[method] for method in sorted(newest, key=lambda m: (order.get(m, 9), m))[:4]], {})


def name_of(summary: dict[str, Any]) -> str:
    """A run's name or method, short, and without what a figure would read as HTML."""
    name = str(summary.get("name") or summary.get("method") or summary["id"])[:40]
    return name.replace("<", "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}")


def labels(summaries: Sequence[dict[str, Any]]) -> list[str]:
    """Short names that tell the runs apart: the name or the method, then seed, then the id's end."""
    names = [name_of(summary) for summary in summaries]
    for extra in (lambda s: f"seed {s['seed']}" if s.get("seed") is not None else "", lambda s: s["id"][-4:]):
        names = [
            f"{name} · {extra(summary)}" if names.count(name) > 1 and extra(summary) else name
            for name, summary in zip(names, summaries, strict=True)
        ]
    return names


def current() -> dict[str, int]:
    """The choice as it stands: from the URL, from before the page was changed, or :func:`first_choice`."""
    text = st.query_params.get("runs", st.session_state.get("chosen"))
    chosen = first_choice(reading.summaries(reading.runs_folder())) if text is None else parse(text)
    if chosen or text is not None:
        st.session_state["chosen"] = write(chosen)
        if st.query_params.get("runs") != write(chosen):
            st.query_params["runs"] = write(chosen)
    return chosen


def choose(run_ids: Iterable[str]) -> None:
    """Compare these runs from now on."""
    text = write(recolour(run_ids, current()))
    st.session_state["chosen"] = text
    st.query_params["runs"] = text


def choices() -> list[Choice]:
    """The chosen runs that exist."""
    folder = reading.runs_folder()
    known = {summary["id"]: summary for summary in reading.summaries(folder)}
    chosen = {run_id: index for run_id, index in current().items() if run_id in known}
    colours = look.run_colours(dark=st.context.theme.type == "dark")
    names = labels([known[run_id] for run_id in chosen])
    return [
        Choice(reading.ReadOnce(folder / run_id), index, colours[index], name, known[run_id])
        for (run_id, index), name in zip(chosen.items(), names, strict=True)
    ]


def probes(chosen: Sequence[Choice] | None = None) -> list[Probe]:
    """The different probe sets of the chosen runs, in their order; pages show images of the first."""
    found = [reading.probe(choice.run) for choice in (choices() if chosen is None else chosen)]
    return list({probe.path: probe for probe in found if probe is not None}.values())


def of_probe(chosen: Sequence[Choice], probe: Probe) -> list[Choice]:
    """The runs on a probe set's data; ids of other data may be the same numbers."""
    found = {choice: reading.probe(choice.run) for choice in chosen}
    return [choice for choice, own in found.items() if own is not None and own.path == probe.path]


def write_images(images: Sequence[int], sets: Iterable[np.ndarray]) -> str:
    """Ids of images as a short text: themselves, or a bitmap over the probe set that has most of them.

    Ids of different data may be the same numbers, so both are marked with the CRC-32 of the set's ids.

    Args:
        images: ids; those outside the probe set are left out, unless none is in any.
        sets: ids (n,) of each probe set.

    Returns:
        ``1a2b3c4d~3,10,17``, ``3,10,17`` where no probe set has them, or ``~`` and base64url of the mark (4 bytes) and
        the deflated bitmap, the first row in the lowest bit.
    """
    wanted = np.asarray(list(images), np.int64)
    flags = [(ids, np.isin(ids, wanted)) for ids in sets]
    ids, chosen = max(flags, key=lambda pair: int(pair[1].sum()), default=(None, np.zeros(0, bool)))
    if ids is None or not chosen.any():
        return ",".join(map(str, wanted[:LISTED].tolist()))
    mark, found = _mark(ids), wanted[np.isin(wanted, ids)]
    listed = f"{mark.hex()}~{','.join(map(str, found.tolist()))}"
    if len(found) <= LISTED:
        return listed
    content = mark + zlib.compress(np.packbits(chosen, bitorder="little").tobytes(), 9)
    bitmap = "~" + base64.urlsafe_b64encode(content).decode().rstrip("=")
    return min(listed, bitmap, key=len)


def read_images(text: str, sets: Iterable[np.ndarray]) -> list[int]:
    """The inverse of :func:`write_images`; what makes no sense, or is of another probe set, is left out."""
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
    """Ids (n,) of the probe set that is shown, or nothing."""
    return [np.asarray(ids) for probe in probes()[:1] if (ids := reading.matrix(probe.ids(), (None,))) is not None]


def images_text() -> str:
    """The selection as it stands in the URL, which may be of images that the chosen runs do not have."""
    text = st.query_params.get("images", st.session_state.get("images", ""))
    _keep(text)
    return text


def images() -> list[int]:
    """Ids of the selected images, of any number; of the same probe set on every page."""
    text = images_text()
    return read_images(text, _probe_ids() if "~" in text else ())


def rows(ids: np.ndarray) -> np.ndarray | None:
    """Where the selected images are in an array of ids: positions (m,) in its order, or None where no image is
    selected. Empty where images are selected and none of them is there."""
    selected = images()
    return np.flatnonzero(np.isin(ids, selected)) if selected else None


def select_images(ids: Iterable[int]) -> None:
    """Select images on all pages, as many as there are."""
    chosen = [int(image) for image in ids]
    _keep(write_images(chosen, _probe_ids() if chosen else ()))


def _keep(text: str) -> None:
    """Write the selection into the URL, and where it survives a change of pages."""
    st.session_state["images"] = text
    if text and st.query_params.get("images") != text:
        st.query_params["images"] = text
    elif not text and "images" in st.query_params:
        del st.query_params["images"]
