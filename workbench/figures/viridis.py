"""The colour scale of figures that are written as SVG: even steps to the eye, and in grey print."""

# Nine colours of viridis at equal distances (Smith and van der Walt 2015).
COLOURS = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")


def viridis(value: float) -> str:
    """The colour of a number from 0 to 1."""
    place = min(max(value, 0.0), 1.0) * (len(COLOURS) - 1)
    first = min(int(place), len(COLOURS) - 2)
    ends = [bytes.fromhex(colour[1:]) for colour in COLOURS[first : first + 2]]
    return "#" + "".join(f"{round(a + (place - first) * (b - a)):02x}" for a, b in zip(*ends, strict=True))
