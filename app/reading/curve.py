"""A quantity of a run over another one, as figures draw it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Curve:
    """Values ``y`` at ``x`` with the ends of their intervals, ``low`` and ``high``, (n,) each.

    Attributes:
        dash: plotly's name of a dash; references are ``dot``.
        end: the text at its end, by default its label.
    """

    label: str
    colour: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    dash: str = "solid"
    end: str | None = None
