"""Images in Parquet files, in Hugging Face's layout: a column of image bytes and perhaps one of labels."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from workbench.data.sources import HELD_OUT, Part, Raw, Source, indexed_ids
from workbench.errors import WorkbenchError, first_line

_IMAGE_COLUMNS = ("image", "img", "image.bytes", "img.bytes")
_LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target")


def parquet_parts(path: Path) -> dict[str, list[Path]]:
    """The Parquet files of a path, as ``"train"`` and, by their names, ``"test"``; empty if there are none."""
    if path.is_file():
        return {"train": [path]}
    files = sorted(file for file in path.rglob("*.parquet") if not file.name.startswith("."))
    train = [file for file in files if file.name.startswith("train")]
    for name in HELD_OUT:
        test = [file for file in files if file.name.startswith(name)]
        if train and test:
            return {"train": train, "test": test}
    return {"train": train or files} if files else {}


def parquet_source(parts: dict[str, list[Path]]) -> Source:
    """The images of Parquet files.

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

        ids = indexed_ids(name, int(ends[-1]))
        read = partial(_image_bytes, files, image)
        return Part(ids, labels.get(name), read, describe, names=_file_names(files, image))

    return Source({name: part_of(name, files) for name, files in parts.items()}, classes)


def _schema(file: Path) -> pa.Schema:
    try:
        return pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise WorkbenchError(f"{file} cannot be read as Parquet ({first_line(error)}); check or replace it.") from None


def _has_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and any(kind.field(i).name == "bytes" for i in range(kind.num_fields))


def _image_column(schema: pa.Schema, file: Path) -> str:
    kinds = {name: schema.field(name).type for name in schema.names}
    structs = [name for name, kind in kinds.items() if _has_bytes(kind)]
    plain = [name for name, kind in kinds.items() if pa.types.is_binary(kind) or pa.types.is_large_binary(kind)]
    usable = [name for name in schema.names if name in structs or name in plain]
    named = [name for name in _IMAGE_COLUMNS if name in usable]
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
            tests = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string)
            if any(test(kind) for test in tests):
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
    """Labels as positions in the list of classes; none if all are missing (null, or Hugging Face's -1)."""
    values = {part: column for part, column in values.items() if any(value not in (None, -1) for value in column)}
    if "train" not in values:
        return {}, None
    if any(value is None for column in values.values() for value in column):
        raise WorkbenchError(f"Some labels in {file.parent} are missing; fill them in or drop the label column.")
    distinct = sorted({value for column in values.values() for value in column})
    if names is not None and all(isinstance(value, int) and 0 <= value < len(names) for value in distinct):
        return {part: column.astype(np.int64) for part, column in values.items()}, names
    position = {value: number for number, value in enumerate(distinct)}
    labels = {part: np.array([position[value] for value in column], dtype=np.int64) for part, column in values.items()}
    return labels, [str(value) for value in distinct]


def _file_names(files: Sequence[Path], column: str) -> list[str] | None:
    """The file names that Hugging Face's layout keeps beside the bytes, or None where an image has none."""
    names: list[str] = []
    for file in files:
        nested = _has_bytes(_schema(file).field(column).type)
        field = f"{column}.path" if nested else column.removesuffix("bytes") + "path"
        table = pq.ParquetFile(file).read(columns=[field])
        if not table.num_columns:
            return None
        cells = table.column(0).combine_chunks()
        values = (cells.field("path") if nested else cells).to_pylist()
        if not all(isinstance(value, str) and value for value in values):
            return None
        names += values
    return names


def _image_bytes(files: Sequence[Path], column: str) -> Iterator[Raw]:
    for file in files:
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(batch_size=256, columns=[column]):
                cells = batch.column(0)
                if pa.types.is_struct(cells.type):
                    cells = cells.field("bytes")
                yield from cells.to_pylist()
