"""Dots with their intervals: data -> plotly figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app.figures.lines import GRID, REFERENCE
from workbench import palette
from workbench.format import format_interval


@dataclass(frozen=True)
class Dot:
    """One measurement of a model; ``main`` ones are large and carry their value in print."""

    label: str
    colour: str
    value: float
    low: float | None = None
    high: float | None = None
    detail: str = ""
    main: bool = True


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
    """Models down, measurements across: a dot with its 95 % interval, beside it what is better than nothing."""
    figure = make_subplots(1, len(panels), shared_yaxes=True, horizontal_spacing=0.05)
    place = {label: len(order) - 1 - index for index, label in enumerate(order)}
    for column, panel in enumerate(panels, start=1):
        for name, value in panel.references.items():
            figure.add_vline(x=value, line=REFERENCE, name=name, row=1, col=column, exclude_empty_subplots=False)  # pyright: ignore[reportArgumentType]
            figure.add_annotation(
                x=value,
                y=len(order) - 0.42,
                text=f"{name} {value:.0f}",
                showarrow=False,
                font={"color": palette.GREY, "size": 12},
                xanchor="left",
                xshift=4,
                yanchor="bottom",
                row=1,
                col=column,
            )
        for label in [label for label in order if label in panel.ticks]:
            figure.add_scatter(
                x=[panel.ticks[label]] * 2,
                y=[place[label] - 0.24, place[label] + 0.14],
                mode="lines",
                line={"color": palette.GREY, "width": 3},
                name=f"{label} untrained",
                meta={"y": label},
                showlegend=False,
                hovertemplate=f"{label} untrained: %{{x:.1f}}<extra></extra>",
                row=1,
                col=column,
            )
        for dot in panel.dots:
            add_dot(figure, dot, place[dot.label], column, f"{dot.label} {dot.detail}".strip())
        figure.update_xaxes(title=panel.title, showgrid=True, gridcolor=GRID, zeroline=False, row=1, col=column)
    top = max(
        [dot.high or dot.value for panel in panels for dot in panel.dots]
        + [value for panel in panels for value in panel.references.values()]
    )
    figure.update_xaxes(range=[0, top * 1.06])
    colours = {dot.label: dot.colour for panel in panels for dot in panel.dots}
    names = {
        "tickmode": "array",
        "tickvals": list(place.values()),
        "ticktext": [coloured(label, colours.get(label)) for label in place],
    }
    figure.update_yaxes(range=[-0.65, len(order) - 0.1], showgrid=False, zeroline=False, tickfont={"size": 14})
    figure.update_yaxes(**names, row=1, col=1)
    figure.update_layout(height=row_height * len(order) + 100, margin={"l": 20, "r": 20, "t": 8, "b": 48})
    return figure


def coloured(label: str, colour: str | None) -> str:
    """An axis label in its model's colour."""
    return f'<b><span style="color:{colour}">{label}</span></b>' if colour else label


def add_dot(figure: go.Figure, dot: Dot, y: float, column: int, name: str) -> None:
    error = None
    if dot.low is not None and dot.high is not None:
        ends = {"array": [dot.high - dot.value], "arrayminus": [dot.value - dot.low]}
        error = ends | {"type": "data", "symmetric": False, "color": dot.colour, "width": 0}
        error["thickness"] = 2.5 if dot.main else 1
    marker = (
        {"size": 15, "color": dot.colour} if dot.main else {"size": 8, "color": dot.colour, "symbol": "circle-open"}
    )
    text = format_interval(dot.value, dot.low, dot.high)
    figure.add_scatter(
        x=[dot.value],
        y=[y],
        mode="markers",
        marker=marker,
        name=name,
        meta={"drawn": "large" if dot.main else "small"},
        showlegend=False,
        opacity=1 if dot.main else 0.75,
        error_x=error,
        hovertemplate=f"<b>{dot.label}</b> {dot.detail}<br>{text}<extra></extra>",
        row=1,
        col=column,
    )
    if dot.main:
        figure.add_annotation(
            x=dot.value,
            y=y + 0.18,
            text=f"<b>{text}</b>",
            font={"color": dot.colour, "size": 13},
            showarrow=False,
            yanchor="bottom",
            row=1,
            col=column,
        )


