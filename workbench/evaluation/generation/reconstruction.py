"""Reconstructions of held-out images, beside the untrained network's, the mean image and a PCA of as many numbers."""

import numpy as np
from numpy.typing import NDArray

from workbench.evaluation.context import Context, Row
from workbench.methods.capabilities import Reconstructs
from workbench.metrics.image import mse, pca_reconstruct, psnr
from workbench.metrics.intervals import bootstrap_mean

COMPONENTS = 64  # of the PCA, where the method has no latent variables to match
PER_COMPONENT = 4  # training images at least, since later components of fewer are noise, and slow to find
BASELINE_IMAGES, BASELINE_VALUES = 10_000, 2**28  # images, and numbers in memory, that mean and PCA are fitted to


def evaluate(context: Context) -> None:
    """Write ``reconstruction.json``, and images and errors of some of the probe images."""
    if not context.model.can(Reconstructs):
        return context.skip("reconstruction", f"{context.method} learns features only and has no way to draw an image.")
    material, run = context.material, context.run
    chosen = material.probe.take(material.spread(context.limits.reconstruct))
    drawn = np.linspace(0, len(chosen) - 1, min(context.limits.drawn, len(chosen))).round().astype(np.int64)
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
        value, low, high = bootstrap_mean(psnr(errors))
        row: Row = {"model": model, "variant": variant, "metric": "psnr", "value": value, "low": low, "high": high}
        rows.append(row | {"mse": float(errors.mean())})
        run.write_array(f"reconstruction-{model}-{variant}", result[drawn])
        run.write_array(f"reconstruction-error-{model}-{variant}", errors[drawn])

    reconstructed = context.model.reconstruct(images, chosen.ids)
    for variant, result in reconstructed.items():
        add("run", variant, result)
    default = next(iter(reconstructed))
    add(
        f"untrained:{context.method}",
        default,
        context.untrained_model.reconstruct(images, chosen.ids, default_only=True)[default],
    )
    mean = np.broadcast_to(train.mean(axis=0), images.shape)
    add("mean image", "", quantised(mean))
    add(f"pca-{components}", "", quantised(pca_reconstruct(train, images / np.float32(255), components)))
    run.write_array("reconstruction-ids", np.asarray(chosen.ids[drawn]))
    context.write("reconstruction", protocol, len(images), rows=rows, default=default)


def pca_components(latents: int, train: NDArray[np.float32]) -> tuple[str, int]:
    """How many principal components a model is compared with, and in words why.

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
    """As many training images as mean and PCA are fitted to, in [0, 1]."""
    part = train[: min(BASELINE_IMAGES, BASELINE_VALUES // train[0].size)]
    return np.divide(part, 255, dtype=np.float32)


def quantised(images: np.ndarray) -> NDArray[np.uint8]:
    """Images in [0, 1] as they are stored."""
    return np.rint(images * 255).astype(np.uint8)
