"""Recipes of sweeps: YAML files with the runs that answer a question, at several scales, and published numbers.

title: Momentum of the key encoder          of the table
method: mocov3                              a cell may name another by the key `method`
figure: table                               table, or curve, which also draws kNN over the epochs
base: _scales.yaml                          a file beside it: settings by scale
settings: {predictor: true}                 on top of these, at every scale
axes: {momentum: [0.9, 0.99]}               a cell for each combination of values; or, in their place,
cells: {with BN: {}, without: {head_norm: false}}                 cells by name
measures: [finetune]                        beside kNN and linear probe; layers, factors, reconstruction, decoder and
                                            likelihood have tables of their own
scales:                                     each may have settings, axes or cells, and transfer_to of its own
  tiny: {axes: {momentum: [0.9, 0.99, 0.999]}}
published:                                  to print beside it, by the name of a cell (`momentum 0.99`)
  - {source: "Chen et al. 2021, section 6.2", setting: "ViT-B, 300 epochs, …", values: {momentum 0.99: 76.5}}

A cell of axes is named by its keys and values, `frozen_patch false, optim.lr 0.008`, however a number is written in the
file (YAML reads 8e-3 as text and 0.008 as a number): below 0.001 it is `1.5e-4`, from there on `0.008`, `1` and `4096`.
Names under `published` and after `--only` match a cell if they differ from its name in the notation of numbers alone:
`optim.lr 1.0e-4` and `optim.lr 0.0001` are `optim.lr 1e-4`. A published name without a cell has a row of its own in the
figure.

Cells that cross two factors may have labels, `labels: {objective: VAE, trunk: ViT}`; the sweep then splits the variance
of all numbers between the two.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args

from workbench.config import flat, flatten, read_mapping, replace_flat
from workbench.errors import WorkbenchError, unknown
from workbench.format import is_number
from workbench.methods import METHODS, load_method

Figure = Literal["table", "curve"]
MEASURES = ("knn", "linear", "finetune")
TABLES = ("layers", "factors", "reconstruction", "decoder", "likelihood")  # measures of more than one number
TRANSFERS = ("transfer", "transfer_finetune")  # measured where a scale has transfer_to
KEYS = ("title", "method", "figure", "base", "settings", "axes", "cells", "measures", "scales", "published")
SCALE_KEYS = ("settings", "axes", "cells", "transfer_to")
PUBLISHED_KEYS = ("source", "setting", "values")
OWN = ("runs", "name", "seed", "init")  # set by the sweep, or making cells depend on each other
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.])")
ROOT = Path(__file__).resolve().parents[2] / "recipes"


@dataclass(frozen=True)
class Cell:
    """One training setting.

    Attributes:
        name: in table and figure.
        settings: all that are given.
        labels: its levels of two crossed factors by their names, or nothing.
    """

    name: str
    method: str
    settings: dict[str, Any]
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """Published numbers: their source, what they were measured on, and top-1 in % by the name of a cell."""

    source: str
    setting: str
    values: dict[str, float]


@dataclass(frozen=True)
class Recipe:
    """The runs of a sweep at one scale.

    Attributes:
        name: of the file.
        where: the file.
        measures: evaluations whose top-1 is in the table, ``knn`` and ``linear`` first.
        tables: evaluations that have tables of their own.
        transfer_to: another data set on which features are probed and the network is fine-tuned.
    """

    name: str
    where: str
    title: str
    method: str
    figure: Figure
    scale: str
    cells: tuple[Cell, ...]
    measures: tuple[str, ...]
    tables: tuple[str, ...]
    transfer_to: str | None
    published: tuple[Published, ...]


@cache
def known() -> dict[str, Path]:
    """The recipes that come with the workbench, by name."""
    files = sorted(file for file in ROOT.glob("*/[!_]*.yaml") if "scales" in read_mapping(file))
    return {file.stem: file for file in files}


def load(reference: str, scale: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe at one scale.

    Args:
        reference: a name in :func:`known`, or the path of a file.
        changes: settings that override the recipe's, such as the data.

    Raises:
        WorkbenchError: an unknown recipe, scale, method or key, or a value that does not fit.
    """
    path = Path(reference)
    if path.suffix not in (".yaml", ".yml") and not path.is_file():
        recipes = known()
        if reference not in recipes:
            if not recipes:  # an installation without the recipes' folder
                raise WorkbenchError(f'There is no recipe "{reference}" here; give the path of a YAML file.')
            raise unknown("recipe", reference, recipes)
        path = recipes[reference]
    where, content = str(path), read_mapping(path)
    _check_keys(content, KEYS, where)
    title, method = (_text(content, key, where) for key in ("title", "method"))
    if method not in METHODS:
        raise unknown("method", method, METHODS, where)
    figure = content.get("figure", "table")
    if figure not in get_args(Figure):
        raise unknown("figure", str(figure), get_args(Figure), where)
    scales = _mapping(content.get("scales"), "scales", where)
    if scale not in scales:
        raise unknown("scale", scale, map(str, scales), where)
    own = _mapping(scales[scale] or {}, f"scales.{scale}", where)
    _check_keys(own, SCALE_KEYS, where)
    settings = _base(content.get("base"), scale, path)
    for part in (content, own):
        settings |= flat(_mapping(part.get("settings") or {}, "settings", where))
    settings |= changes or {}
    for key in (key for key in OWN if key in settings):
        raise WorkbenchError(f'The key "{key}" in {where} is set by the sweep; leave it out.')
    replace_flat(load_method(method)[1](), settings, where)
    varied = own if {"axes", "cells"} & own.keys() else content
    cells = tuple(_cell(name, changed, method, settings, where) for name, changed in _varied(varied, where).items())
    _check_labels(cells, where)
    names = [cell.name for cell in cells]
    measures = content.get("measures") or []
    for measure in measures if isinstance(measures, list) else [measures]:
        if measure not in MEASURES + TABLES:
            raise unknown("measure", str(measure), MEASURES + TABLES, where)
    target = own.get("transfer_to")
    return Recipe(
        path.stem,
        where,
        title,
        method,
        figure,
        scale,
        cells,
        tuple(name for name in MEASURES if name in ("knn", "linear", *measures)) + (TRANSFERS if target else ()),
        tuple(name for name in TABLES if name in measures),
        None if target is None else str(target),
        _published(content.get("published") or [], names, where),
    )


