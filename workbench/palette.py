"""Colours that app, figures and report share, for light and for dark ground."""

from itertools import cycle, islice

GROUND = ("#ffffff", "#14171a")
"""White, and the app's dark ground."""

INK = ("#1c2024", "#e8eaed")
"""Text on light and on dark ground."""

LIGHT = ("#0072B2", "#D55E00", "#009E73", "#AE388F", "#78623D", "#5F279E", "#8286AD", "#803B53", "#3F4017", INK[0])
"""Colours of runs on light ground: three of Okabe and Ito (2008) and others that people with any colour vision tell
apart, at least 3 : 1 against white and the app's grey."""

DARK = ("#4C9EEB", "#F0803C", "#1DBF8F", "#DE6FC2", "#9C7A45", "#8F6BF0", "#C3C9EE", "#C9566F", "#E3DC55", INK[1])
"""The same hues on dark ground."""

SHADES = 3
"""A colour itself, and the ones mixed from it for further groups."""

GREY = "#8b929a"
"""Baselines, and whatever belongs to no run."""

CLASSES = (
    ("#CC6677", "#5F56BD", "#A08A2A", "#117733", "#3C93B8", "#882255", "#2E9485", "#8A8A2E", "#AA4499"),
    ("#E07B8C", "#8F87EA", "#DDCC77", "#3FA85C", "#88CCEE", "#C75C92", "#4FC4B0", "#B5B53C", "#D06EC0"),
)
"""Classes on light and on dark ground, so that a class is not taken for a run: the hues of Tol's "muted" scheme."""

MAGNITUDE = "viridis"
CIRCULAR = "Phase"


def run_colours(dark: bool = False) -> tuple[str, ...]:
    """The colours of runs without their shades; the last is the theme's ink."""
    return DARK if dark else LIGHT


def run_colour(index: int | None, dark: bool = False) -> str:
    """The colour of a group of seeds by its index; grey for what is no run.

    Args:
        index: of :func:`run_colours`, and from their number on, of the next shade of each.
    """
    if index is None:
        return GREY
    colours = run_colours(dark)
    shade, place = divmod(index, len(colours))
    colour, shade = colours[place], shade % SHADES
    if not shade:
        return colour
    near = contrast(colour, GROUND[dark]) < 6
    target = ("#ffffff" if dark else INK[0]) if near else GREY
    return mixed(colour, target, 0.4 * shade if near else 0.35 * shade)


def mixed(colour: str, other: str, share: float) -> str:
    """A ``#rrggbb`` colour with a share in [0, 1] of another one."""
    parts = zip(_channels(colour), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in parts)


def luminance(colour: str) -> float:
    """The relative luminance of a ``#rrggbb`` colour, from 0 to 1 (WCAG 2.2)."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in _channels(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(colour: str, other: str) -> float:
    """The contrast ratio of two ``#rrggbb`` colours, from 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(colour), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def text_on(colour: str) -> str:
    """Black or white, whichever is easier to read on a ``#rrggbb`` colour; at least 4.5 : 1."""
    return max(("#000000", "#ffffff"), key=lambda ink: contrast(ink, colour))


def distinct(n: int) -> tuple[str, ...]:
    """``n`` colours on white for quantities that are no runs; they repeat where there are more than colours."""
    return tuple(islice(cycle(LIGHT), n))


def rgba(colour: str, opacity: float) -> str:
    """A ``#rrggbb`` colour with an opacity in [0, 1], as CSS and plotly write it."""
    return f"rgba({','.join(map(str, _channels(colour)))},{opacity:g})"


def _channels(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of a ``#rrggbb`` colour, from 0 to 255."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue
