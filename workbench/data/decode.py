"""Decode raw images to uint8 arrays of one size, in a pool of threads, straight into the cache."""

import hashlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rich.console import Console
from rich.progress import Progress

from workbench.data.cache import ArrayWriter
from workbench.data.sources import Part, Raw, Source
from workbench.errors import WorkbenchError
from workbench.files import encoded_names

LARGEST_DEFAULT = 64
"""Side in pixels of a folder's images, unless they all have the same smaller square size."""
MULTIPLE = 4
"""The default side is a multiple of this, so that every method's networks can halve it twice."""
_GREY_MODES = ("1", "L", "I;16")
_CHUNK = 256
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


class Form(NamedTuple):
    """Channels and side in pixels of all images of a data set."""

    channels: int
    size: int


def common_form(source: Source, size: int | None) -> Form:
    """One channel if all images are grey, else three; the given size, or the images' own (see ``LARGEST_DEFAULT``).

    Reads only the images' headers, and no more than needed.
    """
    grey, sizes = True, set[tuple[int, int]]()
    for part in source.parts.values():
        for raw in part.read():
            try:
                if isinstance(raw, np.ndarray):
                    shape, mode = (raw.shape[1], raw.shape[0]), "L" if raw.ndim == 2 or raw.shape[2] == 1 else "RGB"
                else:
                    with _opened(raw) as image:
                        shape, mode = image.size, image.mode
            except _DECODING_ERRORS:
                continue  # decoding will report it
            grey = grey and mode in _GREY_MODES
            sizes.add(shape)
            odd = len(sizes) > 1 or shape[0] != shape[1] or shape[0] > LARGEST_DEFAULT
            if not grey and (size is not None or odd):
                return Form(3, size or LARGEST_DEFAULT)
    own = next(iter(sizes)) if len(sizes) == 1 else None
    if own is None or own[0] != own[1] or own[0] > LARGEST_DEFAULT:
        own = (LARGEST_DEFAULT, LARGEST_DEFAULT)
    side = own[0] - own[0] % MULTIPLE if own[0] > MULTIPLE else own[0]
    return Form(1 if grey else 3, size or side)


def _opened(raw: Raw) -> Image.Image:
    if raw is None:
        raise ValueError("it is empty")
    if isinstance(raw, bytes):
        return Image.open(io.BytesIO(raw))
    if isinstance(raw, Path):
        return Image.open(raw)
    if isinstance(raw, np.ndarray):
        return Image.fromarray(raw[:, :, 0] if raw.ndim == 3 and raw.shape[2] == 1 else raw)
    return raw()


def decoded(raw: Raw, form: Form) -> NDArray[np.uint8]:
    """An image as uint8 (size, size, C): upright, shorter side resized to ``size``, centre crop.

    Raises:
        OSError, ValueError: it is not an image that can be decoded.
    """
    mode = "L" if form.channels == 1 else "RGB"
    with _opened(raw) as image:
        if image.format == "JPEG":
            image.draft(mode, (2 * form.size, 2 * form.size))  # the decoder may skip detail that resizing removes
        image = ImageOps.exif_transpose(image)
        if image.mode == "I;16":
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        image = image.convert(mode)
    width, height = image.size
    if (width, height) != (form.size, form.size):
        scale = form.size / min(width, height)
        width, height = max(form.size, round(width * scale)), max(form.size, round(height * scale))
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        left, top = (width - form.size) // 2, (height - form.size) // 2
        image = image.crop((left, top, left + form.size, top + form.size))
    return np.asarray(image).reshape(form.size, form.size, form.channels)


class SplitRows(NamedTuple):
    """Rows of a source's part that form one split, in the split's order."""

    part: str
    rows: NDArray[np.int64]


