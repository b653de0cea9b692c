"""Runs and their evaluations; a file that is missing, damaged or of another program is left out."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.json

from workbench.format import finite_number, format_interval
from workbench.headline import measured_rows
from workbench.store import Probe, Run, probe_of, read_json


def evaluation_time(run: Run) -> int:
    """When the run's evaluations last changed, in nanoseconds since 1970; 0 without evaluations."""
    try:
        return (run.path / "evaluations").stat().st_mtime_ns
    except OSError:
        return 0


def metrics(run: Run) -> dict[str, np.ndarray]:
    """The columns of ``metrics.jsonl``, (rows,) each, NaN where a row lacks one; cached until the file changes."""
    path = run.path / "metrics.jsonl"
    try:
        stat = path.stat()
    except OSError:
        return {}
    return _columns(run.path, stat.st_size, stat.st_mtime_ns)


def metrics_of(runs: Sequence[Run]) -> list[dict[str, np.ndarray]]:
    """The :func:`metrics` of several runs, read in parallel."""
    with ThreadPoolExecutor(4) as readers:
        return list(readers.map(metrics, runs))


class ReadOnce(Run):
    """A run whose evaluations are cached until their file changes."""

    def evaluation(self, name: str) -> dict[str, Any]:
        """One evaluation, or ``{}``; its values are shared and must not be changed."""
        path = self.path / "evaluations" / f"{name}.json"
        try:
            stat = path.stat()
        except OSError:
            return {}
        return dict(_parsed(path, stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=1024)
def _parsed(path: Path, modified: int, size: int) -> dict[str, Any]:
    return read_json(path)


@lru_cache(maxsize=256)
def _columns(folder: Path, size: int, modified: int) -> dict[str, np.ndarray]:
    """Parsed by Arrow, which releases the GIL; line by line where Arrow rejects a line."""
    try:
        text = (folder / "metrics.jsonl").read_bytes()
    except OSError:
        return {}
    whole = text[: text.rfind(b"\n") + 1]  # the last line may be half-written
    try:
        options = pyarrow.json.ReadOptions(use_threads=False, block_size=max(len(whole), 1 << 20))
        columns = _of_table(pyarrow.json.read_json(pyarrow.BufferReader(whole), read_options=options))
    except pyarrow.ArrowException:
        columns = _of_rows(Run(folder).metrics())
    for column in columns.values():
        column[np.isinf(column)] = np.nan
        column.setflags(write=False)
    return {key: column for key, column in columns.items() if not np.isnan(column).all()}


def _of_table(table: pyarrow.Table) -> dict[str, np.ndarray]:
    types = pyarrow.types
    if "step" not in table.column_names or not types.is_integer(table.column("step").type):
        raise pyarrow.ArrowInvalid("some rows have no step, or a step that is not an integer")
    if table.column("step").null_count:
        table = table.filter(table.column("step").is_valid())
    return {
        name: np.array(column.to_numpy(), dtype=np.float64)
        for name, column in zip(table.column_names, table.columns, strict=True)
        if types.is_integer(column.type) or types.is_floating(column.type)
    }


def _of_rows(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = {}
    for index, row in enumerate(rows):
        for key, value in row.items():
            if (number := finite_number(value)) is not None:
                columns.setdefault(key, np.full(len(rows), np.nan))[index] = number
    return columns


def section(content: dict[str, Any], key: str) -> dict[str, Any]:
    """A dictionary in a file; empty where the file holds anything else."""
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def entries(content: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The dictionaries in a list in a file; none where the file holds anything else."""
    values = content.get(key)
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def rows(evaluation: dict[str, Any], **where: Any) -> list[dict[str, Any]]:
    """The rows of an evaluation that have a model and a value, and whose entries equal ``where``."""
    return [
        row
        for row in measured_rows(evaluation)
        if isinstance(row.get("model"), str) and all(row.get(key) == value for key, value in where.items())
    ]


def bounds(row: dict[str, Any]) -> tuple[float | None, float | None]:
    """The ends of a row's interval, None where they are not known."""
    return finite_number(row.get("low")), finite_number(row.get("high"))


def format_row(row: dict[str, Any], alone: int = 1) -> str:
    """A row's value with its interval; see :func:`~workbench.format.format_interval`."""
    return format_interval(row["value"], *bounds(row), alone=alone)


def spaces(evaluation: dict[str, Any]) -> list[str]:
    """The spaces in which an evaluation measured the run, the default first."""
    listed = evaluation.get("spaces")
    names = [row.get("space") for row in rows(evaluation, model="run")] if listed is None else list(listed)
    names = list(dict.fromkeys(name for name in names if isinstance(name, str)))
    default = evaluation.get("default")
    return sorted(names, key=lambda name: name != default)


def default_row(evaluation: dict[str, Any], model: str = "run") -> dict[str, Any] | None:
    """A model's row of the default space, or its first."""
    measured = rows(evaluation, model=model)
    first = measured[0] if measured else None
    return next((row for row in measured if row.get("space") == evaluation.get("default")), first)


def untrained_row(evaluation: dict[str, Any]) -> dict[str, Any] | None:
    """The row of the same network with random weights: the best of its spaces."""
    measured = [row for row in rows(evaluation) if row["model"].startswith("untrained")]
    default = [row for row in measured if row.get("space") == evaluation.get("default")]
    return max(default or measured, key=lambda row: row["value"], default=None)


def matrix(array: Any, shape: tuple[int | None, ...]) -> np.ndarray | None:
    """An array of numbers of the given shape (None: any length but zero), or None if it is anything else; null in a
    list becomes NaN."""
    try:
        array = np.asarray(array)
        array = array.astype(float) if array.dtype == object else array
    except (TypeError, ValueError):
        return None
    pairs = zip(shape, array.shape, strict=False)
    fits = len(array.shape) == len(shape) and all(want in (None, have) for want, have in pairs)
    return array if fits and array.size and array.dtype.kind in "biuf" else None


def pictures(array: Any, shape: tuple[int | None, ...] = (None,)) -> np.ndarray | None:
    """An array of images, uint8 (*shape, H, W, C) with 1 or 3 channels, or None if it is anything else.

    Args:
        shape: the axes before height, width and channels; None is any length but zero.
    """
    images = matrix(array, (*shape, None, None, None))
    return images if images is not None and images.dtype == np.uint8 and images.shape[-1] in (1, 3) else None


def square(array: Any, side: int | None = None) -> np.ndarray | None:
    """A square matrix of numbers, or None."""
    table = matrix(array, (side, side))
    return table if table is not None and table.shape[0] == table.shape[1] else None


def fingerprint(run: Run) -> str:
    """The data fingerprint of a run, or an empty string."""
    return str(section(run.info(), "data").get("fingerprint", ""))


def capabilities(run: Run) -> list[str]:
    """The capabilities of a run's method beyond features."""
    names = run.info().get("capabilities")
    return names if isinstance(names, list) else []


def probe(run: Run) -> Probe | None:
    """The probe set of a run's data, or None before an evaluation has written it."""
    name = fingerprint(run)
    probe = probe_of(run.path.parent, name) if name else None
    return probe if probe is not None and probe.ids() is not None else None


def image_titles(probe: Probe) -> list[str]:
    """What the n images of a probe set are called: file names, or ``image`` and the id where they have none."""
    ids, names = np.asarray(probe.ids()).tolist(), probe.names()
    return names if names is not None and len(names) == len(ids) else [f"image {image}" for image in ids]


def baselines(probe: Probe) -> Probe:
    """The evaluations of the raw pixels of a probe set."""
    return Probe(probe.path / "baselines")


def class_names(names: Any, n: int) -> list[str]:
    """``n`` class names, or their indices if there are not ``n`` names."""
    if isinstance(names, list) and len(names) == n:
        return [str(name) for name in names]
    return [str(index) for index in range(n)]


def label_names(names: Any, labels: np.ndarray | None = None) -> list[str]:
    """All class names, or their indices if some of the labels (n,) have no name."""
    known = len(names) if isinstance(names, list) else 0
    return class_names(names, known if labels is None else max(known, int(labels.max()) + 1))
