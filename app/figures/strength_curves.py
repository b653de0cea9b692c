"""Curves over the strength of a change, one panel per change above images of each strength: data -> plotly figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app.figures import image_grid
from app.figures.style import REFERENCE, VALUES, add_band, add_text, coloured, error_bars, need_width, shorten

LOWEST, HIGHEST = -0.25, 1.06
KEY, KEY_ACROSS = 22, 3  # height of a line of the key in pixels, names in a line
ACROSS, PANEL, STRIP = 4, 175, 96  # panels in a row, heights in pixels of a panel and of the images below it


@dataclass(frozen=True)
class Profile:
    """One model's curve in one panel: values with their bounds, (strengths,) each, NaN where unknown."""

    label: str
    colour: str
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    dash: str = "solid"
    main: bool = True


@dataclass(frozen=True)
class ChangePanel:
    """A change.

    Attributes:
        ticks: the strengths in words.
        ordered: whether the strengths have an order; otherwise they are drawn as dots.
        images: uint8 (1 + strengths, H, W, C), the unchanged one first, or None.
    """

    title: str
    ticks: Sequence[str]
    profiles: Sequence[Profile]
    ordered: bool = True
    images: np.ndarray | None = None


def strength_curves(panels: Sequence[ChangePanel], key: Mapping[str, tuple[str, str]]) -> go.Figure:
    """Small multiples with shared axes; strengths stand at equal distances, above their images.

    Args:
        key: colour and dash by the name of a line, written below.
    """
    down = -(-len(panels) // ACROSS)
    height = down * (PANEL + STRIP + 48) + 20
    figure = make_subplots(
        down,
        ACROSS,
        subplot_titles=[panel.title for panel in panels],
        shared_yaxes=True,
        horizontal_spacing=0.025,
        vertical_spacing=(STRIP + 48) / height if down > 1 else 0,
    )
    below = KEY * -(-len(key) // KEY_ACROSS) + 12
    figure.update_layout(height=height + below, margin={"l": 58, "r": 10, "t": 30, "b": STRIP + below})
    need_width(figure, 1080)
    for index, panel in enumerate(panels):
        _draw(figure, panel, {"row": index // ACROSS + 1, "col": index % ACROSS + 1}, height)
    figure.update_yaxes(range=[LOWEST, HIGHEST], dtick=0.25, **VALUES)
    for row in range(1, down + 1):
        figure.update_yaxes(title="similarity", row=row, col=1)
    _key(figure, key, height - 30 - STRIP)
    figure.update_annotations(font_size=13)
    return figure


def _draw(figure: go.Figure, panel: ChangePanel, place: dict[str, Any], height: int) -> None:
    n = len(panel.ticks)
    names = ["0" if panel.ordered else "", *panel.ticks]
    zero = {"line": REFERENCE, "name": "as different as another image"}
    figure.add_shape(type="line", x0=-0.5, x1=n + 0.5, y0=0, y1=0, **zero, **place)
    for index, profile in enumerate(panel.profiles):
        if panel.ordered:
            _curve(figure, profile, panel.title, place)
        else:
            shift = 0.09 * (index - (len(panel.profiles) - 1) / 2)
            _dots(figure, profile, shift, {"x title": panel.title, "x": names[1:]}, place)
    ticks = {"tickvals": list(range(n + 1)), "ticktext": names}
    figure.update_xaxes(range=[-0.5, n + 0.5], showgrid=False, zeroline=False, **ticks, **place)
    if panel.images is not None:
        _images(figure, panel.images, place, height)


def _curve(figure: go.Figure, profile: Profile, title: str, place: dict[str, Any]) -> None:
    x = np.arange(len(profile.values) + 1)
    values, low, high = (np.concatenate([[1.0], part]) for part in (profile.values, profile.low, profile.high))
    if profile.main:
        add_band(figure, x, low, high, profile.colour, **place)
    ends = "(%{customdata[0]:.2f}, %{customdata[1]:.2f})"
    figure.add_scatter(
        x=x,
        y=values,
        mode="lines+markers" if profile.main else "lines",
        line={"color": profile.colour, "dash": profile.dash, "width": 2.2 if profile.main else 1.5},
        marker={"size": 5},
        customdata=np.stack([low, high], axis=1),
        hovertemplate=f"{profile.label}: <b>%{{y:.2f}}</b> {ends}<extra></extra>",
        name=profile.label,
        meta={"x title": title, "low": low.tolist(), "high": high.tolist()},
        **place,
    )


def _dots(figure: go.Figure, profile: Profile, shift: float, meta: dict, place: dict[str, Any]) -> None:
    symbol = "circle" if profile.dash == "solid" else "circle-open"
    figure.add_scatter(
        x=np.arange(1, len(profile.values) + 1) + shift,
        y=profile.values,
        mode="markers",
        marker={"color": profile.colour, "size": 9 if profile.main else 6, "symbol": symbol},
        error_y=error_bars(profile.colour, profile.values, profile.low, profile.high, thickness=1.5),
        hovertemplate=f"{profile.label}: <b>%{{y:.2f}}</b><extra></extra>",
        name=profile.label,
        meta=meta,
        **place,
    )


def _images(figure: go.Figure, images: np.ndarray, place: dict[str, Any], height: int) -> None:
    """A strip below the axis, each image under its strength."""
    axis = next(figure.select_xaxes(**place))
    bottom = next(figure.select_yaxes(**place)).domain[0]
    plotted = height - 30 - STRIP  # without margins
    for x, image in enumerate(images):
        figure.add_layout_image(
            source=image_grid.sharp_uri(image),
            xref=axis.anchor.replace("y", "x"),
            yref="paper",
            x=x,
            y=bottom - 24 / plotted,
            sizex=0.92,
            sizey=58 / plotted,
            xanchor="center",
            yanchor="top",
            layer="above",
        )


def _key(figure: go.Figure, key: Mapping[str, tuple[str, str]], plotted: int) -> None:
    """The names of the lines below the panels, each beside a piece of its line; ``plotted``: height of the panels."""
    for index, (label, (colour, dash)) in enumerate(key.items()):
        x, y = index % KEY_ACROSS / KEY_ACROSS, -(STRIP + 8 + KEY * (index // KEY_ACROSS)) / plotted
        line = {"color": colour, "dash": dash, "width": 2.2}
        figure.add_shape(type="line", xref="paper", yref="paper", x0=x, x1=x + 0.025, y0=y, y1=y, line=line)
        where = {"xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "middle", "xshift": 6}
        add_text(figure, x + 0.025, y, coloured(shorten(label, 40), colour), **where)
