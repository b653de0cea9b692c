"""Where images come from: built-in sets, torchvision's, folders and Parquet files, all as the same few parts.

A source says what there is before anything is decoded: ids, labels and a way to read the raw images in order.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from workbench.data import shapes
from workbench.data.hashing import text_hash
from workbench.errors import WorkbenchError

Raw = bytes | Path | NDArray[np.uint8] | Callable[[], Image.Image] | None
"""An image before decoding: a file's bytes, its path, an array (H, W) or (H, W, C), or a way to get it."""

EXTENSIONS = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"))
_TEST_NAMES = ("test", "val", "valid", "validation")
_IMAGE_COLUMNS = ("image", "img", "image.bytes", "img.bytes")
_LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target")
_PART_OFFSET = 10**9


@dataclass(frozen=True)
class Part:
    """The images of one published split, before decoding.

    Attributes:
        ids: (N,) int64, stable.
        labels: (N,) int64 or None.
        read: yields the N raw images in order.
        describe: what to call an image in an error message, by its position.
        factors: known factors, (N,) float32 by name.
    """

    ids: NDArray[np.int64]
    labels: NDArray[np.int64] | None
    read: Callable[[], Iterator[Raw]]
    describe: Callable[[int], str]
    factors: dict[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """A data set before decoding: its parts, ``"train"`` and perhaps ``"test"``, and the names of its classes."""

    parts: dict[str, Part]
    classes: list[str] | None


def indexed_ids(part: str, n: int) -> NDArray[np.int64]:
    """Ids (N,) of images known by their index: the index in train, a billion more in test, two in unlabelled."""
    offset = ("train", "test", "unlabelled").index(part) * _PART_OFFSET
    return np.arange(n, dtype=np.int64) + offset


def path_id(relative: str) -> int:
    """The id of an image known by its path within the data: 52 bits, exact in JSON and JavaScript."""
    return text_hash(relative) % 2**52


def _array_part(part: str, images: NDArray[np.uint8], labels: Any, factors: dict[str, Any] | None = None) -> Part:
    return Part(
        ids=indexed_ids(part, len(images)),
        labels=None if labels is None else np.asarray(labels, dtype=np.int64),
        read=lambda: iter(images),
        describe=lambda index: f"{index} of {part}",
        factors=factors or {},
    )


def shapes_source() -> Source:
    """The generated data set ``shapes``."""
    parts = {}
    for part in ("train", "test"):
        made = shapes.generate(part)
        parts[part] = _array_part(part, made.images, made.labels, made.factors)
    return Source(parts, list(shapes.CLASSES))


def digits_source() -> Source:
    """scikit-learn's handwritten digits, 8 x 8 pixels in 17 grey levels."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return Source({"train": _array_part("train", images, bunch.target)}, [str(digit) for digit in range(10)])


def torchvision_source(name: str, root: Path, download: bool, unlabelled: bool) -> Source:
    """A data set of torchvision's, from ``root`` or, if allowed, from the network.

    Raises:
        WorkbenchError: it is not there and may not be or cannot be downloaded.
    """
    from torchvision import datasets as published

    def get(kind: Any, **arguments: Any) -> Any:
        try:
            return kind(root, download=False, **arguments)
        except (RuntimeError, OSError):
            pass
        if not download:
            raise WorkbenchError(
                f'The data set "{name}" is not in {root}; add --download to fetch it, or set $WORKBENCH_CACHE to '
                "the folder that has it."
            )
        try:
            root.mkdir(parents=True, exist_ok=True)
            return kind(root, download=True, **arguments)
        except Exception as error:  # torchvision raises whatever its downloader and archive readers raise
            raise WorkbenchError(
                f'The download of "{name}" into {root} failed ({_first_line(error)}); check the network and the free '
                "space and try again."
            ) from None

    def arrays(part: str, data: Any, labels: Any) -> Part:
        return _array_part(part, np.asarray(data, dtype=np.uint8), labels)

    def photos(part: str, *sets: Any) -> Part:
        items = [(images, index) for images in sets for index in range(len(images))]

        def opened(images: Any, index: int) -> Callable[[], Image.Image]:
            return lambda: images[index][0]

        return Part(
            ids=indexed_ids(part, len(items)),
            labels=np.array([label for images in sets for label in images._labels], dtype=np.int64),
            read=lambda: (opened(images, index) for images, index in items),
            describe=lambda index: f"{index} of {name}'s {part}",
        )

    if name in ("cifar10", "cifar100", "mnist", "fashion_mnist"):
        kind = {
            "cifar10": published.CIFAR10,
            "cifar100": published.CIFAR100,
            "mnist": published.MNIST,
            "fashion_mnist": published.FashionMNIST,
        }[name]
        train, test = get(kind, train=True), get(kind, train=False)
        parts = {"train": arrays("train", train.data, train.targets), "test": arrays("test", test.data, test.targets)}
        classes = train.classes
    elif name == "stl10":
        test = get(published.STL10, split="test")
        part = "unlabelled" if unlabelled else "train"
        train = get(published.STL10, split="unlabeled" if unlabelled else "train")
        parts = {
            "train": arrays(part, train.data.transpose(0, 2, 3, 1), None if unlabelled else train.labels),
            "test": arrays("test", test.data.transpose(0, 2, 3, 1), test.labels),
        }
        classes = test.classes
    elif name == "flowers102":
        train, val, test = (get(published.Flowers102, split=split) for split in ("train", "val", "test"))
        parts = {"train": photos("train", train, val), "test": photos("test", test)}
        classes = getattr(train, "classes", None) or [str(number) for number in range(102)]
    else:
        train, test = (get(published.OxfordIIITPet, split=split) for split in ("trainval", "test"))
        parts = {"train": photos("train", train), "test": photos("test", test)}
        classes = train.classes
    return Source(parts, [str(label) for label in classes])


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def image_files(folder: Path) -> list[Path]:
    """All image files under a folder by their extension, relative to it, sorted; hidden ones are left out."""
    found: list[str] = []
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        place = os.path.relpath(where, folder)
        found += [
            os.path.normpath(os.path.join(place, name))
            for name in names
            if os.path.splitext(name)[1].lower() in EXTENSIONS and not name.startswith(".")
        ]
    return [Path(name) for name in sorted(found)]


def folder_parts(folder: Path) -> dict[str, list[Path]]:
    """The image files of a folder, relative to it, as ``"train"`` and, where it has a folder for it, ``"test"``.

    Raises:
        WorkbenchError: there are none.
    """
    files = image_files(folder)
    by_top: dict[str, list[Path]] = {}
    for path in files:
        by_top.setdefault(path.parts[0] if len(path.parts) > 1 else "", []).append(path)
    if not files:
        raise WorkbenchError(
            f"There are no images in {folder}; expected files such as .jpg, .png or .webp, in class folders or not, "
            "or .parquet files."
        )
    if "train" not in by_top:
        return {"train": files}
    held_out = next((name for name in _TEST_NAMES if name in by_top), None)
    return {"train": by_top["train"]} | ({"test": by_top[held_out]} if held_out else {})


def folder_source(folder: Path, parts: dict[str, list[Path]]) -> Source:
    """The images of a folder; a class is the name of the folder that the images of a part are sorted into.

    A part with images outside class folders, or with fewer than two classes over all, leaves the whole unlabelled.
    """
    depth = dict.fromkeys(parts, 0 if _unsplit(parts) else 1)
    sorted_in = all(len(path.parts) > depth[part] + 1 for part, paths in parts.items() for path in paths)
    classes = sorted({path.parts[depth[part]] for part, paths in parts.items() for path in paths})
    labelled = sorted_in and len(classes) > 1

    def part_of(name: str, paths: list[Path]) -> Part:
        labels = [classes.index(path.parts[depth[name]]) for path in paths] if labelled else None
        return Part(
            ids=np.array([path_id(path.as_posix()) for path in paths], dtype=np.int64),
            labels=None if labels is None else np.array(labels, dtype=np.int64),
            read=lambda: (folder / path for path in paths),
            describe=lambda index: str(folder / paths[index]),
        )

    return Source({name: part_of(name, paths) for name, paths in parts.items()}, classes if labelled else None)


def _unsplit(parts: dict[str, list[Path]]) -> bool:
    """Whether the files stand in the folder itself rather than in one folder per part."""
    return any(len(path.parts) == 1 or path.parts[0] != "train" for path in parts["train"])


def parquet_parts(path: Path) -> dict[str, list[Path]]:
    """The Parquet files of a path, as ``"train"`` and, where file names say so, ``"test"``; empty if there are none."""
    if path.is_file():
        return {"train": [path]}
    files = sorted(file for file in path.rglob("*.parquet") if not file.name.startswith("."))
    train = [file for file in files if file.name.startswith("train")]
    for name in _TEST_NAMES:
        test = [file for file in files if file.name.startswith(name)]
        if train and test:
            return {"train": train, "test": test}
    return {"train": train or files} if files else {}


def parquet_source(parts: dict[str, list[Path]]) -> Source:
    """The images of Parquet files in Hugging Face's layout: a column of image bytes and perhaps one of labels.

    Raises:
        WorkbenchError: a file is not Parquet, or has no column of images.
    """
    first = parts["train"][0]
    schema = _schema(first)
    image, label = _image_column(schema, first), _label_column(schema)
    values: dict[str, Any] = {}
    counts: dict[str, list[int]] = {}
    for name, files in parts.items():
        for file in files:
            other = _schema(file)
            missing = [column for column in (image, label) if column is not None and column not in other.names]
            if missing:
                raise WorkbenchError(f'{file} lacks the column "{missing[0]}" that {first} has; make them alike.')
        counts[name] = [pq.ParquetFile(file).metadata.num_rows for file in files]
        if label is not None:
            tables = [pq.ParquetFile(file).read(columns=[label]) for file in files]
            values[name] = np.array([value for table in tables for value in table[label].to_pylist()], dtype=object)
        if not sum(counts[name]):
            raise WorkbenchError(f"There are no images in {', '.join(map(str, files))}; the table is empty.")
    labels, classes = _numbered(values, _published_names(schema, label), first)

    def part_of(name: str, files: list[Path]) -> Part:
        ends = np.cumsum(counts[name])

        def describe(index: int) -> str:
            file = int(np.searchsorted(ends, index, side="right"))
            return f"in row {index - (ends[file] - counts[name][file])} of {files[file]}"

        return Part(
            ids=indexed_ids(name, int(ends[-1])),
            labels=labels.get(name),
            read=lambda: _image_bytes(files, image),
            describe=describe,
        )

    return Source({name: part_of(name, files) for name, files in parts.items()}, classes)


def _schema(file: Path) -> pa.Schema:
    try:
        return pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise WorkbenchError(f"{file} cannot be read as Parquet ({_first_line(error)}); check or replace it.") from None


def _has_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and any(kind.field(i).name == "bytes" for i in range(kind.num_fields))


def _is_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _image_column(schema: pa.Schema, file: Path) -> str:
    usable = [
        name for name in schema.names if _has_bytes(schema.field(name).type) or _is_bytes(schema.field(name).type)
    ]
    named = [name for name in _IMAGE_COLUMNS if name in usable]
    structs = [name for name in usable if _has_bytes(schema.field(name).type)]
    flattened = [name for name in usable if name.endswith(".bytes") or name == "bytes"]
    for name in (*named, *structs, *flattened):
        return name
    raise WorkbenchError(
        f'{file} has no column of images (columns: {", ".join(schema.names)}); expected "image" or "img" with a field '
        '"bytes", as Hugging Face writes it.'
    )


def _label_column(schema: pa.Schema) -> str | None:
    for name in _LABEL_COLUMNS:
        if name in schema.names:
            kind = schema.field(name).type
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
                return name
            if pa.types.is_string(kind) or pa.types.is_large_string(kind):
                return name
    return None


def _published_names(schema: pa.Schema, label: str | None) -> list[str] | None:
    """Class names from the metadata that Hugging Face's ``datasets`` writes into a Parquet file."""
    try:
        info = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        names = info["info"]["features"][label]["names"]
    except (ValueError, KeyError, TypeError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def _numbered(
    values: dict[str, Any], names: list[str] | None, file: Path
) -> tuple[dict[str, NDArray[np.int64]], list[str] | None]:
    """Labels as positions in the list of classes; none where all are missing (null or -1, Hugging Face's mark)."""
    values = {part: column for part, column in values.items() if any(value not in (None, -1) for value in column)}
    if "train" not in values:
        values = {}
    if not values:
        return {}, None
    if any(value is None for column in values.values() for value in column):
        raise WorkbenchError(f"Some labels in {file.parent} are missing; fill them in or drop the label column.")
    distinct = sorted({value for column in values.values() for value in column})
    if names is not None and all(isinstance(value, int) and 0 <= value < len(names) for value in distinct):
        return {part: column.astype(np.int64) for part, column in values.items()}, names
    position = {value: number for number, value in enumerate(distinct)}
    labels = {part: np.array([position[value] for value in column], dtype=np.int64) for part, column in values.items()}
    return labels, [str(value) for value in distinct]


def _image_bytes(files: Sequence[Path], column: str) -> Iterator[Raw]:
    for file in files:
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(batch_size=256, columns=[column]):
                cells = batch.column(0)
                if pa.types.is_struct(cells.type):
                    cells = cells.field("bytes")
                yield from cells.to_pylist()
