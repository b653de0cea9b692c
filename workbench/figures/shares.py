"""Figures of what a sweep tells beside top-1, as SVG: a panel per measure, and the shares of variance."""

from collections.abc import Mapping
from html import escape
from textwrap import wrap
from typing import Any

from workbench.comparison.shares import SIGNS, by_quantity, share_text
from workbench.figures import svg
from workbench.format import is_number

ROW, PANEL, GAP, LINE = 32, 300, 56, 16
HEAD, FOOT = 96, 40  # above and below the rows of a panel
ACROSS = 2  # panels
NAMED = 3  # baselines at most that a panel names beside their lines
BAR, LEFT = 460, 260  # of the shares
SHARE_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#BBBBBB")
DRAWN = {"likelihood": ("total", "5 importance samples", "50 importance samples")}  # by default all quantities
NARROWEST = {"layers": 5.0, "factors": 0.1, "reconstruction": 1.0, "decoder": 1.0, "likelihood": 0.1}


def panels(record: Mapping[str, Any]) -> str:
    """A panel per measure with a row per cell: means with intervals; untrained networks hollow, baselines dashed.

    Of likelihoods the untrained networks, which are far off any scale, are left out.

    Args:
        record: as ``sweep.json``, with tables.
    """
    labels = svg.with_seeds([cell["cell"] for cell in record["cells"]], record["costs"], len(record["seeds"]))
    left = 34 + 7.4 * max(map(len, labels.values()))
    height = HEAD + ROW * len(labels) + FOOT
    parts = [svg.text(20, 30, record["title"], anchor="start", size=17)]
    drawn = [(measure, table) for measure, table in record["tables"].items() if table["means"]]
    for index, (measure, table) in enumerate(drawn):
        x, y = left + (index % ACROSS) * (PANEL + GAP), 44 + (index // ACROSS) * height
        parts += _panel(measure, table, labels, x, y, names=index % ACROSS == 0)
    width = left + min(ACROSS, max(1, len(drawn))) * (PANEL + GAP)
    y = 44 + -(-len(drawn) // ACROSS) * height + LINE
    seeds = len(record["seeds"])
    bars = "95 % intervals over seeds (Student's t)" if seeds > 1 else "95 % intervals over test images"
    said = f"{record['data']}, scale {record['scale']}. Bars: {bars}. Hollow: the same networks untrained. "
    said += "Dashed: what needs no network; sweep.md has its numbers."
    for words in wrap(said, int((width - 40) / svg.LETTER)):
        parts.append(svg.text(20, y, words, anchor="start", size=12, colour="#444"))
        y += LINE
    return svg.document(width, y + 4, record["title"], parts)


def shares(record: Mapping[str, Any]) -> str:
    """A bar per quantity, cut into the shares of both labels, their interaction and seeds.

    Args:
        record: as ``sweep.json``, with shares.
    """
    grouped = by_quantity(record["shares"])
    names = [row["part"] for row in next(iter(grouped.values()))]
    title, x = f"{record['title']}: shares of variance", LEFT
    parts = [svg.text(20, 30, title, anchor="start", size=17)]
    for name, colour in zip(names, SHARE_COLOURS, strict=True):
        parts.append(f'<rect x="{x}" y="50" width="12" height="12" fill="{colour}"/>')
        parts.append(svg.text(x + 18, 60, name, anchor="start", size=12))
        x += 40 + svg.LETTER * len(name)
    y = 80
    for (measure, quantity), rows in grouped.items():
        told = measure if measure == quantity else f"{measure}: {quantity}"
        parts.append(svg.text(LEFT - 12, y + 15, told, anchor="end", size=13))
        start = LEFT
        for row, colour in zip(rows, SHARE_COLOURS, strict=True):
            if not is_number(row["value"]):
                continue
            width = BAR * row["value"]
            tip = f"{told}, {row['part']}: {share_text(row)} %"
            parts.append(
                f'<rect x="{start:.1f}" y="{y}" width="{width:.1f}" height="20" fill="{colour}">'
                f"<title>{escape(tip)}</title></rect>"
            )
            if row["value"] > 0.07:
                parts.append(svg.text(start + width / 2, y + 15, f"{100 * row['value']:.0f}", size=12, colour="#fff"))
            start += width
        y += 28
    said = f"% of the variance among runs on {record['data']}, scale {record['scale']}; intervals stand in sweep.md."
    for words in wrap(said, int((LEFT + BAR) / svg.LETTER)):
        y += LINE
        parts.append(svg.text(20, y, words, anchor="start", size=12, colour="#444"))
    return svg.document(LEFT + BAR + 30, y + 14, title, parts)


def _panel(
    measure: str, table: Mapping[str, Any], labels: Mapping[str, str], left: float, top: float, *, names: bool
) -> list[str]:
    wanted, cells = DRAWN.get(measure), list(labels)
    means = [row for row in table["means"] if is_number(row["value"]) and (not wanted or row["quantity"] in wanted)]
    means = [row for row in means if measure != "likelihood" or row["model"] == "run" or row["cell"] is None]
    means = [row for row in means if measure != "decoder" or not row["model"].startswith("pca")]  # of each width
    quantities = list(dict.fromkeys(row["quantity"] for row in means if row["cell"] is not None))
    shown = [row for row in means if row["quantity"] in quantities]
    shown = [row | {"value": _in_share(row, row["value"])} for row in shown]
    values = [row["value"] for row in shown]
    values += [_in_share(r, r[key]) for r in shown for key in ("low", "high") if r["cell"] and is_number(r[key])]
    low, high, ticks = svg.scale(values, NARROWEST[measure])
    first, bottom = top + HEAD, top + HEAD + ROW * len(cells)
    parts = [svg.text(left, top + 20, table["title"], anchor="start", size=13, more='font-weight="600"')]
    colours = dict(zip(quantities, svg.PALETTE * (1 + len(quantities) // len(svg.PALETTE)), strict=False))
    x, y = left, top + 42
    for quantity in quantities if len(quantities) > 1 else ():
        if x > left and x + 20 + svg.LETTER * len(quantity) > left + PANEL:
            x, y = left, y + LINE + 2
        parts.append(f'<circle cx="{x + 5}" cy="{y - 4}" r="4.5" fill="{colours[quantity]}"/>')
        parts.append(svg.text(x + 14, y, quantity, anchor="start", size=12))
        x += 30 + svg.LETTER * len(quantity)
    for index, cell in enumerate(cells):
        y = first + ROW * (index + 0.5)
        parts.append(f'<line x1="{left}" x2="{left + PANEL}" y1="{y}" y2="{y}" stroke="#eee"/>')
        if names:
            parts.append(svg.text(left - 12, y + 5, labels[cell], anchor="end", size=13))
    has = {
        cell: [q for q in quantities if any((r["cell"], r["quantity"]) == (cell, q) for r in shown)] for cell in cells
    }
    offsets = {(cell, q): y for cell, own in has.items() for q, y in zip(own, svg.spread(len(own)), strict=True)}
    lines, told = [row for row in shown if row["cell"] is None], set[str]()
    for row in shown:
        colour, x = colours[row["quantity"]], svg.at(row["value"], low, high, left, PANEL)
        sign = row.get("sign", "")
        tip = f"{row['cell'] or ''} {row['model']}, {row['quantity']}: {sign}{row['value']:.3g}".strip()
        if row["cell"] is None:
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{first}" y2="{bottom}" stroke="{colour}" '
                f'stroke-dasharray="4 3"><title>{escape(tip)}</title></line>'
            )
            if len({line["model"] for line in lines}) <= NAMED and row["model"] not in told:
                told.add(row["model"])
                end = x > left + PANEL / 2
                at = x + (-4 if end else 4), first + 11 + 13 * lines.index(row)
                parts.append(svg.text(*at, row["model"], anchor="end" if end else "start", size=11, colour=colour))
            continue
        y, own = (
            first + ROW * (cells.index(row["cell"]) + 0.5) + offsets[row["cell"], row["quantity"]],
            row["model"] == "run",
        )
        known = own and is_number(row["low"]) and is_number(row["high"])
        bounds = [_in_share(row, row[key]) for key in ("low", "high")] if known else []
        ends = [svg.at(bound, low, high, left, PANEL) for bound in bounds]
        parts += svg.dot(x, y, colour, tip, filled=own, ends=ends)
        if own and sign == SIGNS["estimate"]:
            parts.append(svg.text(max([x, *ends]) + 9, y + 4, "estimate", anchor="start", size=11, colour="#666"))
    return parts + svg.axis(left, bottom, PANEL, low, high, ticks)


def _in_share(row: Mapping[str, Any], value: float) -> float:
    """A value as a panel has it: the accuracy of a factor as a part of 1, beside parts of variance."""
    return value / 100 if row["measure"] == "factors" and row["metric"] == "top1" else value
