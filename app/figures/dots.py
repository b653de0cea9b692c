"""Dots with their intervals: data -> plotly figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app.figures.style import REFERENCE, VALUES, add_text, coloured, error_bars, name_rows, need_width, shorten
from workbench import palette
from workbench.format import format_interval

MARGIN = {"l": 20, "r": 20, "t": 8, "b": 48}


@dataclass(frozen=True)
class Dot:
    """A measurement of a model with its interval, and the ends of a wider one; ``main`` ones are large and carry their
    value in print."""

    label: str
    colour: str
    value: float
    low: float | None = None
    high: float | None = None
    detail: str = ""
    main: bool = True
    outer: tuple[float, ...] = ()


@dataclass(frozen=True)
class DotPanel:
    """A column of :func:`by_model`.

    Attributes:
        references: vertical grey lines over all models, by name.
        ticks: short grey lines by model, such as its untrained network.
    """

    title: str
    dots: Sequence[Dot]
    references: Mapping[str, float]
    ticks: Mapping[str, float]


def by_model(panels: Sequence[DotPanel], order: Sequence[str], row_height: int = 74) -> go.Figure:
    """Models down, measurements across: dots with their intervals beside references and untrained networks."""
    figure = make_subplots(1, len(panels), shared_yaxes=True, horizontal_spacing=0.05)
    rows = {label: len(order) - 1 - index for index, label in enumerate(order)}
    for column, panel in enumerate(panels, start=1):
        place: dict[str, Any] = {"row": 1, "col": column}
        for name, value in panel.references.items():
            add_vertical(figure, value, name, **place)
            where = place | {"xanchor": "left", "xshift": 4, "yanchor": "bottom"}
            add_text(figure, value, len(order) - 0.42, f"{name} {value:.0f}", 12, **where)
        for label in [label for label in order if label in panel.ticks]:
            figure.add_scatter(
                x=[panel.ticks[label]] * 2,
                y=[rows[label] - 0.24, rows[label] + 0.14],
                mode="lines",
                line={"color": palette.GREY, "width": 3},
                name=f"{label} untrained",
                meta={"y": label},
                hovertemplate=f"{label} untrained: %{{x:.1f}}<extra></extra>",
                **place,
            )
        for dot in panel.dots:
            add_dot(figure, dot, rows[dot.label], dot.label, f"{dot.label} {dot.detail}".strip(), **place)
        figure.update_xaxes(title=panel.title, showgrid=True, **VALUES, **place)
    top = max(
        [dot.high or dot.value for panel in panels for dot in panel.dots]
        + [value for panel in panels for value in panel.references.values()]
    )
    figure.update_xaxes(range=[0, top * 1.06])
    colours = {dot.label: dot.colour for panel in panels for dot in panel.dots}
    name_rows(
        figure, [coloured(shorten(label), colours.get(label)) for label in order], -0.65, -0.1, tickfont={"size": 14}
    )
    # Half of a printed value may stand right of the axis.
    figure.update_layout(height=row_height * len(order) + 100, margin=MARGIN | {"r": 60})
    need_width(figure, label_width(order) + 230 * len(panels))
    return figure


def label_width(labels: Sequence[str], pixels: int = 8) -> int:
    """What row names take of a figure's width, in pixels."""
    return 50 + pixels * max((len(shorten(label)) for label in labels), default=0)


def add_vertical(figure: go.Figure, value: float, name: str, **place: Any) -> None:
    """A dotted vertical line through a panel, also through an empty one."""
    figure.add_vline(x=value, line=REFERENCE, name=name, exclude_empty_subplots=False, **place)


def add_dot(figure: go.Figure, dot: Dot, y: float, model: str, name: str, **place: Any) -> None:
    """A dot with its interval at a height, in a named row, its value above it where it is a main one."""
    text = format_interval(dot.value, *(dot.outer or (dot.low, dot.high)), digits=1)  # as in tables and sentences
    size = {"size": 15} if dot.main else {"size": 8, "symbol": "circle-open"}
    if dot.outer:
        line = {"color": dot.colour, "width": 1}
        figure.add_scatter(x=dot.outer, y=[y, y], mode="lines", line=line, name=f"{name}, all comparisons", **place)
    figure.add_scatter(
        x=[dot.value],
        y=[y],
        mode="markers",
        marker={"color": dot.colour} | size,
        name=name,
        meta={"drawn": "large" if dot.main else "small", "y": model},
        opacity=1 if dot.main else 0.75,
        error_x=error_bars(dot.colour, [dot.value], [dot.low], [dot.high], thickness=2.5 if dot.main else 1),
        hovertemplate=f"<b>{dot.label}</b> {dot.detail}<br>{text}<extra></extra>",
        **place,
    )
    if dot.main:
        add_text(figure, dot.value, y + 0.18, f"<b>{text}</b>", yanchor="bottom", **place)


