"""Queries for images: ``class:ring size>0.5``, ``id:10..90``, ``file:IMG_0 vae:bar``; all terms must hold."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.reading import files, predictions
from app.reading.choice import Choice
from app.state import chosen_runs, seeds
from workbench.errors import WorkbenchError
from workbench.store import Probe

SIGN = r"(?P<sign>>=|<=|[:=<>])(?P<value>.+)$"
WORD = re.compile(rf"^(?P<key>[^:=<>]+){SIGN}")
COMPARE = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}


@dataclass(frozen=True)
class ImageTable:
    """The columns of a probe set that a query can use.

    Attributes:
        ids: (n,) sample ids.
        columns: numbers (n,) by name: ``id``, ``class``, the factors, and each model's predicted classes; a model
            with the name of another column is ``… (model)``.
        classes: class names; values of the columns ``class`` and those of the models.
        models: names of the columns with predictions, which also take ``right`` and ``wrong``.
        files: (n,) names of the images' files; none where they have none.
    """

    ids: np.ndarray
    columns: Mapping[str, np.ndarray]
    classes: Sequence[str] = ()
    models: Sequence[str] = field(default_factory=tuple)
    files: Sequence[str] = field(default_factory=tuple)


def image_table(probe: Probe, chosen: Sequence[Choice]) -> ImageTable | None:
    """The columns of a probe set and of the chosen runs' linear probes, or None if the set cannot be read."""
    ids = files.matrix(probe.ids(), (None,))
    if ids is None:
        return None
    columns: dict[str, Any] = {"id": ids}
    labels, factors = files.matrix(probe.labels(), (len(ids),)), files.matrix(probe.factors(), (len(ids), None))
    classes = files.label_names(probe.info().get("classes"), labels)
    if labels is not None:
        columns["class"] = labels
    described = probe.info().get("factors")
    for index, factor in enumerate(described if isinstance(described, list) and factors is not None else []):
        if factors is not None and index < factors.shape[1] and isinstance(factor, dict) and "name" in factor:
            columns.setdefault(str(factor["name"]), factors[:, index])
    taken = {"label", "file", *(name.lower() for name in columns)}
    predicted = {choice.label: seeds.predicted(choice, ids) for choice in chosen_runs.of_probe(chosen, probe)}
    models = {
        f"{label} (model)" if label.lower() in taken else label: values
        for label, values in predicted.items()
        if values is not None and labels is not None
    }
    return ImageTable(ids, columns | models, classes, tuple(models), tuple(probe.names() or ()))


def matching_ids(text: str, known: ImageTable) -> np.ndarray:
    """Ids of the images for which every term of a query holds.

    Args:
        text: terms such as ``class:ring,bar``, ``class:3``, ``id:123``, ``size>0.5``, ``hue:0.2..0.4``,
            ``file:IMG_0`` (part of a file's name), ``mocov3:ring`` (predicted as a ring by that model) and
            ``mocov3:wrong``; names with spaces in quotes, which may contain any character.

    Raises:
        WorkbenchError: for a malformed term or an unknown name.
    """
    try:
        words = shlex.split(text)
    except ValueError:
        raise WorkbenchError(f'A quotation mark is missing in "{text}".') from None
    matches = np.full(len(known.ids), bool(words))
    for word in words:
        matches &= _holds(word, known)
    return known.ids[matches]


def _holds(word: str, known: ImageTable) -> np.ndarray:
    if known.files and word.lower().startswith("file:"):
        return np.array([word[len("file:") :].lower() in name.lower() for name in known.files])
    name, parts = _split(word, known)
    column, value = known.columns[name], parts["value"]
    if parts["sign"] in COMPARE:
        return COMPARE[parts["sign"]](column, _number(value, word))
    if name in known.models and value.lower() in ("right", "wrong"):
        right = column == known.columns["class"]
        return (right if value.lower() == "right" else ~right) & (column != predictions.UNKNOWN)
    if ".." in value:
        low, high = value.split("..", 1)
        return (column >= _number(low, word)) & (column <= _number(high, word))
    classes = known.classes if name == "class" or name in known.models else ()
    by_name = {name.lower(): index for index, name in enumerate(classes)}
    options = [value] if value.lower() in by_name else value.split(",")  # names such as "hawk, eagle" hold commas
    numbers = [by_name[part.lower()] if part.lower() in by_name else _number(part, word, classes) for part in options]
    if column.dtype.kind in "iu":
        return np.isin(column, numbers)
    return np.any(np.abs(column[:, None] - np.array(numbers)) < 1e-6, axis=1)


def _split(word: str, known: ImageTable) -> tuple[str, re.Match[str]]:
    """The column that a term begins with, and its parts; of names with signs in them the longest match counts."""
    for name in sorted(known.columns, key=lambda name: (len(name), word.startswith(name)), reverse=True):
        parts = re.match(rf"\s*{re.escape(name)}\s*{SIGN}", word, re.IGNORECASE)
        if parts is not None:
            return name, parts
    parts = WORD.match(word)
    if parts is None:
        raise WorkbenchError(f'"{word}" is not a query; write name:value, such as id:123.')
    if parts["key"].strip().lower() == "label" and "class" in known.columns:
        return "class", parts
    names = [*known.columns, *(["file"] if known.files else [])]
    raise WorkbenchError(f'Unknown name "{parts["key"]}"; known names: {", ".join(names)}.')


def cell_ids(known: ImageTable, model: str, true: int, predicted: int) -> np.ndarray:
    """Ids of the images of a true class that a model predicts as another one, both by index."""
    return known.ids[(known.columns["class"] == true) & (known.columns[model] == predicted)]


def _number(text: str, word: str, classes: Sequence[str] = ()) -> float | int:
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)  # ids have more digits than a float holds
    except ValueError:
        problem = f"is not a class; the classes are {', '.join(classes[:12])}" if classes else "is not a number"
        raise WorkbenchError(f'"{text}" in "{word}" {problem}.') from None
