"""Stacked terms of a sum by model: data -> plotly figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import plotly.graph_objects as go

from app.figures.dots import MARGIN, label_width
from app.figures.style import GRID, VALUES, add_text, coloured, error_bars, name_rows, need_width, shorten
from workbench import palette
from workbench.format import format_interval

SHADES = (0.95, 0.6, 0.38, 0.22)  # opacity of a model's colour, term by term from the first on
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
        kind: of sum, such as an upper bound.
        sign: stands before the sum's number.
        tighter: tighter values of the same quantity by name, drawn hollow.
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


def stacked_bars(stacks: Sequence[Stack], x_title: str, dark: bool = False) -> go.Figure:
    """Models down, terms side by side in shades of the model's colour, the sum as a dot with its interval.

    A model without terms is one faint bar; the names in bars are read on light or on ``dark`` ground.
    """
    figure = go.Figure()
    rights = [sum(max(term.value, 0.0) for term in stack.terms) for stack in stacks]
    lefts = [sum(min(term.value, 0.0) for term in stack.terms) for stack in stacks]
    reach = max([1e-9, *rights, *(stack.value if stack.high is None else stack.high for stack in stacks)])
    lowest = min([0.0, *lefts, *(stack.value if stack.low is None else stack.low for stack in stacks)])
    for y, stack in zip(reversed(range(len(stacks))), stacks, strict=True):
        _add_terms(figure, stack, y, reach, dark)
        text = stack.sign + format_interval(stack.value, stack.low, stack.high, alone=2)
        figure.add_scatter(
            x=[stack.value],
            y=[y],
            mode="markers",
            marker={"size": 11, "color": stack.colour, "line": {"width": 1.5, "color": "#ffffff"}},
            error_x=error_bars(stack.colour, [stack.value], [stack.low], [stack.high], width=5),
            name=f"{stack.label}, sum",
            hovertemplate=f"<b>{stack.label}</b>, {stack.kind}: {text}<extra></extra>",
        )
        for name, value in stack.tighter.items():
            figure.add_scatter(
                x=[value],
                y=[y - 0.33],
                mode="markers",
                marker={"size": 8, "color": stack.colour, "symbol": "circle-open", "line": {"width": 1.5}},
                name=f"{stack.label}, {name}",
                hovertemplate=f"<b>{stack.label}</b>, {name}: %{{x:.4~g}}<extra></extra>",
            )
        x = stack.value if stack.terms else 0
        side = "right" if x > 0.8 * reach else "left"
        add_text(figure, x, y + 0.27, f"<b>{text}</b>  {stack.kind}", xanchor=side, yanchor="bottom")
    figure.update_xaxes(title=x_title, showgrid=True, **VALUES | {"zeroline": True}, zerolinecolor=GRID)
    figure.update_xaxes(range=[1.06 * lowest, 1.16 * reach])
    names = [coloured(shorten(stack.label), stack.colour if stack.terms else None) for stack in stacks]
    name_rows(figure, names, -0.6, -0.25, tickfont={"size": 14})
    figure.update_layout(barmode="relative", height=ROW * len(stacks) + 70, margin=MARGIN)
    need_width(figure, label_width([stack.label for stack in stacks]) + 420)
    return figure


def _add_terms(figure: go.Figure, stack: Stack, y: float, reach: float, dark: bool) -> None:
    """A bar for each term, with its name in it where there is room."""
    for index, term in enumerate(stack.terms or [Term("", stack.value)]):
        shade = SHADES[min(index, len(SHADES) - 1)] if stack.terms else 0.3
        roomy = abs(term.value) > 0.012 * reach * (len(term.name) + 1)
        figure.add_bar(
            x=[term.value],
            y=[y],
            orientation="h",
            width=0.46,
            marker={"color": stack.colour, "opacity": shade, "line": {"width": 0}},
            text=term.name if roomy else "",
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont={"size": 12, "color": palette.text_on(palette.mixed(palette.GROUND[dark], stack.colour, shade))},
            name=f"{stack.label} {term.name}".strip(),
            hovertemplate=f"<b>{stack.label}</b> {term.name}: %{{x:.3~g}}<extra></extra>",
        )
