"""The figure of a sweep, from what ``sweep.json`` holds: a row per cell, beside it what was published."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.comparison.colours import colour_indices
from workbench.figures.dots import ROW, Baseline, Dot, offsets, plot, round_ticks
from workbench.figures.drawing import Drawing, tip
from workbench.figures.style import FAINT, LINE, MUTED, NOTE, TEXT, TITLE, Sheet, text_width, wrap
from workbench.palette import distinct, run_colour, run_colours

PANEL, GAP = 225.0, 34.0
CURVE_WIDTH, CURVE_HEIGHT, LEGEND_ROW = 2 * PANEL, 155.0, 13.0
LEAST = 5.0  # points that an axis spans at least, so that small differences look small
TITLES = {
    "linear": "linear probe",
    "knn": "kNN",
    "finetune": "fine-tuned",
    "transfer": "transfer, probe",
    "transfer_finetune": "transfer, fine-tuned",
}
COLOURS = dict(zip(TITLES, distinct(len(TITLES)), strict=True))
DASHES = ("-", "--", ":")  # of a colour's shades
OVER_IMAGES = re.compile(r"; 95 % \w+ interval over test images")  # in protocols; here it is said of all at once


def names_with_seeds(record: Mapping[str, Any]) -> dict[str, str]:
    """What to call each cell of a sweep: where runs of some seeds are missing, how many there are."""
    runs, seeds = Counter(row["cell"] for row in record["costs"]), len(record["seeds"])
    names = [cell["cell"] for cell in record["cells"]]
    return {name: f"{name} ({runs[name]} of {seeds} seeds)" if 0 < runs[name] < seeds else name for name in names}


def colours_of_cells(record: Mapping[str, Any]) -> dict[str, int]:
    """Colour indices of a sweep's cells, which are groups of seeds; of an older record as in a folder of its own."""
    indices = colour_indices([str(cell.get("method")) for cell in record["cells"]])
    return {cell["cell"]: cell.get("colour", index) for cell, index in zip(record["cells"], indices, strict=True)}


def intervals(record: Mapping[str, Any]) -> str:
    """What the bars of a sweep's figure are."""
    return "95 % intervals over " + ("seeds (Student's t)" if len(record["seeds"]) > 1 else "test images")


def legend(sheet: Sheet, left: float, top: float, width: float, colours: Mapping[str, str]) -> None:
    """Draw names behind dots of their colours, in as many lines as they need; the last one stands on ``top``."""
    places, x, y = list[tuple[float, float]](), 0.0, 0.0
    for name in colours:
        if x > 0 and x + 10 + text_width(name, NOTE) > width:
            x, y = 0.0, y + LINE + 1
        places.append((left + x, y))
        x += 24 + text_width(name, NOTE)
    for (x, down), (name, colour) in zip(places, colours.items(), strict=True):
        sheet.dot(x + 3, top - y + down - 3, colour)
        sheet.text(x + 10, top - y + down, name, size=NOTE)


