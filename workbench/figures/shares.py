"""Figures of what a sweep measures beside top-1: a panel per measure, and the shares of variance."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.comparison.likelihood import SIGNS
from workbench.comparison.shares import by_quantity, share_text
from workbench.figures.dots import NAME_ROW, ROW, Baseline, Dot, offsets, plot
from workbench.figures.drawing import Drawing, tip
from workbench.figures.study import GAP, PANEL, intervals, legend, names_with_seeds
from workbench.figures.style import NOTE, TEXT, TITLE, Sheet, widest, wrap
from workbench.format import is_number
from workbench.palette import GREY, distinct

HEAD, FOOT = 92.0, 34.0  # above and below the rows of a panel
NAMED = 3  # baselines at most that a panel names beside their lines
BAR, SHARE_ROW = 345.0, 21.0
QUANTITIES = {"likelihood": ("total", "5 importance samples", "50 importance samples")}  # by default all
LEAST = {"layers": 5.0, "factors": 0.1, "reconstruction": 1.0, "decoder": 1.0, "likelihood": 0.1}  # that an axis spans


@dataclass(frozen=True)
class Panels(Drawing):
    """A panel per measure with a row per cell: means with intervals; untrained networks hollow, baselines dashed.

    Of likelihoods the untrained networks, which are far off any scale, are left out.

    Attributes:
        record: as ``sweep.json``, with tables.
    """

    record: Mapping[str, Any]

    def heading(self) -> str:
        return self.record["title"]

    def draw(self, sheet: Sheet) -> None:
        labels = names_with_seeds(self.record)
        left = 12 + widest(list(labels.values()))
        height = HEAD + ROW * len(labels) + FOOT
        tables = {measure: table for measure, table in self.record["tables"].items() if table["means"]}
        for index, (measure, table) in enumerate(tables.items()):
            x, top = left + index % 2 * (PANEL + GAP), index // 2 * height + HEAD
            if index % 2 == 0:
                for row, label in enumerate(labels.values()):
                    sheet.text(left - 12, top + ROW * (row + 0.5) + TEXT / 3, label, align="right")
            self._panel(sheet, measure, table, x, top)
        sheet.text(0, 0, self.heading(), size=TITLE)
        words = f"{self.record['data']}, scale {self.record['scale']}. Bars: {intervals(self.record)}. "
        words += "Hollow: the same networks untrained. Dashed: what needs no network; sweep.md has its numbers."
        width = left + min(2, max(1, len(tables))) * (PANEL + GAP) - GAP
        sheet.lines(0, -(-len(tables) // 2) * height + 16, wrap(words, width))

    def _panel(self, sheet: Sheet, measure: str, table: Mapping[str, Any], left: float, top: float) -> None:
        cells = [cell["cell"] for cell in self.record["cells"]]
        means = [row for row in table["means"] if _is_drawn(measure, row)]
        quantities = list(dict.fromkeys(row["quantity"] for row in means if row["cell"] is not None))
        means = [row for row in means if row["quantity"] in quantities]
        colours = dict(zip(quantities, distinct(len(quantities)), strict=True))
        present = {(row["cell"], row["quantity"]) for row in means}
        own = {cell: [q for q in quantities if (cell, q) in present] for cell in cells}
        offset = {(c, q): y for c, named in own.items() for q, y in zip(named, offsets(len(named)), strict=True)}
        named = {row["model"]: row for row in reversed(means) if row["cell"] is None}
        dots, baselines = [], []
        for row in means:
            colour, value, sign = colours[row["quantity"]], _in_share(row, row["value"]), row.get("sign", "")
            words = f"{row['cell'] or ''} {row['model']}, {row['quantity']}: {sign}{value:.3g}".strip()
            if row["cell"] is None:
                name = row["model"] if len(named) <= NAMED and named[row["model"]] is row else ""
                baselines.append(Baseline(value, colour, words, name))
                continue
            is_run = row["model"] == "run"
            low, high = (_in_share(row, row[key]) if is_run else None for key in ("low", "high"))
            place = cells.index(row["cell"]) + offset[row["cell"], row["quantity"]]
            note = "estimate" * (is_run and sign == SIGNS["estimate"])
            dots.append(Dot(place, value, low, high, colour, hollow=not is_run, note=note, tip=words))
        plot(sheet, left, top, PANEL, len(cells), dots, baselines, least=LEAST[measure])
        sheet.text(left, top - HEAD + 26, table["title"], weight="bold")
        if len(quantities) > 1:
            legend(sheet, left, top - 10 - NAME_ROW * sum(bool(line.name) for line in baselines), PANEL, colours)


def _is_drawn(measure: str, row: Mapping[str, Any]) -> bool:
    if not is_number(row["value"]) or row["quantity"] not in QUANTITIES.get(measure, (row["quantity"],)):
        return False
    if measure == "likelihood":
        return row["model"] == "run" or row["cell"] is None
    return measure != "decoder" or not row["model"].startswith("pca")  # of each width


def _in_share(row: Mapping[str, Any], value: Any) -> Any:
    """A value as a panel has it: the accuracy of a factor as a part of 1, beside parts of variance."""
    return value / 100 if is_number(value) and row["measure"] == "factors" and row["metric"] == "top1" else value


@dataclass(frozen=True)
class Shares(Drawing):
    """A bar per quantity, cut into the shares of both labels, their interaction and seeds.

    Attributes:
        record: as ``sweep.json``, with shares.
    """

    record: Mapping[str, Any]

    def heading(self) -> str:
        return f"{self.record['title']}: shares of variance"

    def draw(self, sheet: Sheet) -> None:
        grouped = by_quantity(self.record["shares"])
        names = [m if m == q else f"{m}: {q}" for m, q in grouped]
        parts = [row["part"] for row in next(iter(grouped.values()))]
        colours = dict(zip(parts, (*distinct(len(parts) - 1), GREY), strict=True))
        left = 12 + widest(names)
        sheet.text(0, -40, self.heading(), size=TITLE)
        legend(sheet, left, -10, BAR, colours)
        axes = sheet.axes(left, 0, BAR, SHARE_ROW * len(names))
        axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5))
        axes.set_axis_off()
        for row, (name, shares) in enumerate(zip(names, grouped.values(), strict=True)):
            sheet.text(left - 12, SHARE_ROW * (row + 0.5) + TEXT / 3, name, align="right")
            start = 0.0
            for share in shares:
                if not is_number(value := share["value"]):
                    continue
                (bar,) = axes.barh(row, value, 0.75, start, color=colours[share["part"]])
                tip(bar, f"{name}, {share['part']}: {share_text(share)} %")
                if value > 0.07:
                    look = {"ha": "center", "va": "center_baseline", "size": NOTE, "color": "white"}
                    axes.text(start + value / 2, row, f"{100 * value:.0f}", **look)
                start += value
        where = f"{self.record['data']}, scale {self.record['scale']}"
        words = f"% of the variance among runs on {where}; sweep.md has the intervals."
        sheet.lines(0, SHARE_ROW * len(names) + 16, wrap(words, left + BAR))
