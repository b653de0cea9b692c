"""Reconstructions of held-out images, beside the untrained network's, the mean image and a PCA of equal width."""

import numpy as np
from numpy.typing import NDArray

from workbench.evaluation.context import Context, Row, measured
from workbench.evaluation.features import spread
from workbench.methods.capabilities import Reconstructs
from workbench.metrics.image import mse, pca_reconstruct, psnr

COMPONENTS = 64  # of the PCA, where the method has no latent variables
PER_COMPONENT = 4  # training images at least: later components of fewer are noise, and slow to compute
BASELINE_IMAGES, BASELINE_VALUES = 10_000, 2**28  # images, and numbers in memory, that mean and PCA are fitted to


def evaluate(context: Context) -> None:
    """Write ``reconstruction.json``, and images and errors of some of the probe images."""
    if not context.model.can(Reconstructs):
        return context.skip("reconstruction", f"{context.method} learns features only and has no way to draw an image.")
    material, run = context.material, context.run
    chosen = material.probe.take(material.spread(context.limits.reconstruct))
    stored = spread(len(chosen), context.limits.samples)
    images = np.asarray(chosen.images)
    train = baseline_images(material.dataset.train.images)
    wanted, components = pca_components(sum(context.model.latent_groups.values()), train)
    protocol = (
        f"PSNR and mean squared error for pixels in [0, 1], averaged over {len(images):,} test images; untrained: the "
        f"same network with random weights; mean image and {components:,} principal components ({wanted}) fitted to "
        f"{len(train):,} training images; 95 % bootstrap interval over images."
    )
    rows: list[Row] = []

    def add(model: str, variant: str, result: NDArray[np.uint8]) -> None:
        errors = mse(images / np.float32(255), result / np.float32(255))
        row = {"model": model, "variant": variant, **measured("psnr", psnr(errors))}
        rows.append(row | {"mse": float(errors.mean())})
        run.write_array(f"reconstruction-{model}-{variant}", result[stored])
        run.write_array(f"reconstruction-error-{model}-{variant}", errors[stored])

    reconstructed = context.model.reconstruct(images, chosen.ids)
    for variant, result in reconstructed.items():
        add("run", variant, result)
    default = next(iter(reconstructed))
    untrained = context.untrained_model.reconstruct(images, chosen.ids, default_only=True)
    add(f"untrained:{context.method}", default, untrained[default])
    mean = np.broadcast_to(train.mean(axis=0), images.shape)
    add("mean image", "", quantised(mean))
    add(f"pca-{components}", "", quantised(pca_reconstruct(train, images / np.float32(255), components)))
    run.write_array("reconstruction-ids", np.asarray(chosen.ids[stored]))
    context.write("reconstruction", protocol, len(images), rows=rows, default=default)


def pca_components(latents: int, train: NDArray[np.float32]) -> tuple[str, int]:
    """The number of principal components that a model is compared with, and why, in words.

    Args:
        latents: numbers in the model's code; 0 for a model without one.
        train: images (n, H, W, C) that they are fitted to.
    """
    most = max(1, min(len(train) // PER_COMPONENT, train[0].size))
    why = f"as many as the code has numbers, {latents:,}" if latents else "the model has no code to match"
    wanted = latents or COMPONENTS
    if wanted > most:
        why += f"; no more can be fitted to {len(train):,} images of {train[0].size:,} numbers"
    return why, min(wanted, most)


def baseline_images(train: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The training images that mean and PCA are fitted to, in [0, 1]."""
    part = train[: min(BASELINE_IMAGES, BASELINE_VALUES // train[0].size)]
    return np.divide(part, 255, dtype=np.float32)


def quantised(images: np.ndarray) -> NDArray[np.uint8]:
    """Images in [0, 1] as uint8."""
    return np.rint(images * 255).astype(np.uint8)
