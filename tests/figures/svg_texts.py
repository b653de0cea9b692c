"""Where an SVG's texts stand, by the metrics of the font that the figures are laid out with."""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from workbench.figures.style import text_width

SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Text:
    words: str
    anchor: str
    size: float
    left: float
    right: float
    bottom: float

    def overlaps(self, other: "Text") -> bool:
        """Whether letters of one stand on letters of the other; lines may be as near as letters are high."""
        beside = self.left < other.right - 0.5 and other.left < self.right - 0.5
        return beside and abs(self.bottom - other.bottom) < 0.75 * min(self.size, other.size)


def words_of(file: Path, tag: str = "text") -> list[str]:
    """What the elements of an SVG say, in order."""
    return [element.text or "" for element in ElementTree.parse(file).iter(f"{SVG}{tag}")]


def texts_of(svg: str) -> tuple[float, float, list[Text]]:
    """Width and height of the picture, and its horizontal texts."""
    root = ElementTree.fromstring(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    texts = []
    for element in root.iter(f"{SVG}text"):
        own = element.attrib
        if "transform" in own:  # it is turned
            continue
        words, style = element.text or "", own["style"]
        size = float(re.findall(r"font-size: ([\d.]+)px", style)[0])
        anchor = re.findall(r"text-anchor: (\w+)", style)[0]
        with warnings.catch_warnings(action="ignore"):
            wide = text_width(words, size, "font-weight: 700" in style)
        x = float(own["x"])
        left = x - {"start": 0, "middle": wide / 2, "end": wide}[anchor]
        texts.append(Text(words, anchor, size, left, left + wide, float(own["y"])))
    return width, height, texts