def decode(
    source: Source, splits: dict[str, SplitRows], form: Form, folder: Path, name: str, skip_corrupt: bool
) -> dict[str, Any]:
    """Write each split's ``.images``, ``.ids``, ``.names``, ``.labels`` and ``.factor.…`` arrays into a folder.

    Images are read in the source's order and written directly to their place in the split.

    Returns:
        ``digest``, a hash of all images, ids and labels, and ``skipped``, the names of the images left out.

    Raises:
        WorkbenchError: more images than :func:`tolerated` cannot be decoded, or none of a split can.
    """
    total = sum(len(split.rows) for split in splits.values())
    skipped: list[str] = []
    reasons: list[str] = []
    digest = hashlib.blake2b(digest_size=8)
    shape = (form.size, form.size, form.channels)
    progress = Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    with ThreadPoolExecutor(min(32, os.cpu_count() or 1)) as pool, progress, ExitStack() as files:
        task = progress.add_task(f"Decoding {name}", total=total)
        for part_name, part in source.parts.items():
            here = {name: split.rows for name, split in splits.items() if split.part == part_name}
            writers = {
                split: files.enter_context(ArrayWriter(folder / f"{split}.images.npy", shape, len(rows)))
                for split, rows in here.items()
            }
            owner, place = _destinations(len(part.ids), here)
            names = list(here)
            for index, image in _decoded_in_order(part, form, pool):
                progress.advance(task)
                if isinstance(image, Exception):
                    skipped.append(part.describe(index))
                    reasons.append(str(image))
                    if len(skipped) > tolerated(total, skip_corrupt):
                        raise corrupt_error(skipped, total, reasons[0])
                else:
                    writers[names[owner[index]]].write(int(place[index]), image)
            for split, rows in here.items():
                written, image_digest = writers[split].close()
                if not len(written):
                    raise WorkbenchError(f"None of the {split} images in {name} can be decoded; check the files.")
                _write_columns(folder, split, part, rows[written])
                digest.update(f"{split} {shape} {image_digest}".encode())
                digest.update(part.ids[rows[written]].tobytes())
                if part.labels is not None:
                    digest.update(part.labels[rows[written]].tobytes())
    return {"digest": digest.hexdigest(), "skipped": skipped}


def tolerated(total: int, skip_corrupt: bool) -> int:
    """The number of images among ``total`` that may be left out as corrupt: 1 %, at least one, or all."""
    return total if skip_corrupt else -(-total // 100)


def corrupt_error(images: Sequence[str], total: int, reason: object) -> WorkbenchError:
    """The error for more images than :func:`tolerated` that cannot be decoded; ``reason`` is the first one's."""
    words = str(reason).split(" <_io")[0].split(" '/")[0].rstrip(".")
    return WorkbenchError(
        f"More than 1 % of the {total:,} images cannot be decoded, the first is {images[0]} ({words}); "
        "replace them, or leave out any number of them with --data.skip-corrupt."
    )


def _destinations(n: int, splits: dict[str, NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each row of a part, the number of its split and its position there."""
    owner, place = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    for number, rows in enumerate(splits.values()):
        owner[rows], place[rows] = number, np.arange(len(rows))
    return owner, place


def _decoded_in_order(part: Part, form: Form, pool: ThreadPoolExecutor) -> Iterator[tuple[int, Any]]:
    def attempt(raw: Raw) -> NDArray[np.uint8] | Exception:
        try:
            return decoded(raw, form)
        except _DECODING_ERRORS as error:
            return error

    raws = iter(part.read())
    index = 0
    while chunk := list(islice(raws, _CHUNK)):
        for result in pool.map(attempt, chunk) if not isinstance(chunk[0], np.ndarray) else map(attempt, chunk):
            yield index, result
            index += 1


def _write_columns(folder: Path, split: str, part: Part, rows: NDArray[np.int64]) -> None:
    np.save(folder / f"{split}.ids.npy", part.ids[rows])
    if names := part.names:
        np.save(folder / f"{split}.names.npy", encoded_names([names[int(row)] for row in rows]))
    if part.labels is not None:
        np.save(folder / f"{split}.labels.npy", part.labels[rows])
    for name, values in part.factors.items():
        np.save(folder / f"{split}.factor.{name}.npy", values[rows])
