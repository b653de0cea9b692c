"""The figure of a sweep as SVG, from what ``sweep.json`` holds: a row per cell, beside it what was published."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from workbench.figures import svg
from workbench.figures.viridis import viridis

ROW, TOP, PANEL, GAP, RIGHT = 30, 118, 300, 46, 30  # px; TOP is below headings of three lines
LINE, LEGEND_ROW = 15, 18
CURVE_HEIGHT, CURVE_WIDTH, CURVE_LEFT = 210, 2 * PANEL, 60
NARROWEST = 5.0  # points that an axis shows at least, so that small differences look small
COLOURS = dict(zip(("linear", "knn", "finetune", "transfer", "transfer_finetune"), svg.PALETTE, strict=False))
TITLES = {"linear": "linear probe", "knn": "kNN", "finetune": "fine-tuned", "transfer": "transfer, probe"} | {
    "transfer_finetune": "transfer, fine-tuned"
}
OVER_IMAGES = "; 95 % bootstrap interval over test images"  # in protocols; here it is said of all at once


def figure(record: Mapping[str, Any]) -> str:
    """Our means with their intervals, untrained networks hollow, pixels as dashed lines; published numbers in panels of
    their own, each with its own scale and setting; of a ``curve``, kNN over the epochs beneath.

    Args:
        record: as ``sweep.json``; cells that are not there yet have an empty row.
    """
    cells = [cell["cell"] for cell in record["cells"]]
    names = list(dict.fromkeys([*cells, *(name for block in record["published"] for name in block["values"])]))
    headings = [_here(record), *map(_heading, record["published"])]
    top = TOP + LINE * max(0, *(len(heading) - 3 for heading in headings))
    labels = {name: name for name in names} | svg.with_seeds(cells, record["costs"], len(record["seeds"]))
    left = 34 + 7.8 * max(map(len, labels.values()))  # of the best cell, which is bold
    bottom = top + ROW * len(names)
    parts = [svg.text(20, 30, record["title"], anchor="start", size=17)]
    for index, lines in enumerate(headings):
        parts += _lines(left + index * (PANEL + GAP), 54, lines)
    for index, name in enumerate(names):
        y = top + ROW * (index + 0.5)
        parts.append(f'<line x1="{left}" x2="{left + PANEL}" y1="{y}" y2="{y}" stroke="#eee"/>')
        weight = ' font-weight="600"' if name == record["best"] else ""
        parts.append(svg.text(left - 12, y + 5, labels[name], anchor="end", more=weight))
    parts += _ours(record, names, left, top)
    for index, block in enumerate(record["published"], start=1):
        parts += _published(block, names, left + index * (PANEL + GAP), top)
    width = left + len(headings) * (PANEL + GAP) - GAP + RIGHT
    y = bottom + 44
    if record["figure"] == "curve" and record["curves"]:
        parts += _curves(record["curves"], cells, y + 20)
        y += max(CURVE_HEIGHT, LEGEND_ROW * len(cells)) + 80
        width = max(width, CURVE_LEFT + CURVE_WIDTH + 32 + 6.4 * max(map(len, cells)) + RIGHT)
    for line in _notes(record, int((width - 40) / svg.LETTER)):
        parts.append(svg.text(20, y, line, anchor="start", size=12, colour="#444"))
        y += 18
    return svg.document(width, y, record["title"], parts)


def _ours(record: Mapping[str, Any], names: Sequence[str], left: float, top: float) -> list[str]:
    means, bottom = record["means"], top + ROW * len(names)
    bounds = [row[key] for row in means for key in ("value", "low", "high") if row[key] is not None]
    low, high, ticks = svg.scale(bounds, NARROWEST)
    parts = svg.axis(left, bottom, PANEL, low, high, ticks)
    offset, x = dict(zip(record["measures"], svg.spread(len(record["measures"])), strict=True)), left
    for measure in record["measures"]:
        parts.append(f'<circle cx="{x + 5}" cy="{top - 14}" r="4.5" fill="{COLOURS[measure]}"/>')
        parts.append(svg.text(x + 14, top - 10, TITLES[measure], anchor="start", size=12))
        x += 30 + 6.4 * len(TITLES[measure])
    for row in means:
        colour, x = COLOURS[row["measure"]], svg.at(row["value"], low, high, left, PANEL)
        if row["cell"] is None:
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" stroke="{colour}" stroke-dasharray="4 3"/>'
            )
            continue
        y = top + ROW * (names.index(row["cell"]) + 0.5) + offset[row["measure"]]
        own = row["model"] == "run"
        known = own and row["low"] is not None and row["high"] is not None
        ends = [svg.at(row[key], low, high, left, PANEL) for key in ("low", "high")] if known else []
        tip = f"{row['cell']}, {row['model']}, {TITLES[row['measure']]}: {row['value']:.1f} %"
        parts += svg.dot(x, y, colour, tip, filled=own, ends=ends)
    return parts


def _published(block: Mapping[str, Any], names: Sequence[str], left: float, top: float) -> list[str]:
    values = block["values"]
    low, high, ticks = svg.scale(list(values.values()), NARROWEST)
    parts = svg.axis(left, top + ROW * len(names), PANEL, low, high, ticks)
    for name, value in values.items():
        x, y = svg.at(value, low, high, left, PANEL), top + ROW * (names.index(name) + 0.5)
        parts.append(f'<line x1="{left}" x2="{left + PANEL}" y1="{y}" y2="{y}" stroke="#eee"/>')
        parts.append(f'<rect x="{x - 4:.1f}" y="{y - 4}" width="8" height="8" fill="#555"/>')
        end = x > left + PANEL - 44
        parts.append(
            svg.text(x - 9 if end else x + 9, y + 4.5, f"{value:.1f}", anchor="end" if end else "start", size=12)
        )
    return parts


def _curves(curves: Sequence[Mapping[str, Any]], cells: Sequence[str], top: float) -> list[str]:
    """kNN on validation images over the epochs: the mean over seeds, each seed thin behind it."""
    left, width = CURVE_LEFT, CURVE_WIDTH
    low, high, ticks = svg.scale([value for curve in curves for value in curve["knn"]], NARROWEST)
    last = max(curve["epoch"][-1] for curve in curves)

    def line(epochs: Sequence[float], values: Sequence[float], colour: str, more: str) -> str:
        points = " ".join(
            f"{left + width * epoch / last:.1f},{top + CURVE_HEIGHT * (1 - (value - low) / (high - low)):.1f}"
            for epoch, value in zip(epochs, values, strict=True)
        )
        return f'<polyline points="{points}" fill="none" stroke="{colour}" {more}/>'

    parts = [
        svg.text(left, top - 12, "kNN on validation images while training, top-1 %, by epoch", anchor="start", size=13)
    ]
    for tick in ticks:
        y = top + CURVE_HEIGHT * (1 - (tick - low) / (high - low))
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eee"/>')
        parts.append(svg.text(left - 8, y + 4, f"{tick:g}", anchor="end", size=11, colour="#666"))
    for share in (0.0, 0.5, 1.0):
        parts.append(
            svg.text(left + width * share, top + CURVE_HEIGHT + 18, f"{last * share:g}", size=11, colour="#666")
        )
    for index, cell in enumerate(cells):
        own, colour = [c for c in curves if c["cell"] == cell], viridis(0.9 * index / max(len(cells) - 1, 1))
        if not own:
            continue
        if len(own) > 1:
            parts += [line(curve["epoch"], curve["knn"], colour, 'stroke-width="1" opacity="0.3"') for curve in own]
        length = min(len(curve["knn"]) for curve in own)
        mean = [sum(curve["knn"][i] for curve in own) / len(own) for i in range(length)]
        parts.append(line(own[0]["epoch"][:length], mean, colour, 'stroke-width="2"'))
        y = top + 14 + LEGEND_ROW * index
        parts.append(f'<rect x="{left + width + 14}" y="{y - 8}" width="12" height="4" fill="{colour}"/>')
        parts.append(svg.text(left + width + 32, y - 1, cell, anchor="start", size=12))
    return parts


def _here(record: Mapping[str, Any]) -> list[str]:
    """The heading of our panel, in lines."""
    seeds = record["seeds"]
    told = f"{len(seeds)} seeds" if len(seeds) > 1 else "one seed"
    return wrap(f"here: {record['data']}, scale {record['scale']}, {told}, top-1 %", int(PANEL / svg.LETTER))


def _heading(block: Mapping[str, Any]) -> list[str]:
    """The heading of a panel of published numbers, in lines: all of their setting and source."""
    return wrap(f"published: {block['setting']} ({block['source']})", int(PANEL / svg.LETTER))


def _lines(left: float, top: float, lines: Sequence[str]) -> list[str]:
    return [
        svg.text(left, top + LINE * index, line, anchor="start", size=12, colour="#444")
        for index, line in enumerate(lines)
    ]


def _notes(record: Mapping[str, Any], columns: int) -> list[str]:
    seeds = record["seeds"]
    bars = "95 % intervals over seeds (Student's t)" if len(seeds) > 1 else "95 % bootstrap intervals over test images"
    said = f"Bars: {bars}. Hollow: the same networks untrained. Dashed: pixels. "
    if record["best"]:
        said += "Bold: best on validation images. "
    if record["published"]:
        said += "Published numbers are of other data and networks, as their headings say; the scales differ."
    told = [f"{TITLES[m]}, n = {record['n'][m]:,}: {text}" for m, text in record["protocols"].items() if text]
    told = [text.replace(OVER_IMAGES, "") for text in told]
    return [line for sentence in (said, *told) for line in wrap(sentence, columns)]
