"""Do two models see alike? Agreement of representations beside what chance would give.

Both measures are an inner product of one n x n matrix per representation, so one permutation test serves them. Plain
CKA and neighbour overlap grow with width, and the best of many pairs of layers is high by luck alone: breaking the
pairing of the images, which keeps widths and spectra as they are, says how high (see arXiv 2602.14486).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

PERMUTATIONS = 199


class Agreement(NamedTuple):
    """Agreement of every pair of layers.

    Attributes:
        values: (L, M) as measured.
        chance: (L, M) mean over permutations of the images.
        p_values: (L, M) of the null hypothesis "the representations are independent", corrected for the search over
            all L x M pairs.
        p_value: of the null hypothesis for the models as a whole, that is for the largest excess over chance.
    """

    values: np.ndarray
    chance: np.ndarray
    p_values: np.ndarray
    p_value: float

    @property
    def excess(self) -> np.ndarray:
        """(L, M): 0 at chance, 1 for perfect agreement."""
        return (self.values - self.chance) / np.maximum(1.0 - self.chance, 1e-12)


def neighbour_matrix(features: np.ndarray, k: int = 10) -> np.ndarray:
    """The k nearest neighbours by cosine of each of n images as a matrix (n, n) float32 of unit Frobenius norm.

    The inner product of two such matrices is the mutual-kNN overlap: the mean part of an image's k neighbours that
    both representations name (Huh et al., "The platonic representation hypothesis", ICML 2024).
    """
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    nearest = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
    matrix = np.zeros(cosine.shape, np.float32)
    np.put_along_axis(matrix, nearest, (k * len(features)) ** -0.5, axis=1)
    return matrix


def agreement(
    layers: Sequence[np.ndarray], other_layers: Sequence[np.ndarray], permutations: int = PERMUTATIONS, seed: int = 0
) -> Agreement:
    """Agreement of each of L layers with each of M others, with a permutation test corrected for the search.

    The correction is the maximum's: a pair's p-value is the part of the permutations in which the *largest* excess
    over chance, in units of its pair's spread, is at least as large as the pair's own (Westfall and Young 1993).

    Args:
        layers, other_layers: matrices (n, n) of unit Frobenius norm over the same images in the same order, from
            :func:`neighbour_matrix` or :func:`workbench.metrics.similarity.centred_gram`.
        permutations: of the images; the smallest possible p-value is 1 / (1 + permutations).
        seed: of the permutations.
    """
    own = np.stack([np.asarray(layer, np.float32).ravel() for layer in layers])
    others = np.stack([np.asarray(layer, np.float32) for layer in other_layers])
    n, generator = others.shape[1], np.random.default_rng(seed)
    drawn = np.empty((1 + permutations, len(own), len(others)))
    for index in range(1 + permutations):
        order = np.arange(n) if index == 0 else generator.permutation(n)
        drawn[index] = own @ others[:, order][:, :, order].reshape(len(others), -1).T
    # Observed and permuted values are standardised alike, which keeps the test exact.
    scores = (drawn - drawn.mean(axis=0)) / np.maximum(drawn.std(axis=0), 1e-12)
    largest = scores.reshape(len(drawn), -1).max(axis=1)
    p_values = np.mean(largest[:, None, None] >= scores[0] - 1e-9, axis=0)
    return Agreement(drawn[0], drawn[1:].mean(axis=0), p_values, float(p_values.min()))


def procrustes(x: np.ndarray, y: np.ndarray) -> float:
    """Similarity in [0, 1] of features (n, D) and (n, E) after the best rotation and scaling of one onto the other.

    The nuclear norm of X^T Y for centred features of unit norm, which is the cosine of their angular shape distance
    (Schönemann 1966; Williams et al., "Generalized shape metrics on neural representations", NeurIPS 2021).
    """
    x, y = (np.asarray(z, np.float64) - np.mean(z, axis=0, dtype=np.float64) for z in (x, y))
    norm = np.linalg.norm(x) * np.linalg.norm(y)
    return float(np.linalg.norm(x.T @ y, ord="nuc") / norm) if norm > 0 else 0.0
