"""A matrix as coloured cells with their numbers, and rows of images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.figures.drawing import Drawing, tip
from workbench.figures.style import FAINT, INK, NOTE, TEXT, Sheet, light_or_dark, text_width, widest, wrap
from workbench.palette import MAGNITUDE


def cell(
    sheet: Sheet, left: float, top: float, width: float, height: float, share: float, lines: Sequence[str]
) -> None:
    """Draw one cell: the colour of a share from 0 to 1, grey for NaN, and lines of text, the first one larger."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    colour = colormaps[MAGNITUDE](float(np.clip(share, 0, 1)))[:3] if np.isfinite(share) else None
    place = (left / 72, -(top + height) / 72)
    box = Rectangle(place, (width - 1) / 72, (height - 1) / 72, facecolor=FAINT if colour is None else colour)
    tip(box, " ".join(lines))
    sheet.figure.add_artist(box)
    ink = INK if colour is None else light_or_dark(colour)
    baseline = top + height / 2 + TEXT / 3 - 5.5 * (len(lines) - 1)
    for index, line in enumerate(lines):
        size = NOTE - 1 if index else TEXT if len(lines) == 1 else TEXT + 2
        size = min(size, size * (width - 4) / max(text_width(line, size), 1.0))
        sheet.text(left + width / 2, baseline + 12 * index, line, align="center", size=size, color=ink)


@dataclass(frozen=True)
class HeatMap(Drawing):
    """Cells (rows, columns) coloured by values from 0 to 1, grey where NaN, with their text.

    Attributes:
        columns: names above, as often broken into lines as they need.
    """

    title: str
    values: np.ndarray
    text: Sequence[Sequence[str]]
    rows: Sequence[str]
    columns: Sequence[str]
    width: float = 500.0

    def heading(self) -> str:
        return self.title

    def draw(self, sheet: Sheet) -> None:
        left = widest(self.rows) + 10
        wide = min(110.0, max(44.0, (self.width - left) / len(self.columns)))
        for j, name in enumerate(self.columns):
            lines = wrap(name, wide - 6)
            sheet.lines(left + (j + 0.5) * wide, -6 - 11 * (len(lines) - 1), lines, align="center", color=INK)
        for i, name in enumerate(self.rows):
            sheet.text(left - 10, 24 * i + 12 + TEXT / 3, name, align="right")
            for j in range(len(self.columns)):
                cell(sheet, left + j * wide, 24 * i, wide, 24, float(self.values[i, j]), [self.text[i][j]])


@dataclass(frozen=True)
class Strip(Drawing):
    """Images uint8 (n, H, W, C) by name, a row each; the same column is the same image."""

    title: str
    images: Mapping[str, np.ndarray]
    width: float = 500.0
    has_pictures = True

    def heading(self) -> str:
        return self.title

    def draw(self, sheet: Sheet) -> None:
        names = {name: wrap(name, 150, TEXT) for name in self.images}
        left = widest([line for lines in names.values() for line in lines]) + 10
        side = (self.width - left) / max(map(len, self.images.values()))
        for row, (name, images) in enumerate(self.images.items()):
            baseline = side * (row + 0.5) + TEXT / 3 - 5.5 * (len(names[name]) - 1)
            sheet.lines(left - 10, baseline, names[name], align="right", size=TEXT, color=INK)
            for column, image in enumerate(images):
                axes = sheet.axes(left + column * side, row * side, side - 3, side - 3)
                colours = np.broadcast_to(image, (*image.shape[:2], 3))
                axes.imshow(colours, interpolation="none", clip_on=False)
                axes.set_axis_off()
