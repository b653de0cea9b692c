"""Do two models see alike? Agreement of representations beside what chance would give.

Plain CKA, neighbour overlap and Procrustes similarity grow with width, and the best of many pairs of layers is high by
luck alone: breaking the pairing of the images, which keeps widths and spectra as they are, says how high (see arXiv
2602.14486). One permutation of the images serves all pairs of layers, so that the search over them is corrected for.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

PERMUTATIONS = 199
SLOW_PERMUTATIONS = 99  # for Procrustes, which takes nearly all of the time
NEIGHBOURS = 10
MEASURES: tuple[str, ...] = ("cka", "mutual_knn", "procrustes")


class Agreement(NamedTuple):
    """Agreement of every pair of layers by one measure.

    Attributes:
        values: (L, M) as measured, in [0, 1].
        expected: (L, M) mean over permutations of the images: what independent features of these widths would give.
        p_values: (L, M) of the null hypothesis "the representations are independent", corrected for the search over
            all L x M pairs.
        p_value: of the null hypothesis for the models as a whole, that is for the largest excess over chance.
    """

    values: np.ndarray
    expected: np.ndarray
    p_values: np.ndarray
    p_value: float


class Representation(NamedTuple):
    """Features of n images, brought into the form in which they are compared; see :func:`representation`.

    Attributes:
        points: (n, r) float64, the features less their mean, turned into at most n - 1 dimensions, of unit Frobenius
            norm; all zero where the features are constant.
        nearest: (n, k) int64, each image's nearest others by cosine; each image itself where the features are constant.
    """

    points: np.ndarray
    nearest: np.ndarray

    @property
    def gram_norm(self) -> float:
        """Frobenius norm of the centred inner products."""
        return float(np.linalg.norm(self.points.T @ self.points))


def representation(features: np.ndarray, k: int = NEIGHBOURS) -> Representation:
    """Features (n, D) ready for :func:`agreement`, with ``k`` neighbours per image, at most n - 1."""
    k = min(k, len(features) - 1)
    centred = np.asarray(features, np.float64) - np.mean(features, axis=0, dtype=np.float64)
    norm = np.linalg.norm(centred)
    if norm <= 1e-9 * np.linalg.norm(features) or norm == 0:
        return Representation(np.zeros((len(features), 1)), np.repeat(np.arange(len(features))[:, None], k, axis=1))
    return Representation(_turned(centred) / norm, nearest_images(features, k))


def nearest_images(features: np.ndarray, k: int) -> np.ndarray:
    """The ``k`` nearest others of each of n images by cosine, (n, k) int64, the nearest first; ``k`` at most n - 1.

    Ties are broken at random: images are often sorted by class, so that ties in that order would let a model
    that tells no images apart look as if it knew the classes.
    """
    shuffle = np.random.default_rng(0).permutation(len(features))
    shuffled = features[shuffle]
    unit = shuffled / np.maximum(np.linalg.norm(shuffled, axis=1, keepdims=True), 1e-12)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    nearest = np.sort(np.argpartition(-cosine, k - 1, axis=1)[:, :k], axis=1)
    order = np.argsort(-np.take_along_axis(cosine, nearest, axis=1), axis=1, kind="stable")
    neighbours = np.empty_like(nearest)
    neighbours[shuffle] = shuffle[np.take_along_axis(nearest, order, axis=1)]
    return neighbours


def agreement(
    layers: Sequence[Representation],
    other_layers: Sequence[Representation],
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> dict[str, Agreement]:
    """Agreement of each of L layers with each of M others, with a permutation test corrected for the search.

    - ``cka``: linear CKA (Kornblith et al., "Similarity of neural network representations revisited", ICML 2019,
      equation 3; the biased estimator).
    - ``mutual_knn``: the mean part of an image's k neighbours that both representations name (Huh et al., "The platonic
      representation hypothesis", ICML 2024).
    - ``procrustes``: similarity after the best rotation and scaling, the nuclear norm of X^T Y for centred features of
      unit norm, which is the cosine of their angular shape distance (Schönemann 1966; Williams et al., "Generalized
      shape metrics on neural representations", NeurIPS 2021).

    The correction is the maximum's: a pair's p-value is the part of the permutations in which the *largest* excess
    over chance, in units of its pair's spread, is at least as large as the pair's own (Westfall and Young 1993).

    Args:
        layers, other_layers: of the same images in the same order.
        permutations: of the images, for Procrustes at most 99; the smallest p-value is 1 / (1 + permutations).
        seed: of the permutations.

    Returns:
        by name of the measure, see :data:`MEASURES`.
    """
    n, generator = len(layers[0].points), np.random.default_rng(seed)
    own, others = (np.hstack([layer.points for layer in side]) for side in (layers, other_layers))
    cuts, other_cuts = (np.cumsum([layer.points.shape[1] for layer in side])[:-1] for side in (layers, other_layers))
    norms = np.outer([layer.gram_norm for layer in layers], [layer.gram_norm for layer in other_layers])
    members = np.stack([_members(layer.nearest) for layer in layers])
    scores = {measure: np.empty((1 + permutations, len(layers), len(other_layers))) for measure in MEASURES}
    scores["procrustes"] = scores["procrustes"][: 1 + SLOW_PERMUTATIONS]
    for index in range(1 + permutations):
        order = np.arange(n) if index == 0 else generator.permutation(n)
        crossed = own.T @ others[order]
        for i, rows in enumerate(np.split(crossed, cuts)):
            for j, block in enumerate(np.split(rows, other_cuts, axis=1)):
                scores["cka"][index, i, j] = np.sum(block**2) / max(norms[i, j], 1e-12)
                if index < len(scores["procrustes"]):
                    scores["procrustes"][index, i, j] = _nuclear_norm(block)
        inverse = np.argsort(order)
        for j, other in enumerate(other_layers):
            nearest = inverse[other.nearest[order]]
            scores["mutual_knn"][index, :, j] = members[:, np.arange(n)[:, None], nearest].mean(axis=(1, 2))
    return {measure: _tested(values) for measure, values in scores.items()}


def transposed(agreements: Mapping[str, Agreement]) -> dict[str, Agreement]:
    """The same agreements by measure, with the two models exchanged."""
    return {name: Agreement(of.values.T, of.expected.T, of.p_values.T, of.p_value) for name, of in agreements.items()}


def _tested(permuted: np.ndarray) -> Agreement:
    """The test of values (1 + permutations, L, M), of which the first are observed."""
    # Observed and permuted values are standardised alike, which keeps the test exact.
    scores = (permuted - permuted.mean(axis=0)) / np.maximum(permuted.std(axis=0), 1e-12)
    largest = scores.reshape(len(permuted), -1).max(axis=1)
    p_values = np.mean(largest[:, None, None] >= scores[0] - 1e-9, axis=0)
    return Agreement(permuted[0], permuted[1:].mean(axis=0), p_values, float(p_values.min()))


def _turned(centred: np.ndarray) -> np.ndarray:
    """Coordinates (n, min(D, n - 1)) of centred features (n, D), the same inner products in fewer dimensions."""
    n, width = centred.shape
    if width < n:
        return centred
    values, vectors = np.linalg.eigh(centred @ centred.T)
    return vectors[:, 1:] * np.sqrt(np.maximum(values[1:], 0.0))  # the smallest is zero, since the mean is


def _members(nearest: np.ndarray) -> np.ndarray:
    """Whether image j is among the neighbours of i, (n, n) bool; never for i itself."""
    member = np.zeros((len(nearest), len(nearest)), bool)
    np.put_along_axis(member, nearest, True, axis=1)
    np.fill_diagonal(member, False)
    return member


def _nuclear_norm(matrix: np.ndarray) -> float:
    """The sum of the singular values, from the smaller square: several times faster than a decomposition."""
    square = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    return float(np.sqrt(np.maximum(np.linalg.eigvalsh(square), 0.0)).sum())
