"""Samples of a model, and how long they take."""

import time

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workbench.config import flatten
from workbench.evaluation.context import Context, Row
from workbench.files import replacing
from workbench.methods.capabilities import Samples

SEED = 0
# By method: sampler, steps, and whether it takes too long for a CPU. Methods not listed have one way of sampling.
SAMPLERS = {
    "ddpm": (("ancestral", 100, False), ("ddim", 50, False), ("dpm-solver++", 20, False), ("ancestral", 1000, True)),
    "vdm": (("ancestral", 250, False), ("ddim", 50, False), ("ancestral", 1000, True)),
    "score": (("pc", 100, False), ("ode", 50, False), ("pc", 1000, True)),
}
ACROSS, ENLARGED = 8, 96  # images in a row of the sheet, and the side in pixels that small ones are enlarged to


def evaluate(context: Context) -> None:
    """Write ``samples.json``, one array per sampler, and a sheet of the first as ``images/samples.webp``."""
    if not context.model.can(Samples):
        return context.skip("samples", f"{context.method} learns features only and has no way to draw an image.")
    variants: list[Row] = []
    for sampler, steps in _samplers(context):
        start = time.perf_counter()
        images = context.model.sample(context.limits.samples, SEED, steps, sampler)
        seconds = time.perf_counter() - start
        name = f"samples-{sampler}-{steps}" if sampler else "samples"
        context.run.write_array(name, images)
        row = {"sampler": sampler or "one pass", "steps": steps, "seconds": seconds}
        variants.append(row | {"seed": SEED, "array": name})
        if len(variants) == 1:
            with replacing(context.run.path / "images" / "samples.webp", within=context.run.path) as file:
                Image.fromarray(sheet(images)).save(file, format="WEBP", lossless=True)
    protocol = "Drawn from the same random numbers by every sampler; nothing is picked out."
    context.write("samples", protocol, context.limits.samples, "none", variants=variants)


def _samplers(context: Context) -> list[tuple[str | None, int | None]]:
    """Samplers and steps, at most as many as a discrete process has (``noise_steps``), each pair once."""
    listed = SAMPLERS.get(context.method, ((None, None, False),))
    most = flatten(context.model.config).get("noise_steps")
    pairs = (
        (sampler, steps if steps is None or most is None else min(steps, most))
        for sampler, steps, slow in listed
        if context.limits.slow_samplers or not slow
    )
    return list(dict.fromkeys(pairs))


def sheet(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images (n, H, W, C) side by side, small ones enlarged pixel by pixel: (rows x side, columns x side, 3)."""
    scale = max(1, ENLARGED // images.shape[1])
    large = np.broadcast_to(images, (*images.shape[:3], 3)).repeat(scale, axis=1).repeat(scale, axis=2)
    blank = np.full((-len(large) % ACROSS, *large.shape[1:]), 255, np.uint8)
    cells = np.concatenate([large, blank])
    side = cells.shape[1]
    return cells.reshape(-1, ACROSS, side, side, 3).swapaxes(1, 2).reshape(-1, ACROSS * side, 3)
