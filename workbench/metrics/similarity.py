"""How alike features are: of images to one another, of representations to one another."""

import numpy as np


def cosine_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of every row of ``a`` (n, D) with every row of ``b`` (m, D): (n, m) float32; a zero row has cosine 0."""
    a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (a, b))
    return (a @ b.T).astype(np.float32)


def class_means(matrix: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Mean of a similarity matrix (n, n) over each pair of classes, (classes, classes); the diagonal entries of
    ``matrix``, an image with itself, are left out, and a pair without entries is NaN."""
    member = (labels[:, None] == np.arange(classes)).astype(np.float64)  # (n, classes)
    others = matrix - np.diag(np.diag(matrix))
    counts = member.sum(axis=0)
    pairs = np.outer(counts, counts) - np.diag(counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (member.T @ others @ member / pairs).astype(np.float32)


def centred_gram(features: np.ndarray) -> np.ndarray:
    """Inner products (n, n) of features (n, D) less their mean, at unit Frobenius norm, so that the linear CKA of two
    representations is the sum of the product of their matrices; zero where the features are constant."""
    centred = np.asarray(features, dtype=np.float64) - np.mean(features, axis=0, dtype=np.float64)
    gram = centred @ centred.T
    norm = np.linalg.norm(gram)
    return gram / norm if norm > 0 else gram


def linear_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Linear centred kernel alignment of two representations of the same n samples, in [0, 1].

    Kornblith, Norouzi, Lee, Hinton 2019, "Similarity of neural network representations revisited", equation 3. The
    plain (biased) estimator, which grows with D / n. Computed from covariances where these are smaller than the
    (n, n) inner products; both forms are equal.

    Args:
        x: features (n, D).
        y: features (n, E), rows in the same order.
    """
    if x.shape[1] * y.shape[1] >= len(x) ** 2:
        return float(np.sum(centred_gram(x) * centred_gram(y)))
    x, y = (np.asarray(z, dtype=np.float64) - np.mean(z, axis=0, dtype=np.float64) for z in (x, y))
    norm = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.sum((x.T @ y) ** 2) / norm) if norm > 0 else 0.0