@dataclass(frozen=True)
class Study(Drawing):
    """Our means with their intervals, untrained networks hollow, pixels as dashed lines; published numbers in panels
    of their own, each with its own scale and setting; of a ``curve``, kNN over the epochs beneath.

    Attributes:
        record: as ``sweep.json``; cells that are not there yet have an empty row.
    """

    record: Mapping[str, Any]

    def heading(self) -> str:
        return self.record["title"]

    def draw(self, sheet: Sheet) -> None:
        record, labels = self.record, names_with_seeds(self.record)
        labels |= {name: name for block in record["published"] for name in block["values"] if name not in labels}
        rows = list(labels)
        left = 12 + max(text_width(label, TEXT, name == record["best"]) for name, label in labels.items())
        seeds = f"{len(record['seeds'])} seeds" if len(record["seeds"]) > 1 else "one seed"
        headings = [f"here: {record['data']}, scale {record['scale']}, {seeds}, top-1 %"]
        headings += [f"published: {block['setting']} ({block['source']})" for block in record["published"]]
        lines = [wrap(heading, PANEL) for heading in headings]
        above = LINE * max(map(len, lines))
        for index, own in enumerate(lines):
            sheet.lines(left + index * (PANEL + GAP), -28 - above + LINE, own)
        sheet.text(0, -46 - above, self.heading(), size=TITLE)
        for row, name in enumerate(rows):
            weight = "bold" if name == record["best"] else "normal"
            sheet.text(left - 12, ROW * (row + 0.5) + TEXT / 3, labels[name], align="right", weight=weight)
        self._here(sheet, left, rows)
        for index, block in enumerate(record["published"], start=1):
            values = block["values"].items()
            dots = [Dot(rows.index(name), v, colour=MUTED, note=f"{v:.1f}", marker="s") for name, v in values]
            plot(sheet, left + index * (PANEL + GAP), 0, PANEL, len(rows), dots, least=LEAST)
        y, width = ROW * len(rows) + 40, left + len(headings) * (PANEL + GAP) - GAP
        if record["figure"] == "curve" and record["curves"]:
            y = self._curves(sheet, y + 18) + 40
            width = max(width, CURVE_WIDTH)
        for sentence in self._notes():
            y = sheet.lines(0, y, wrap(sentence, width))

    def _here(self, sheet: Sheet, left: float, rows: Sequence[str]) -> None:
        measures = self.record["measures"]
        offset = dict(zip(measures, offsets(len(measures)), strict=True))
        dots, baselines = [], []
        for row in self.record["means"]:
            colour, measure = COLOURS[row["measure"]], TITLES[row["measure"]]
            words = f"{row['cell'] or ''} {row['model']}, {measure}: {row['value']:.1f} %".strip()
            if row["cell"] is None:
                baselines.append(Baseline(row["value"], colour, words))
                continue
            place, own = rows.index(row["cell"]) + offset[row["measure"]], row["model"] == "run"
            low, high = (row["low"], row["high"]) if own else (None, None)
            dots.append(Dot(place, row["value"], low, high, colour, hollow=not own, tip=words))
        plot(sheet, left, 0, PANEL, len(rows), dots, baselines, least=LEAST)
        legend(sheet, left, -10, PANEL, {TITLES[measure]: COLOURS[measure] for measure in measures})

    def _curves(self, sheet: Sheet, top: float) -> float:
        """kNN on validation images by epoch: the mean over seeds, each seed thin behind it; returns the bottom."""
        curves, left = self.record["curves"], 24
        sheet.text(0, top - 12, "kNN on validation images while training, top-1 %, by epoch", size=TEXT)
        axes = sheet.axes(left, top, CURVE_WIDTH - left, CURVE_HEIGHT)
        ticks = round_ticks([value for curve in curves for value in curve["knn"]], LEAST)
        last = max(curve["epoch"][-1] for curve in curves)
        axes.set(xlim=(0, last), ylim=(ticks[0], ticks[-1]), xticks=(0, last / 2, last))
        axes.set_yticks(ticks, [f"{round(tick, 9):g}" for tick in ticks])
        axes.tick_params("y", length=0)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.grid(axis="y", color=FAINT)
        entries = 0
        for name, index in colours_of_cells(self.record).items():
            own = [curve for curve in curves if curve["cell"] == name]
            if not own:
                continue
            look: dict[str, Any] = {"color": run_colour(index), "linestyle": DASHES[index // len(run_colours()) % 3]}
            for curve in own if len(own) > 1 else ():
                (line,) = axes.plot(curve["epoch"], curve["knn"], **look, linewidth=0.8, alpha=0.35)
                tip(line, f"{name}, seed {curve['seed']}")
            length = min(len(curve["knn"]) for curve in own)
            mean = [sum(curve["knn"][i] for curve in own) / len(own) for i in range(length)]
            (line,) = axes.plot(own[0]["epoch"][:length], mean, **look, linewidth=1.8, clip_on=False)
            tip(line, f"{name}, mean" if len(own) > 1 else name)
            place = sheet.axes(CURVE_WIDTH + 12, top + LEGEND_ROW * entries, 16, NOTE)
            place.plot((0, 1), (0, 0), **look, linewidth=1.8)
            place.set_axis_off()
            sheet.text(CURVE_WIDTH + 34, top + LEGEND_ROW * entries + NOTE - 1, name, size=NOTE)
            entries += 1
        return top + max(CURVE_HEIGHT, LEGEND_ROW * entries)

    def _notes(self) -> list[str]:
        record = self.record
        words = f"Bars: {intervals(record)}. Hollow: the same networks untrained. Dashed: pixels."
        if record["best"]:
            words += " Bold: best on validation images."
        if record["published"]:
            words += " Published numbers are of other data and networks, as their headings say; the scales differ."
        protocols = {measure: text for measure, text in record["protocols"].items() if text}
        return [words] + [
            OVER_IMAGES.sub("", f"{TITLES[measure]}, n = {record['n'][measure]:,}: {text}")
            for measure, text in protocols.items()
        ]