def forest(names: Sequence[str], dots: Sequence[Dot], title: str) -> go.Figure:
    """Differences with their intervals about a line at zero; those that are not ``main`` are hollow."""
    figure = make_subplots(1, 1)
    place = {"row": 1, "col": 1}
    add_vertical(figure, 0, "no difference", **place)
    for index, (name, dot) in enumerate(zip(names, dots, strict=True)):
        add_dot(figure, dot, len(dots) - 1 - index, name.replace("<br>", " "), name.replace("<br>", " "), **place)
    reach = 1.1 * max(abs(end or dot.value) for dot in dots for end in (dot.low, dot.high, *dot.outer))
    figure.update_xaxes(title=title, showgrid=True, **VALUES, range=[-reach, reach])
    name_rows(figure, names, -0.6, -0.3, tickfont={"size": 13})
    figure.update_layout(height=46 * len(dots) + 90, margin=MARGIN)
    need_width(figure, label_width([max(name.split("<br>"), key=len) for name in names]) + 340)
    return figure


def per_class(scores: Mapping[str, tuple[str, np.ndarray]], classes: Sequence[str], most: int = 30) -> go.Figure:
    """A dot per model and class, joined by a grey line; the class on which models differ most is on top.

    Args:
        scores: colour and accuracy in % (classes,) by model.
        most: classes in the figure; those on which the models differ least are left out first, as are those without
            test images, whose accuracy is NaN.
    """
    table = np.stack([values for _, values in scores.values()])
    order = np.argsort(np.ptp(table, axis=0) if len(scores) > 1 else -table[0], kind="stable")
    order = order[np.isfinite(table[:, order]).all(axis=0)][-most:]
    figure = go.Figure()
    for y, index in enumerate(order):
        line = {"color": palette.GREY, "width": 1.5}
        ends = [table[:, index].min(), table[:, index].max()]
        figure.add_scatter(x=ends, y=[y, y], mode="lines", line=line, hoverinfo="skip")
    for label, (colour, values) in scores.items():
        figure.add_scatter(
            x=values[order],
            y=list(range(len(order))),
            mode="markers",
            marker={"color": colour, "size": 12},
            name=label,
            hovertemplate=f"{label}: %{{x:.0f}} %<extra></extra>",
        )
    figure.update_xaxes(title="accuracy of the class, %", showgrid=True, **VALUES, range=[-2, 102])
    name_rows(figure, [str(classes[index]) for index in order[::-1]], -0.6, -0.4)
    figure.update_layout(height=26 * len(order) + 100, margin=MARGIN)
    return figure


def small_multiples(
    factors: Mapping[str, Sequence[Dot]], chance: Mapping[str, float], units: Mapping[str, str]
) -> go.Figure:
    """One small panel per factor: a dot with its interval per model, chance as a grey line; axes are shared by unit."""
    across = min(4, len(factors))
    down = -(-len(factors) // across)
    titles = [f"{name}, {units[name]}" for name in factors]
    figure = make_subplots(
        down, across, subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.035, vertical_spacing=0.3 / down
    )
    colours = {dot.label: dot.colour for dots in factors.values() for dot in dots}
    labels = list(colours)
    for index, (name, dots) in enumerate(factors.items()):
        place: dict[str, Any] = {"row": index // across + 1, "col": index % across + 1}
        if name in chance:
            add_vertical(figure, chance[name], "chance", **place)
        for dot in dots:
            text = format_interval(dot.value, dot.low, dot.high, alone=2)
            figure.add_scatter(
                x=[dot.value],
                y=[len(labels) - 1 - labels.index(dot.label)],
                mode="markers",
                marker={"color": dot.colour, "size": 8},
                error_x=error_bars(dot.colour, [dot.value], [dot.low], [dot.high]),
                name=f"{dot.label} {dot.detail}".strip(),
                meta={"x title": titles[index], "y": dot.label},
                hovertemplate=f"{dot.label} {dot.detail}<br>{text}<extra></extra>",
                **place,
            )
        lowest = min(-0.03, min((dot.value for dot in dots), default=0))
        figure.update_xaxes(range=[-3, 103] if units[name] == "%" else [lowest, 1.03], **place)
    figure.update_xaxes(showgrid=True, **VALUES, nticks=4)
    name_rows(figure, [coloured(shorten(label), colours[label]) for label in labels], -0.6, -0.4)
    figure.update_annotations(font={"size": 13})
    figure.update_layout(height=down * (22 * len(labels) + 84), margin={"l": 20, "r": 12, "t": 30, "b": 30})
    need_width(figure, label_width(labels, 7) + 120 * across)
    return figure
