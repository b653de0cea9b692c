"""Distances between images, and the reconstructions that need no network."""

import numpy as np
from sklearn.decomposition import PCA

SMALLEST_MSE = 1e-10  # equal images get 100 dB, so that a mean over images stays finite


def mse(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean squared difference per image (n,) of images in [0, 1], any shape (n, …)."""
    difference = np.asarray(a, dtype=np.float32) - np.asarray(b, dtype=np.float32)
    return np.asarray(np.mean(difference.reshape(len(difference), -1) ** 2, axis=1, dtype=np.float64))


def psnr(mse: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB of images in [0, 1] from their mean squared errors (n,); at most 100 dB."""
    return np.asarray(-10 * np.log10(np.maximum(mse, SMALLEST_MSE)))


def pca_reconstruct(train: np.ndarray, images: np.ndarray, components: int, seed: int = 0) -> np.ndarray:
    """Images rebuilt from their first principal components, clipped to [0, 1].

    Args:
        train: images in [0, 1] that the components are fitted to, (n, …).
        images: images to rebuild, (m, …).
        components: how many numbers describe an image; at most min(n, pixels) are taken.
        seed: of the randomised decomposition.

    Returns:
        float32, the shape of ``images``.
    """
    flat = train.reshape(len(train), -1).astype(np.float32, copy=False)
    model = PCA(min(components, *flat.shape), svd_solver="auto", random_state=seed).fit(flat)
    codes = model.transform(images.reshape(len(images), -1).astype(np.float32, copy=False))
    return np.clip(model.inverse_transform(codes), 0, 1).astype(np.float32).reshape(images.shape)
