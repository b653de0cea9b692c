"""Stacked terms of a sum by model: data -> plotly figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import plotly.graph_objects as go

from app.figures.dots import coloured
from app.figures.lines import GRID
from workbench.format import format_interval

SHADES = (0.95, 0.6, 0.38, 0.22)  # of a model's colour, term by term, from the largest on
ROW = 62  # height of a model in pixels


@dataclass(frozen=True)
class Term:
    """A term of a sum; below zero it lies left of zero."""

    name: str
    value: float


@dataclass(frozen=True)
class Stack:
    """A model's terms and their sum.

    Attributes:
        value, low, high: the sum and its 95 % interval.
        kind: what the sum is, such as a bound.
        sign: stands before the sum's number.
        tighter: other values of the same by name, drawn hollow.
    """

    label: str
    colour: str
    terms: Sequence[Term]
    value: float
    low: float | None = None
    high: float | None = None
    kind: str = ""
    sign: str = ""
    tighter: Mapping[str, float] = field(default_factory=dict)


def stacked_bars(stacks: Sequence[Stack], x_title: str) -> go.Figure:
    """Models down, terms side by side in shades of the model's colour, the sum as a dot with its interval.

    A model without terms is one faint bar.
    """
    figure = go.Figure()
    place = {one.label: len(stacks) - 1 - index for index, one in enumerate(stacks)}
    rights = [sum(max(part.value, 0.0) for part in one.terms) for one in stacks]
    reach = max([1e-9, *rights, *(one.value if one.high is None else one.high for one in stacks)])
    for one in stacks:
        at = place[one.label]
        for index, part in enumerate(one.terms or [Term("", one.value)]):
            shade = SHADES[min(index, len(SHADES) - 1)] if one.terms else 0.3
            roomy = abs(part.value) > 0.012 * reach * (len(part.name) + 1)
            figure.add_bar(
                x=[part.value],
                y=[at],
                orientation="h",
                width=0.46,
                marker={"color": one.colour, "opacity": shade, "line": {"width": 0}},
                text=part.name if roomy else "",
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                textfont={"size": 12, "color": "#ffffff" if shade > 0.5 else one.colour},
                name=f"{one.label} {part.name}".strip(),
                showlegend=False,
                hovertemplate=f"<b>{one.label}</b> {part.name}: %{{x:.3~g}}<extra></extra>",
            )
        error = None
        if one.low is not None and one.high is not None:
            ends = {"array": [one.high - one.value], "arrayminus": [one.value - one.low]}
            error = ends | {"type": "data", "symmetric": False, "color": one.colour, "width": 5, "thickness": 2.5}
        text = one.sign + format_interval(one.value, one.low, one.high, alone=2)
        figure.add_scatter(
            x=[one.value],
            y=[at],
            mode="markers",
            marker={"size": 11, "color": one.colour, "line": {"width": 1.5, "color": "#ffffff"}},
            error_x=error,
            name=f"{one.label}, sum",
            showlegend=False,
            hovertemplate=f"<b>{one.label}</b>, {one.kind}: {text}<extra></extra>",
        )
        for name, value in one.tighter.items():
            figure.add_scatter(
                x=[value],
                y=[at - 0.33],
                mode="markers",
                marker={"size": 8, "color": one.colour, "symbol": "circle-open", "line": {"width": 1.5}},
                name=f"{one.label}, {name}",
                showlegend=False,
                hovertemplate=f"<b>{one.label}</b>, {name}: %{{x:.4~g}}<extra></extra>",
            )
        figure.add_annotation(
            x=one.value if one.terms else 0,
            y=at + 0.27,
            xanchor="right" if one.terms and one.value > 0.8 * reach else "left",
            yanchor="bottom",
            text=f"<b>{text}</b>  {one.kind}",
            showarrow=False,
            font={"color": one.colour, "size": 13},
        )
    names = [coloured(one.label, one.colour) if one.terms else one.label for one in stacks]
    figure.update_xaxes(title=x_title, showgrid=True, gridcolor=GRID, zeroline=True, zerolinecolor=GRID)
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(place.values()),
        ticktext=names,
        tickfont={"size": 14},
        showgrid=False,
        zeroline=False,
        range=[-0.6, len(stacks) - 0.25],
    )
    lefts = [sum(min(part.value, 0.0) for part in one.terms) for one in stacks]
    lowest = min([0.0, *lefts, *(one.value if one.low is None else one.low for one in stacks)])
    figure.update_xaxes(range=[1.06 * lowest, 1.16 * reach])
    figure.update_layout(barmode="relative", height=ROW * len(stacks) + 70, margin={"l": 20, "r": 20, "t": 8, "b": 48})
    return figure
