"""What every figure can do: be saved as SVG, PNG, PDF, or as PGF for LaTeX."""

import io
import re
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from workbench.errors import WorkbenchError
from workbench.figures.style import Sheet, style
from workbench.figures.tex import escape
from workbench.files import replacing

if TYPE_CHECKING:
    from matplotlib.artist import Artist

SUFFIXES = (".svg", ".png", ".pdf", ".pgf")
FORMATS = (".svg", ".pdf")  # that a finished study has
INTERIM = 60.0  # seconds between drawings of a study that goes on
SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
TIP = "tip:"


class Drawing(ABC):
    """A figure as data, drawn when it is saved: the same data give the same bytes."""

    has_pictures = False
    """Whether it holds pixels, which PGF cannot."""

    @abstractmethod
    def heading(self) -> str:
        """What it shows, in a line."""

    @abstractmethod
    def draw(self, sheet: Sheet) -> None:
        """Place everything on an empty sheet."""

    def svg(self) -> str:
        """An SVG element with numbers where the mouse rests; without ids, so that a page can hold several."""
        return self.render(".svg").decode()

    def save(self, *paths: Path) -> None:
        """Write files of the formats that the suffixes name, each whole or not at all."""
        for path in paths:
            content = self.render(path.suffix)
            with replacing(path) as file:
                file.write(content)

    def render(self, suffix: str) -> bytes:
        """The content of a file in the format of a suffix among :data:`SUFFIXES`.

        Raises:
            WorkbenchError: PGF without LaTeX, or of pictures.
        """
        if suffix == ".pgf" and self.has_pictures:
            raise WorkbenchError("A figure with pictures cannot be PGF; save it as PDF.")
        undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        more: dict[str, Any] = {"metadata": undated[suffix]} if suffix in undated else {}
        buffer = io.StringIO() if suffix == ".pgf" else io.BytesIO()
        with style():
            sheet = Sheet()
            self.draw(sheet)
            if suffix == ".pgf":
                _escape_texts(sheet)
            try:
                sheet.figure.savefig(buffer, format=suffix[1:], dpi=200, **more)
            except (RuntimeError, FileNotFoundError) as error:
                if suffix != ".pgf":
                    raise
                raise WorkbenchError("PGF figures need LaTeX (pdflatex), which was not found; take PDF.") from error
        content = buffer.getvalue()
        content = _tidy(content, self.heading()) if suffix == ".svg" else content
        return content.encode() if isinstance(content, str) else content


def interim_formats(figure: Path) -> tuple[str, ...]:
    """Formats in which to draw a study that goes on: SVG (fonts make a PDF take ten times as long), or none where its
    SVG is younger than a minute, so that small runs do not wait for figures."""
    try:
        young = 0 <= time.time() - figure.stat().st_mtime < INTERIM
    except OSError:
        young = False
    return () if young else (".svg",)


def tip(artist: "Artist", words: str) -> None:
    """Let an SVG tell these words where the mouse rests on the artist."""
    artist.set_gid(TIP + words)


def _escape_texts(sheet: Sheet) -> None:
    """LaTeX sets the text of PGF, and must not take a name for a command."""
    from matplotlib.text import Text

    for text in sheet.figure.findobj(Text):
        if isinstance(text, Text):
            text.set_text(escape(text.get_text()))


def _tidy(text: str | bytes, title: str) -> str:
    """matplotlib's SVG without ids, references and metadata, with titles where :func:`tip` wants them."""
    root = ElementTree.fromstring(text)
    shapes: dict[str, dict[str, str]] = {}
    for parent in [*root.iter()]:
        for child in [*parent]:
            if child.tag == f"{SVG}defs":  # comes before what refers to it
                shapes |= {f"#{shape.get('id')}": shape.attrib for shape in child.iter(f"{SVG}path")}
            if child.tag in (f"{SVG}defs", f"{SVG}metadata"):
                parent.remove(child)
    for element in root.iter():
        own = element.attrib
        identity = own.pop("id", "")
        if identity.startswith(TIP):
            caption = ElementTree.Element(f"{SVG}title")
            caption.text = identity.removeprefix(TIP)
            element.insert(0, caption)
        if element.tag == f"{SVG}use":
            shape = shapes[own.pop(f"{XLINK}href")]
            element.tag = f"{SVG}path"
            own |= {"d": shape["d"], "transform": f"translate({own.pop('x')} {own.pop('y')})"}
            own["style"] = f"{shape.get('style', '')}; {own.get('style', '')}"
        if own.get("transform", "").startswith("rotate(-0 "):
            del own["transform"]
        if "d" in own:
            own["d"] = " ".join(own["d"].split())
        if element.tag == f"{SVG}text":
            own["style"] = re.sub(r"font-family: [^;]*(; )?", "", own["style"])
        if f"{XLINK}href" in own:
            own["href"] = own.pop(f"{XLINK}href")
    root.attrib |= {"role": "img", "style": "font-family: system-ui, sans-serif; font-variant-numeric: tabular-nums"}
    heading = ElementTree.Element(f"{SVG}title")
    heading.text = title
    root.insert(0, heading)
    ElementTree.register_namespace("", SVG[1:-1])
    return ElementTree.tostring(root, encoding="unicode") + "\n"
