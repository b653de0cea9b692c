"""The figure of a study of augmentations, from what ``composition.json`` holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.figures.drawing import Drawing
from workbench.figures.heat_map import cell
from workbench.figures.style import MUTED, TEXT, TITLE, Sheet, widest, wrap

WIDTH, HEIGHT, GAP = 62, 40, 8  # of a cell, and before the means
NARROWEST = 460  # of the whole figure


@dataclass(frozen=True)
class Augmentations(Drawing):
    """A square of cells with the means of rows and columns, the baselines and the protocol beneath.

    Attributes:
        record: with ``transformations``, ``rows``, ``means``, ``protocol``, ``n``, ``seeds``, ``method``, ``data``;
            cells that are not there yet stay empty.
    """

    record: Mapping[str, Any]

    def heading(self) -> str:
        where = f"{self.record['method']} on {self.record['data']}"
        return f"Linear probe of {where}, top-1 %, by the transformations of one view"

    def draw(self, sheet: Sheet) -> None:
        names = list(self.record["transformations"])
        rows = {(row["first"], row["second"] or row["first"]): row for row in self.record["rows"] if _is_run(row)}
        values = [row["value"] for row in rows.values()]
        low, high = (min(values), max(values)) if values else (0.0, 0.0)
        left, last = 26 + widest([*names, "mean"]), len(names)

        def place(x: int, y: int) -> tuple[float, float]:
            return left + x * WIDTH + GAP * (x == last), y * HEIGHT + GAP * (y == last)

        def number(x: int, y: int, row: Mapping[str, Any]) -> None:
            share = (row["value"] - low) / (high - low) if high > low else 0.5
            lines = [f"{row['value']:.1f}", f"{row['low']:.1f} to {row['high']:.1f}"]
            cell(sheet, *place(x, y), WIDTH, HEIGHT, share, lines)

        for index, name in enumerate([*names, "mean"] if self.record["means"] else names):
            x, y = place(index, index)
            sheet.text(x + WIDTH / 2, -8, name, align="center")
            sheet.text(left - 10, y + HEIGHT / 2 + TEXT / 3, name, align="right")
        for y, first in enumerate(names):
            for x, second in enumerate(names):
                if (first, second) in rows:
                    number(x, y, rows[first, second])
                else:
                    cell(sheet, *place(x, y), WIDTH, HEIGHT, float("nan"), [])
        for row in self.record["means"]:
            number(*((last, names.index(row["first"])) if "first" in row else (names.index(row["second"]), last)), row)
        middle = WIDTH * last / 2
        sheet.text(left + middle, -24, "second transformation", align="center", color=MUTED)
        sheet.text(8, HEIGHT * last / 2, "first transformation", align="center", va="center", rotation=90, color=MUTED)
        sheet.text(0, -46, self.heading(), size=TITLE)
        width = max(NARROWEST, left + (last + 1) * WIDTH + GAP)
        y = place(last, last)[1] + (HEIGHT if self.record["means"] else 0) + 20
        for sentence in self._notes():
            y = sheet.lines(0, y, wrap(sentence, width))

    def _notes(self) -> list[str]:
        """The baselines, and how all was measured."""
        record = self.record
        baselines = [
            f"{row['model']} {row['value']:.1f} % [{row['low']:.1f}, {row['high']:.1f}]"
            for row in record["rows"]
            if not _is_run(row)
        ]
        seeds = ", ".join(str(seed) for seed in record["seeds"])
        protocol = f"On the diagonal one transformation alone. {record['protocol']} n = {record['n']:,}, seed {seeds}."
        return [*([f"For comparison: {', '.join(baselines)}."] if baselines else []), protocol]


def _is_run(row: Mapping[str, Any]) -> bool:
    return row["model"] == "run"
