"""Models down, each a dot with its interval on one line, as HTML that fits any width."""

from collections.abc import Sequence
from html import escape

from workbench.format import finite_number
from workbench.report.sentences import Score

CSS = """<style>
.wb-dots {display: grid; gap: .5rem; margin: .1rem 0 .2rem;}
.wb-dots .wb-head {display: flex; justify-content: space-between; gap: .8rem; font-size: .86rem; line-height: 1.3;}
.wb-dots .wb-head b {font-weight: 600; overflow-wrap: anywhere;}
.wb-dots .wb-head span {font-variant-numeric: tabular-nums; white-space: nowrap;}
.wb-dots .wb-line {position: relative; height: 20px; margin: 0 8px;
  background: linear-gradient(rgba(139,146,154,.28), rgba(139,146,154,.28)) center / 100% 1px no-repeat;}
.wb-dots .wb-line i {position: absolute; top: 50%; transform: translate(-50%, -50%);}
.wb-dots .wb-interval {height: 3px; border-radius: 2px; transform: translateY(-50%) !important;}
.wb-dots .wb-value {width: 13px; height: 13px; border-radius: 50%;}
.wb-dots .wb-untrained {width: 3px; height: 12px; background: #8b929a;}
.wb-dots .wb-pixels {height: 20px; border-left: 2px dotted #8b929a;}
</style>"""


def dot_strip(
    scores: Sequence[Score], colours: Sequence[str], reference: float | None = None, zero: bool = False
) -> str:
    """Scores on a shared axis, untrained networks as short grey marks, the reference as a dotted mark on every line.

    Args:
        colours: of all groups.
        zero: whether the axis begins at 0.
    """
    ends = [end for score in scores for end in (score.low, score.high, score.value, score.untrained)]
    known = [number for end in (*ends, reference, 0.0 if zero else None) if (number := finite_number(end)) is not None]
    low, span = min(known), (max(known) - min(known)) or 1.0

    def place(value: float) -> str:
        return f"left:{100 * (value - low) / span:.2f}%"

    rows = []
    for score in scores:
        colour = colours[score.group]
        marks = "" if reference is None else f'<i class="wb-pixels" style="{place(reference)}"></i>'
        if score.untrained is not None:
            marks += f'<i class="wb-untrained" style="{place(score.untrained)}"></i>'
        ends = finite_number(score.low), finite_number(score.high)
        if ends[0] is not None and ends[1] is not None:
            width = f"width:{100 * (ends[1] - ends[0]) / span:.2f}%;background:{colour}"
            marks += f'<i class="wb-interval" style="{place(ends[0])};{width}"></i>'
        marks += f'<i class="wb-value" style="{place(score.value)};background:{colour}"></i>'
        head = f"<b>{escape(score.label)}</b><span>{escape(score.text)}</span>"
        rows.append(f'<div><div class="wb-head">{head}</div><div class="wb-line">{marks}</div></div>')
    return f'<div class="wb-dots">{"".join(rows)}</div>'
