"""Colours of the points of a map: a code for each point, and the meaning of the codes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app import theme
from app.figures import image_grid
from app.reading import files, predictions
from workbench import palette
from workbench.store import Probe

ERROR = "probe error"
STEPS = 255  # of a colour scale
RIGHT, WRONG, UNTESTED = "#67809a", palette.LIGHT[1], palette.GREY


@dataclass(frozen=True)
class Colouring:
    """Codes and their meaning.

    Attributes:
        name: what points are coloured by.
        codes: uint16 (n,), or None where each map has its own.
        styles: for each code ``colour``, ``symbol``, ``name`` and ``shown``, whether it is in the legend.
        ramp: colours and ends of a continuous scale.
        values: float32 (n,) behind the codes of a continuous scale.
    """

    name: str
    codes: np.ndarray | None
    styles: Sequence[dict[str, Any]]
    ramp: dict[str, Any] | None = None
    values: np.ndarray | None = field(default=None, repr=False)


def options(probe: Probe, predictions: bool) -> list[str]:
    """The colourings on offer: by label, by factor, and by the errors of the linear probes."""
    labels, factors = probe.labels() is not None, probe.factors() is not None
    names = ["label"] * labels + [factor["name"] for factor in _factors(probe) if factors and factor["name"]]
    return names + [ERROR] * (predictions and labels)


def colouring(probe: Probe, name: str, n: int, dark: bool = False) -> Colouring:
    """The colouring of a probe set of ``n`` images by label, factor or error; grey where it is not known."""
    labels, factors = files.matrix(probe.labels(), (n,)), files.matrix(probe.factors(), (n, None))
    if name == "label" and labels is not None:
        return categories(name, labels, probe.info().get("classes"), dark)
    if name == ERROR:
        meanings = ((RIGHT, "circle", "right"), (WRONG, "diamond", "wrong"), (UNTESTED, "circle", "not tested"))
        styles = [{"colour": c, "symbol": s, "name": text, "shown": i < 2} for i, (c, s, text) in enumerate(meanings)]
        return Colouring(name, None, styles)
    for index, factor in enumerate(_factors(probe)):
        if factor["name"] == name and factors is not None and index < factors.shape[1]:
            values = np.asarray(factors[:, index])
            if factor.get("kind") == "categorical" and np.isfinite(values).all() and values.min() >= 0:
                return categories(name, values, None, dark)
            return colour_scale(name, values, factor.get("kind") == "circular")
    return Colouring("", np.zeros(n, np.uint16), [{"colour": palette.GREY}])


def errors(truth: np.ndarray, predicted: np.ndarray | None) -> np.ndarray:
    """Codes (n,) of :func:`of` by error: right, wrong, or not tested."""
    if predicted is None:
        return np.full(len(truth), 2, np.uint16)
    return np.where(predicted == predictions.UNKNOWN, 2, np.where(predicted == truth, 0, 1)).astype(np.uint16)


def categories(name: str, labels: np.ndarray, classes: Any, dark: bool = False) -> Colouring:
    """A colour and a symbol for each whole number; the legend lists those that occur and differ from the others."""
    codes = np.where(labels < 0, 0, labels).astype(np.uint16)
    names, present = files.label_names(classes, codes), set(np.unique(codes).tolist())
    most = len(palette.CLASSES[dark]) * len(theme.CLASS_SYMBOLS)
    styles = []
    for code, text in enumerate(names):
        colour, symbol = theme.class_style(code, dark)
        styles.append({"colour": colour, "symbol": symbol, "name": text, "shown": code in present and code < most})
    return Colouring(name, codes, styles)


def colour_scale(name: str, values: np.ndarray, circular: bool) -> Colouring:
    """A magnitude or an angle in :data:`STEPS`; NaN is grey."""
    known = np.isfinite(values)
    low, high = (float(values[known].min()), float(values[known].max())) if known.any() else (0.0, 1.0)
    share = (np.where(known, values, low) - low) / ((high - low) or 1.0)
    codes = np.where(known, np.rint(share * STEPS), STEPS + 1).astype(np.uint16)
    scale = palette.CIRCULAR if circular else palette.MAGNITUDE
    colours = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in image_grid.ramp(STEPS + 1, scale)]
    ramp = {"colours": [*colours[::32], colours[-1]], "ends": [f"{low:.3g}", f"{high:.3g}"]}
    styles = [{"colour": colour} for colour in (*colours, palette.GREY)]
    return Colouring(name, codes, styles, ramp, values.astype(np.float32))


def _factors(probe: Probe) -> list[dict[str, Any]]:
    """The factors in the order of their columns; one without a name is called by an empty text."""
    factors = probe.info().get("factors")
    return [
        factor if isinstance(factor, dict) and isinstance(factor.get("name"), str) else {"name": ""}
        for factor in (factors if isinstance(factors, list) else [])
    ]
