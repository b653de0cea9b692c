"""Images as HTML: enlarged without smoothing and aligned in columns."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from PIL import Image
from plotly.colors import sample_colorscale

from workbench import palette

SIDE = 96  # px
SMALLEST = 0.5  # share of its side to which a tile shrinks on a narrow page


def data_uri(image: np.ndarray) -> str:
    """A uint8 image (H, W, C) with 1 or 3 channels as a data URI."""
    buffer = io.BytesIO()
    pixels = np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image)
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def sharp_uri(image: np.ndarray) -> str:
    """A small image enlarged threefold, for figures: a browser blurs the pixels of an image in an SVG."""
    return data_uri(np.kron(image, np.ones((3, 3, 1), np.uint8)) if image.shape[0] <= 64 else image)


def tag(image: np.ndarray, side: int = SIDE, title: str = "", **data: object) -> str:
    """An image element ``side`` pixels wide; pixels stay square where it is enlarged.

    Args:
        title: what the image shows; the lightbox repeats it.
        data: data attributes by name; empty ones are left out.
    """
    height, width = image.shape[:2]
    crisp = ' class="wb-px"' if width <= side else ""
    size = f'width="{side}" height="{round(side * height / width)}"'
    more = "".join(f' data-{key}="{escape(str(value))}"' for key, value in data.items() if value != "")
    return f'<img{crisp} src="{data_uri(image)}" {size} alt="{escape(title)}" title="{escape(title)}"{more}>'


def tiles(images: np.ndarray, side: int, columns: int) -> bytes:
    """Small copies of images side by side in one WebP, row by row.

    Args:
        images: uint8 (n, H, W, C) with 1 or 3 channels.
        side: pixels of a tile; larger images are shrunk.
        columns: tiles in a row.
    """
    sheet = np.zeros((-(-len(images) // columns) * side, columns * side, 3), np.uint8)
    for index, image in enumerate(np.broadcast_to(images, (*images.shape[:3], 3))):
        if image.shape[:2] != (side, side):
            image = np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((side, side), Image.Resampling.BOX))
        top, left = index // columns * side, index % columns * side
        sheet[top : top + side, left : left + side] = image
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "WEBP", quality=85, method=2)
    return buffer.getvalue()


def ramp(steps: int = 256, scale: str = palette.MAGNITUDE) -> np.ndarray:
    """The colours of a scale, uint8 (steps, 3)."""
    colours = sample_colorscale(scale, list(np.linspace(0, 1, steps)), colortype="tuple")
    return (np.array(colours) * 255).round().astype(np.uint8)


def error_map(original: np.ndarray, reconstruction: np.ndarray, highest: float) -> np.ndarray:
    """Absolute error of a uint8 image, mean over channels, in the colours of the magnitude scale.

    Args:
        original, reconstruction: uint8 (..., H, W, C).
        highest: the error, in 0 … 255, that gets the brightest colour.

    Returns:
        uint8 (..., H, W, 3).
    """
    error = np.abs(original.astype(np.float32) - reconstruction.astype(np.float32)).mean(-1)
    return ramp()[(error / max(highest, 1e-6) * 255).clip(0, 255).astype(np.uint8)]


@dataclass(frozen=True)
class ImageRow:
    """A row of a :func:`sheet`.

    Attributes:
        label, small: text to the left, in two sizes.
        images: uint8 (n, H, W, C).
        captions: a line under each image.
        colour: of the dot before the label.
        gap: leave space above.
        titles: what each image is called, in the lightbox.
        role: ``original`` or ``reconstruction``, which the lightbox compares column by column.
    """

    label: str
    images: np.ndarray
    small: str = ""
    captions: Sequence[str] = field(default_factory=tuple)
    colour: str = ""
    gap: bool = False
    titles: Sequence[str] = field(default_factory=tuple)
    role: str = ""


def tracks(n: int, side: int, before: str = "") -> str:
    """The columns of a grid of ``n`` tiles ``side`` pixels wide, which shrink where the page is narrow."""
    return f"grid-template-columns: {before} repeat({n}, minmax({round(SMALLEST * side)}px, {side}px))"


def sheet(rows: Sequence[ImageRow], side: int = SIDE) -> str:
    """Rows of images as one HTML grid; the same column is the same image in every row."""
    width = max(len(row.images) for row in rows)
    cells = []
    for row in rows:
        dot = f'<span class="wb-dot" style="background:{row.colour}"></span> ' if row.colour else ""
        small = f"<small>{escape(row.small)}</small>" if row.small else ""
        gap = '<div class="wb-gap"></div>' if row.gap else ""
        cells.append(f'{gap}<div class="wb-row">{dot}{escape(row.label)}{small}</div>')
        for index in range(width):
            if index >= len(row.images):
                cells.append("<span></span>")
                continue
            caption = f"<figcaption>{escape(row.captions[index])}</figcaption>" if row.captions else ""
            title = ", ".join(filter(None, (row.label, row.titles[index] if row.titles else "")))
            image = tag(row.images[index], side, title, role=row.role, column=index if row.role else "")
            cells.append(f"<figure>{image}{caption}</figure>")
    columns = tracks(width, side, "150px")
    return f'<div class="wb-sheet"><div class="wb-grid" style="{columns}">{"".join(cells)}</div></div>'


def captioned_sheet(
    images: np.ndarray,
    titles: Sequence[str],
    captions: Sequence[str],
    lines: Sequence[tuple[str, Sequence[str]]],
    side: int = SIDE,
) -> str:
    """Images uint8 (n, H, W, C) with captions, and lines of text below them with one cell per image.

    Args:
        titles: (n,) what the images are called.
        captions: (n,) HTML.
        lines: a label to the left and (n,) cells, all HTML.
    """
    cells = ['<div class="wb-row">image<small>truth</small></div>']
    for image, title, caption in zip(images, titles, captions, strict=True):
        cells.append(f"<figure>{tag(image, side, title)}<figcaption>{caption}</figcaption></figure>")
    for label, texts in lines:
        cells.append(f'<div class="wb-row">{label}</div>')
        cells += [f'<div class="wb-cell">{text}</div>' for text in texts]
    columns = tracks(len(images), side, "150px")
    return f'<div class="wb-sheet"><div class="wb-grid" style="{columns}">{"".join(cells)}</div></div>'


def tile_grid(images: np.ndarray, columns: int, titles: Sequence[str], side: int = SIDE) -> str:
    """Images uint8 (n, H, W, C) with names side by side in a fixed number of columns."""
    pairs = zip(images, titles, strict=True)
    cells = "".join(f"<figure>{tag(image, side, title)}</figure>" for image, title in pairs)
    return f'<div class="wb-sheet"><div class="wb-grid" style="{tracks(columns, side)}; gap: 4px">{cells}</div></div>'


def wrapped_tiles(
    images: np.ndarray, captions: Sequence[str], side: int = SIDE, lines: Sequence[tuple[str, str, Sequence[str]]] = ()
) -> str:
    """Images uint8 (n, H, W, C) with captions, wrapping at the page's edge.

    Args:
        lines: below every caption, a coloured dot with a text: the colour, what the dot stands for, and (n,) texts.
    """
    cells = []
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        dots = "".join(
            f'<div title="{escape(label)}"><span class="wb-dot" style="background:{colour}"></span> '
            f"{escape(texts[index])}</div>"
            for colour, label, texts in lines
        )
        title = escape(caption)
        cells.append(
            f'<figure style="width:{side}px">{tag(image, side, caption)}<figcaption title="{title}">{title}{dots}'
            "</figcaption></figure>"
        )
    return f'<div class="wb-strip">{"".join(cells)}</div>'


def colour_bar(low: str, high: str, quantity: str, scale: str = palette.MAGNITUDE) -> str:
    """A small legend of a colour scale."""
    stops = ", ".join(f"rgb({r},{g},{b})" for r, g, b in ramp(9, scale))
    bar = f'<i style="background: linear-gradient(90deg, {stops})"></i>'
    return f'<div class="wb-ramp"><span>{escape(quantity)}</span> {escape(low)} {bar} {escape(high)}</div>'