def forest(names: Sequence[str], dots: Sequence[Dot], title: str) -> go.Figure:
    """Differences with their intervals about a line at zero; those that are not ``main`` are hollow."""
    figure = make_subplots(1, 1)
    figure.add_vline(x=0, line=REFERENCE, name="no difference", row=1, col=1, exclude_empty_subplots=False)  # pyright: ignore[reportArgumentType]
    for index, (name, dot) in enumerate(zip(names, dots, strict=True)):
        add_dot(figure, dot, len(dots) - 1 - index, 1, name)
    reach = 1.1 * max(max(abs(dot.low or dot.value), abs(dot.high or dot.value)) for dot in dots)
    figure.update_xaxes(title=title, showgrid=True, gridcolor=GRID, zeroline=False, range=[-reach, reach])
    figure.update_yaxes(
        tickvals=list(range(len(dots))),
        ticktext=list(names)[::-1],
        showgrid=False,
        zeroline=False,
        range=[-0.6, len(dots) - 0.3],
        tickfont={"size": 13},
    )
    figure.update_layout(height=46 * len(dots) + 90, margin={"l": 20, "r": 20, "t": 8, "b": 48})
    return figure


def per_class(scores: Mapping[str, tuple[str, np.ndarray]], classes: Sequence[str], most: int = 30) -> go.Figure:
    """A dot per model and class, joined by a grey line, the most disputed class on top.

    Args:
        scores: colour and accuracy in % (classes,) by model.
        most: classes shown; those on which the models differ least are left out first, as are those without test
            images, whose accuracy is NaN.
    """
    table = np.stack([values for _, values in scores.values()])
    order = np.argsort(np.ptp(table, axis=0) if len(scores) > 1 else -table[0], kind="stable")
    order = order[np.isfinite(table[:, order]).all(axis=0)][-most:]
    names = [classes[index] for index in order]
    figure = go.Figure()
    for place, index in enumerate(order):
        line = {"color": palette.GREY, "width": 1.5}
        ends = [table[:, index].min(), table[:, index].max()]
        figure.add_scatter(x=ends, y=[place, place], mode="lines", line=line, hoverinfo="skip", showlegend=False)
    for label, (colour, values) in scores.items():
        figure.add_scatter(
            x=values[order],
            y=list(range(len(order))),
            mode="markers",
            marker={"color": colour, "size": 12},
            name=label,
            showlegend=False,
            hovertemplate=f"{label}: %{{x:.0f}} %<extra></extra>",
        )
    figure.update_xaxes(
        title="accuracy of the class, %", showgrid=True, gridcolor=GRID, zeroline=False, range=[-2, 102]
    )
    figure.update_yaxes(
        tickvals=list(range(len(order))), ticktext=names, showgrid=False, zeroline=False, range=[-0.6, len(order) - 0.4]
    )
    figure.update_layout(height=26 * len(order) + 100, margin={"l": 20, "r": 20, "t": 8, "b": 48})
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
    colours = {dot.label: dot.colour for found in factors.values() for dot in found}
    labels = list(colours)
    for index, (name, found) in enumerate(factors.items()):
        row, column = index // across + 1, index % across + 1
        if name in chance:
            place = {"row": row, "col": column, "exclude_empty_subplots": False}
            figure.add_vline(x=chance[name], line=REFERENCE, name="chance", **place)
        for dot in found:
            y = len(labels) - 1 - labels.index(dot.label)
            text = format_interval(dot.value, dot.low, dot.high, alone=2)
            error = None
            if dot.low is not None and dot.high is not None:
                ends = {"array": [dot.high - dot.value], "arrayminus": [dot.value - dot.low]}
                error = ends | {"type": "data", "symmetric": False, "color": dot.colour, "width": 0, "thickness": 2.5}
            figure.add_scatter(
                x=[dot.value],
                y=[y],
                mode="markers",
                marker={"color": dot.colour, "size": 8},
                error_x=error,
                name=f"{dot.label} {dot.detail}".strip(),
                meta={"x title": titles[index]},
                showlegend=False,
                row=row,
                col=column,
                hovertemplate=f"{dot.label} {dot.detail}<br>{text}<extra></extra>",
            )
        percent = units[name] == "%"
        figure.update_xaxes(
            range=[-3, 103] if percent else [min(-0.03, min((d.value for d in found), default=0)), 1.03],
            row=row,
            col=column,
        )
    figure.update_xaxes(showgrid=True, gridcolor=GRID, zeroline=False, nticks=4)
    figure.update_yaxes(
        tickvals=list(range(len(labels))),
        ticktext=[coloured(label, colours[label]) for label in labels[::-1]],
        showgrid=False,
        zeroline=False,
        range=[-0.6, len(labels) - 0.4],
    )
    figure.update_annotations(font={"size": 13})
    figure.update_layout(height=down * (22 * len(labels) + 84), margin={"l": 20, "r": 12, "t": 30, "b": 30})
    return figure
