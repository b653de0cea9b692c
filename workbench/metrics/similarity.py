"""How alike features of images are to one another."""

import numpy as np

from workbench.metrics.intervals import Interval

COLLAPSED = 1e-5  # different images as alike as this are the same to float32 features


def cosine_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of every row of ``a`` (n, D) with every row of ``b`` (m, D): (n, m) float32; a zero row has cosine 0."""
    a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (a, b))
    return (a @ b.T).astype(np.float32)


def paired_cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of each row of ``a`` (n, D) with the same row of ``b`` (n, D): (n,) float64; a zero row has cosine 0."""
    a, b = (np.asarray(x, np.float64) for x in (a, b))
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.einsum("nd,nd->n", a, b) / np.maximum(norms, 1e-24)


def kept_similarity(cosines: np.ndarray, clean: np.ndarray, n_boot: int = 1000, seed: int = 0) -> list[Interval]:
    """How much of their similarity images keep when they are changed: mean of (cosine - c0) / (1 - c0).

    c0 is the mean cosine of different images, without which the anisotropy of a feature space (Ethayarajh, EMNLP 2019)
    would look like invariance.

    Args:
        cosines: (T, n) of each of n images with itself under each of T changes.
        clean: (n, n) of the images with one another, unchanged.
        n_boot, seed: of the percentile bootstrap over images, which estimates c0 anew in each resample.

    Returns:
        T intervals at 95 %: 1 where nothing is lost, 0 where a changed image is like any other; NaN where different
        images cannot be told apart.
    """
    n = len(clean)
    resamples = np.random.default_rng(seed).integers(0, n, size=(n_boot, n))
    # How often each resample holds each image; the first is the sample itself.
    counts = np.stack([np.ones(n), *(np.bincount(rows, minlength=n) for rows in resamples)])
    others = np.asarray(clean, np.float64) - np.diag(np.diag(clean))  # an image is not paired with its own copies
    pairs = counts.sum(axis=1) ** 2 - np.sum(counts**2, axis=1)
    c0 = np.sum(counts @ others * counts, axis=1) / np.where(pairs > 0, pairs, np.nan)
    told_apart = np.where(1 - c0 > COLLAPSED, 1 - c0, np.nan)
    retained = (counts @ cosines.T / n - c0[:, None]) / told_apart[:, None]  # (1 + n_boot, T)
    if np.isnan(retained[0]).any():
        return [Interval(np.nan, np.nan, np.nan)] * len(cosines)
    low, high = np.nanquantile(retained[1:], [0.025, 0.975], axis=0)
    return [Interval(*map(float, bounds)) for bounds in zip(retained[0], low, high, strict=True)]


def class_means(matrix: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Mean of a similarity matrix (n, n) over each pair of classes, (classes, classes); the diagonal entries of
    ``matrix``, an image with itself, are left out, and a pair without entries is NaN."""
    member = (labels[:, None] == np.arange(classes)).astype(np.float64)  # (n, classes)
    others = matrix - np.diag(np.diag(matrix))
    counts = member.sum(axis=0)
    pairs = np.outer(counts, counts) - np.diag(counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (member.T @ others @ member / pairs).astype(np.float32)
