"""Invariance: how similar features stay while an image is transformed with increasing strength."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.data import keyed
from workbench.data.arrays import channels_first, to_uint8
from workbench.data.augment import Augmentation, Parameters, plain, to_float
from workbench.evaluation.context import Context, Row
from workbench.evaluation.features import Spaces, spread
from workbench.metrics.similarity import cosine_matrix, kept_similarity, paired_cosine

EXAMPLES = 4  # images stored for every strength
Transform = Callable[[Tensor, Tensor, float], Tensor]
"""Images (B, C, S, S) float32 in [0, 1], keys (B,) int64 and a strength -> such images, possibly out of range."""


def crop(images: Tensor, keys: Tensor, strength: float) -> Tensor:
    """Cut away ``strength`` of the area, at a random place in each image, and enlarge the square that remains."""
    size = images.shape[-1]
    side = max(1, round(size * (1.0 - strength) ** 0.5))
    corner = (keyed.uniform(keys, 2) * (size - side + 1)).long()
    box = torch.cat([corner, torch.full_like(corner, side)], dim=1)
    return Augmentation(size=size).apply(images, Parameters(box=box))


def flip(images: Tensor, keys: Tensor, strength: float) -> Tensor:
    """Mirror left and right (strength 1) or top and bottom (2)."""
    return images.flip(-1 if strength == 1 else -2)


def rotation(images: Tensor, keys: Tensor, strength: float) -> Tensor:
    """Rotate by ``strength`` degrees, left or right, with reflection padding."""
    sign = torch.where(keyed.uniform(keys, 1)[:, 0] < 0.5, -1.0, 1.0)
    angle = torch.deg2rad(sign * strength)
    zero = torch.zeros_like(angle)
    rows = torch.stack([angle.cos(), -angle.sin(), zero]), torch.stack([angle.sin(), angle.cos(), zero])
    theta = torch.stack(rows).permute(2, 0, 1)
    grid = torch.nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def colour(images: Tensor, keys: Tensor, strength: float) -> Tensor:
    """SimCLR's colour jitter of this strength (Chen et al. 2020, appendix A): brightness, contrast and saturation
    within 1 plus or minus 0.8 times it, hue within 0.2 times it."""
    wide, size = 0.8 * strength, images.shape[-1]
    jitter = replace(plain(size), jitter=1.0, brightness=wide, contrast=wide, saturation=wide, hue=0.2 * strength)
    return jitter(images, keys)


def blur(images: Tensor, keys: Tensor, strength: float) -> Tensor:
    """Gaussian blur with a standard deviation of ``strength`` percent of the side."""
    size = images.shape[-1]
    sigma = strength / 100 * size
    same = torch.full((len(images),), sigma, device=images.device)
    return replace(plain(size), blur_sigma=(0.0, sigma)).apply(images, Parameters(sigma=same))


def noise(images: Tensor, keys: Tensor, strength: float) -> Tensor:
    """Add Gaussian noise with a standard deviation of ``strength`` of the range of values."""
    return images + strength * keyed.normal(keys, *images.shape[1:])


def solarise(images: Tensor, keys: Tensor, strength: float) -> Tensor:
    """Invert the values in the upper ``strength`` of their range; with 1, all."""
    every = torch.ones(len(images), dtype=torch.bool, device=images.device)
    recipe = replace(plain(images.shape[-1]), solarise_threshold=1.0 - strength)
    return recipe.apply(images, Parameters(solarise=every))


TRANSFORMS: dict[str, tuple[Transform, tuple[float, ...]]] = {
    "crop": (crop, (0.2, 0.4, 0.6, 0.8)),
    "flip": (flip, (1, 2)),
    "rotation": (rotation, (10, 30, 60, 90)),
    "colour": (colour, (0.25, 0.5, 0.75, 1)),
    "blur": (blur, (2, 4, 7, 10)),
    "noise": (noise, (0.01, 0.03, 0.1, 0.3)),
    "solarise": (solarise, (0.25, 0.5, 0.75, 1)),
}


@dataclass(frozen=True)
class Step:
    """Images uint8 (n, H, W, C) under one transform at one strength."""

    transform: str
    strength: float
    images: NDArray[np.uint8]


def steps(images: NDArray[np.uint8], ids: NDArray[np.int64]) -> list[Step]:
    """Images (n, H, W, C) under every transform at every strength; randomness comes from the image's id alone, and is
    the same at every strength of a transform."""
    batch = to_float(channels_first(images))
    keys = keyed.fork(keyed.sample_keys(0, 0, torch.from_numpy(np.array(ids))), "invariance")
    return [
        Step(name, strength, to_uint8(transform(batch, keyed.fork(keys, name), strength)))
        for name, (transform, strengths) in TRANSFORMS.items()
        for strength in strengths
    ]


def evaluate(context: Context) -> None:
    """Write ``invariance.json``, and once per data set example images of the strengths."""
    material, model = context.material, context.model
    chosen = material.probe.take(material.spread(context.limits.invariance))
    n = len(chosen)
    if n < 2:
        reason = f"The probe set of {material.dataset.name} has one image, and no other to compare its copies with."
        return context.skip("invariance", reason)
    images = np.asarray(chosen.images)
    transformed = steps(images, np.asarray(chosen.ids))
    rows = spread(n, EXAMPLES)
    examples = [images[rows], *(step.images[rows] for step in transformed)]
    context.probe.write_array("invariance-examples", np.stack(examples))
    protocol = (
        f"Similarity of features that is kept when {n} probe images are changed: mean over images of (cos(f(x), f(Tx)) "
        "- c0) / (1 - c0), c0 the mean cosine of different images, so 1 is blind to the change and 0 takes a changed "
        "image for any other; every image is changed alike for every model, and gets the same noise as its changed "
        "copies where a model adds noise; 95 % bootstrap interval over images."
    )

    def measure(encode: Callable[[NDArray[np.uint8], NDArray[np.int64]], Spaces]) -> Iterator[Row]:
        clean = encode(images, chosen.ids)
        encoded = [encode(step.images, chosen.ids) for step in transformed]
        for space, features in clean.items():
            cosines = np.stack([paired_cosine(features, spaces[space]) for spaces in encoded])
            similarities = kept_similarity(cosines, cosine_matrix(features, features))
            for step, cosine, interval in zip(transformed, cosines, similarities, strict=True):
                if not np.isfinite(interval).all():  # a space that maps all images to one point
                    continue
                row: Row = {"space": space, "transform": step.transform, "strength": step.strength, "metric": "kept"}
                yield row | interval._asdict() | {"cosine": float(cosine.mean())}

    rows = [{"model": "run", **row} for row in measure(model.encode)]
    rows += [{"model": f"untrained:{context.method}", **row} for row in measure(context.untrained_model.encode)]
    strengths = {name: levels for name, (_, levels) in TRANSFORMS.items()}
    rows += context.shared_rows("invariance", f"{protocol} {strengths}", lambda: measure(_pixels))
    order = [{"transform": step.transform, "strength": step.strength} for step in transformed]
    context.write("invariance", protocol, n, "probe", rows=rows, steps=order, default=model.default)


def _pixels(images: NDArray[np.uint8], ids: NDArray[np.int64]) -> Spaces:
    return {"pixels": images.reshape(len(images), -1).astype(np.float32)}