def matching(name: str, names: Iterable[str]) -> str:
    """The first of ``names`` that differs from ``name`` in the notation of numbers alone, or else ``name``."""
    return next((known for known in names if _plain(known) == _plain(name)), name)


def _base(reference: Any, scale: str, path: Path) -> dict[str, Any]:
    """The settings of a scale that recipes have in common."""
    if reference is None:
        return {}
    file = path.parent / str(reference)
    scales = read_mapping(file)
    if scale not in scales:
        raise unknown("scale", scale, map(str, scales), str(file))
    return flat(_mapping(scales[scale], scale, str(file)))


def _varied(part: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """What each cell changes, by its name."""
    axes, cells = part.get("axes"), part.get("cells")
    if (axes is None) == (cells is None):
        raise WorkbenchError(f'{where} needs either "axes" or "cells", for every scale or for each of its own.')
    if cells is not None:
        cells = _mapping(cells, "cells", where)
        return {str(name): flat(_mapping(changed or {}, f"cells.{name}", where)) for name, changed in cells.items()}
    values = flat(_mapping(axes, "axes", where))
    for key, choices in values.items():
        if not isinstance(choices, list) or not choices:
            raise WorkbenchError(f'The axis "{key}" in {where} must be a list of values, not {choices!r}.')
        written = [_plain(value) for value in choices]
        for value in (value for value in written if written.count(value) > 1):
            raise WorkbenchError(f'The axis "{key}" in {where} has the value {value} twice; leave one out.')
    combined = [dict(zip(values, choice, strict=True)) for choice in product(*values.values())]
    return {", ".join(f"{key} {_plain(value)}" for key, value in cell.items()): cell for cell in combined}


def _plain(value: Any) -> str:
    """A value or a name as text, with all numbers in one notation."""
    return str(value).lower() if isinstance(value, bool) else NUMBER.sub(_number, str(value))


def _number(match: re.Match[str]) -> str:
    """``1.5e-4`` below 0.001, otherwise ``0.008`` or ``4096``."""
    value = float(match[0])
    if 0 < abs(value) < 1e-3:
        digits, power = f"{value:.12e}".split("e")
        return f"{float(digits):.12g}e{int(power)}"
    return f"{value:.12f}".rstrip("0").rstrip(".")


def _cell(name: str, changed: dict[str, Any], method: str, common: dict[str, Any], where: str) -> Cell:
    """A cell with all its settings, without common ones that its own method lacks."""
    own = str(changed.pop("method", method))
    if own not in METHODS:
        raise unknown("method", own, METHODS, where)
    labels = {key: str(changed.pop(key)) for key in list(changed) if key.startswith("labels.")}
    defaults = load_method(own)[1]()
    if own != method:
        common = {key: value for key, value in common.items() if key in flatten(defaults)}
    for key in (key for key in OWN if key in changed):
        raise WorkbenchError(f'The key "{key}" in {where} is set by the sweep; leave it out.')
    replace_flat(defaults, common | changed, where)
    return Cell(name, own, common | changed, {key.removeprefix("labels."): label for key, label in labels.items()})


def _check_labels(cells: tuple[Cell, ...], where: str) -> None:
    """Raise a WorkbenchError where cells have labels that do not cross two factors."""
    labels = [cell.labels for cell in cells]
    if not any(labels):
        return
    names = list(labels[0])
    if len(names) != 2 or any(list(own) != names for own in labels):
        raise WorkbenchError(f'All cells in {where} need "labels" of the same two names in one order, or none.')
    levels = [list(dict.fromkeys(own[name] for own in labels)) for name in names]
    combinations = [tuple(own.values()) for own in labels]
    if min(map(len, levels)) < 2 or sorted(combinations) != sorted(product(*levels)):
        raise WorkbenchError(
            f'The "labels" in {where} must combine at least two values of {names[0]} with at least two of {names[1]}, '
            "each combination once."
        )


def _published(blocks: Any, names: list[str], where: str) -> tuple[Published, ...]:
    published = []
    for block in blocks if isinstance(blocks, list) else [blocks]:
        block = _mapping(block, "published", where)
        _check_keys(block, PUBLISHED_KEYS, where)
        source, setting = (_text(block, key, where) for key in ("source", "setting"))
        values = _mapping(block.get("values"), "published.values", where)
        for name, value in values.items():
            if not is_number(value):
                raise WorkbenchError(f'The published value of "{name}" in {where} must be a number, not {value!r}.')
        values = {matching(str(name), names): float(value) for name, value in values.items()}
        published.append(Published(source, setting, values))
    return tuple(published)


def _check_keys(content: Mapping[Any, Any], allowed: tuple[str, ...], where: str) -> None:
    for key in content:
        if key not in allowed:
            raise unknown("key", str(key), allowed, where)


def _mapping(value: Any, key: str, where: str) -> dict[Any, Any]:
    if not isinstance(value, dict) or (not value and key in ("scales", "published.values", "axes", "cells")):
        raise WorkbenchError(f'"{key}" in {where} must map keys to values.')
    return value


def _text(content: Mapping[Any, Any], key: str, where: str) -> str:
    if not isinstance(content.get(key), str):
        raise WorkbenchError(f'{where} needs a text as "{key}".')
    return content[key]
