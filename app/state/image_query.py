"""Images by a few words: ``class:ring size>0.5``, ``id:10..90``, ``class:ring vae:bar``; all words must hold."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.reading import files, predictions
from app.reading.choice import Choice
from app.state import chosen_runs
from workbench.errors import WorkbenchError
from workbench.store import Probe

SIGN = r"(?P<sign>>=|<=|[:=<>])(?P<value>.+)$"
WORD = re.compile(rf"^(?P<key>[^:=<>]+){SIGN}")
COMPARE = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}


@dataclass(frozen=True)
class ImageTable:
    """What is known of a probe set's images.

    Attributes:
        ids: (n,) sample ids.
        columns: numbers (n,) by name: ``id``, ``class``, the factors, and each model's predicted classes; a model
            called like one of the others is ``… (model)``.
        classes: class names; words for the columns ``class`` and those of the models.
        models: names of the columns that hold predictions; they also know ``right`` and ``wrong``.
    """

    ids: np.ndarray
    columns: Mapping[str, np.ndarray]
    classes: Sequence[str] = ()
    models: Sequence[str] = field(default_factory=tuple)


def image_table(probe: Probe, chosen: Sequence[Choice]) -> ImageTable | None:
    """The table of a probe set and of what the chosen runs' linear probes say, or None where the set is unreadable."""
    ids = files.matrix(probe.ids(), (None,))
    if ids is None:
        return None
    columns: dict[str, Any] = {"id": ids}
    labels, factors = files.matrix(probe.labels(), (len(ids),)), files.matrix(probe.factors(), (len(ids), None))
    names = probe.info().get("classes")
    classes = files.class_names(names, len(names) if isinstance(names, list) else 0)
    if labels is not None:
        columns["class"] = labels
        classes = files.class_names(names, max(len(classes), int(labels.max()) + 1))
    told = probe.info().get("factors")
    for index, factor in enumerate(told if isinstance(told, list) and factors is not None else []):
        if factors is not None and index < factors.shape[1] and isinstance(factor, dict) and "name" in factor:
            columns.setdefault(str(factor["name"]), factors[:, index])
    taken = {"label", *(name.lower() for name in columns)}
    told = {choice.label: predictions.of_run(choice.run, ids) for choice in chosen_runs.of_probe(chosen, probe)}
    models = {
        f"{label} (model)" if label.lower() in taken else label: values
        for label, values in told.items()
        if values is not None and labels is not None
    }
    return ImageTable(ids, columns | models, classes, tuple(models))


def matching_ids(text: str, known: ImageTable) -> np.ndarray:
    """Ids of the images for which every word of a text holds.

    Args:
        text: words such as ``class:ring,bar``, ``class:3``, ``id:123``, ``size>0.5``, ``hue:0.2..0.4``,
            ``mocov3:ring`` (that model takes it for a ring) and ``mocov3:wrong``; names with spaces in quotes, and
            then with any sign in them.

    Raises:
        WorkbenchError: a word that makes no sense.
    """
    try:
        words = shlex.split(text)
    except ValueError:
        raise WorkbenchError(f'A quotation mark is missing in "{text}".') from None
    keep = np.full(len(known.ids), bool(words))
    for word in words:
        keep &= _holds(word, known)
    return known.ids[keep]


def _holds(word: str, known: ImageTable) -> np.ndarray:
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
    by_name = {found.lower(): index for index, found in enumerate(classes)}
    options = [value] if value.lower() in by_name else value.split(",")  # names such as "hawk, eagle" hold commas
    numbers = [by_name[one.lower()] if one.lower() in by_name else _number(one, word, classes) for one in options]
    if column.dtype.kind in "iu":
        return np.isin(column, numbers)
    return np.any(np.abs(column[:, None] - np.array(numbers)) < 1e-6, axis=1)


def _split(word: str, known: ImageTable) -> tuple[str, re.Match[str]]:
    """The column that a word begins with, and its parts; names may have signs in them, so the longest one counts."""
    for name in sorted(known.columns, key=lambda name: (len(name), word.startswith(name)), reverse=True):
        parts = re.match(rf"\s*{re.escape(name)}\s*{SIGN}", word, re.IGNORECASE)
        if parts is not None:
            return name, parts
    parts = WORD.match(word)
    if parts is None:
        raise WorkbenchError(f'"{word}" is no question; write it as name:value, such as id:123.')
    if parts["key"].strip().lower() == "label" and "class" in known.columns:
        return "class", parts
    raise WorkbenchError(f'There is no "{parts["key"]}" here; known: {", ".join(known.columns)}.')


def cell_ids(known: ImageTable, model: str, true: int, told: int) -> np.ndarray:
    """Ids of the images of a class, by index, that a model takes for another."""
    return known.ids[(known.columns["class"] == true) & (known.columns[model] == told)]


def _number(text: str, word: str, classes: Sequence[str] = ()) -> float | int:
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)  # ids have more digits than a float holds
    except ValueError:
        some = f"; the classes are {', '.join(classes[:12])}" if classes else ", which has to be a number"
        raise WorkbenchError(f'"{word}" asks for "{text}"{some}.') from None
