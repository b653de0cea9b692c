"""The built-in data set ``shapes``: generated colour images whose factors are known.

One shape on a plain grey ground, 32 x 32 pixels. Its class is the label; hue, size, position, rotation and background
vary freely and independently of it and of one another, so one can check which of them a representation keeps. No
shape has a rotational symmetry, so that the rotation of every image is well defined. The images depend on nothing but
this file.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.data.hashing import uniform

CLASSES = ("triangle", "half-disc", "crescent", "heart", "arrow", "corner")
SIZE = 32
COUNTS = {"train": 10_000, "test": 2_000}
RANGES = {
    "hue": (0.0, 360.0),  # degrees on the colour circle
    "size": (7.0, 11.0),  # radius of the circle round the shape, in pixels
    "x": (11.0, 21.0),  # centre of that circle, in pixels from the left
    "y": (11.0, 21.0),  # and from the top
    "rotation": (0.0, 360.0),  # degrees, clockwise as seen
    "background": (0.0, 0.6),  # grey level, 0 black to 1 white
}
PERIODS = {"hue": 360.0, "rotation": 360.0}
_SEEDS = {"train": 0x5EED, "test": 0x7E57}

Field = NDArray[np.floating[Any]]


class Shapes(NamedTuple):
    """Generated images.

    Attributes:
        images: (N, 32, 32, 3) uint8.
        labels: (N,) int64, positions in :data:`CLASSES`.
        factors: (N,) float32 each, in the units of :data:`RANGES`.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    factors: dict[str, Field]


def generate(split: str, n: int | None = None) -> Shapes:
    """The images of ``"train"`` or ``"test"``, or the first ``n`` of them."""
    n = COUNTS[split] if n is None else n
    draws = uniform(_SEEDS[split], n * (1 + len(RANGES))).reshape(n, 1 + len(RANGES))
    labels = (draws[:, 0] * len(CLASSES)).astype(np.int64)
    factors = {
        name: (low + draws[:, column] * (high - low)).astype(np.float32)
        for column, (name, (low, high)) in enumerate(RANGES.items(), start=1)
    }
    images = np.empty((n, SIZE, SIZE, 3), dtype=np.uint8)
    for label in range(len(CLASSES)):
        (chosen,) = np.nonzero(labels == label)
        images[chosen] = render(label, {name: values[chosen] for name, values in factors.items()})
    return Shapes(images, labels, factors)


def render(label: int, factors: dict[str, Field]) -> NDArray[np.uint8]:
    """Antialiased images (N, 32, 32, 3) of one shape class from its factors (N,) each."""
    column = {name: values[:, None, None] for name, values in factors.items()}
    pixel = np.arange(SIZE, dtype=np.float32) + 0.5
    dx, dy = pixel[None, None, :] - column["x"], pixel[None, :, None] - column["y"]
    angle = np.deg2rad(column["rotation"])
    u = (dx * np.cos(angle) + dy * np.sin(angle)) / column["size"]
    v = (dy * np.cos(angle) - dx * np.sin(angle)) / column["size"]
    distance = _DISTANCES[label](u, v) * column["size"]
    coverage = np.clip(0.5 - distance, 0.0, 1.0)[..., None]  # a pixel's covered part, to first order
    colour = _rgb(factors["hue"])[:, None, None, :]
    ground = column["background"][..., None]
    return np.rint(255.0 * (ground + coverage * (colour - ground))).astype(np.uint8)


def _rgb(hue: Field, saturation: float = 0.8, value: float = 0.95) -> Field:
    """Colours (N, 3) of hues in degrees."""
    k = (np.array([5.0, 3.0, 1.0]) + hue[:, None] / 60.0) % 6.0
    return (value - value * saturation * np.clip(np.minimum(k, 4.0 - k), 0.0, 1.0)).astype(np.float32)


# Signed distances in the unit circle, negative inside, v downwards
# (formulas after Quilez, "2D distance functions", iquilezles.org/articles/distfunctions2d).


def _polygon(*corners: tuple[float, float]):
    def distance(u: Field, v: Field) -> Field:
        nearest = np.full_like(u, np.inf)
        inside = np.zeros(u.shape, dtype=bool)
        for (ax, ay), (bx, by) in zip(corners, (*corners[1:], corners[0]), strict=True):
            ex, ey = bx - ax, by - ay
            px, py = u - ax, v - ay
            along = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0.0, 1.0)
            nearest = np.minimum(nearest, (px - ex * along) ** 2 + (py - ey * along) ** 2)
            crosses = (ay > v) != (by > v)
            if ey != 0.0:
                inside ^= crosses & (px < ex * py / ey)
        return np.where(inside, -1.0, 1.0).astype(np.float32) * np.sqrt(nearest)

    return distance


def _half_disc(u: Field, v: Field) -> Field:
    v = v - 0.42  # centred on the half that is there
    return np.maximum(np.hypot(u, v) - 1.0, v)


def _crescent(u: Field, v: Field) -> Field:
    return np.maximum(np.hypot(u, v) - 1.0, 0.8 - np.hypot(u - 0.45, v))


def _heart(u: Field, v: Field) -> Field:
    u, v = np.abs(u) / 1.72, (0.98 - v) / 1.72
    lobe = np.hypot(u - 0.25, v - 0.75) - np.float32(np.sqrt(2.0) / 4.0)
    half = 0.5 * np.maximum(u + v, 0.0)
    below = np.sqrt(np.minimum(u**2 + (v - 1.0) ** 2, (u - half) ** 2 + (v - half) ** 2)) * np.sign(u - v)
    return np.where(u + v > 1.0, lobe, below).astype(np.float32) * 1.72


_DISTANCES = (
    _polygon((0.0, -1.0), (0.62, 0.78), (-0.62, 0.78)),
    _half_disc,
    _crescent,
    _heart,
    _polygon((0.0, -1.0), (0.78, -0.1), (0.27, -0.1), (0.27, 0.95), (-0.27, 0.95), (-0.27, -0.1), (-0.78, -0.1)),
    _polygon((-0.65, -0.75), (-0.2, -0.75), (-0.2, 0.3), (0.75, 0.3), (0.75, 0.75), (-0.65, 0.75)),
)
