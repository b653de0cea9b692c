"""Agreement against direct formulas, and its test under the null."""

import numpy as np
import pytest
from scipy.spatial import procrustes as scipy_procrustes
from sklearn.neighbors import NearestNeighbors

from workbench.metrics.agreement import agreement, neighbour_matrix, procrustes
from workbench.metrics.similarity import centred_gram, linear_cka


def features(n: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width))


def test_overlap_is_the_mean_part_of_neighbours_in_common() -> None:
    x, y = features(60, 8, 0), features(60, 8, 0) + 0.5 * features(60, 8, 1)
    sets = []
    for z in (x, y):
        neighbours = NearestNeighbors(n_neighbors=6, metric="cosine").fit(z).kneighbors(z, return_distance=False)
        sets.append([set(row) - {index} for index, row in enumerate(neighbours)])
    direct = np.mean([len(a & b) / 5 for a, b in zip(*sets, strict=True)])
    overlap = np.sum(neighbour_matrix(x, 5) * neighbour_matrix(y, 5))
    assert overlap == pytest.approx(direct, abs=1e-5)


def test_values_are_cka_for_each_pair_of_layers() -> None:
    xs, ys = [features(50, width, width) for width in (3, 20)], [features(50, width, width) for width in (20, 7, 40)]
    found = agreement([centred_gram(x) for x in xs], [centred_gram(y) for y in ys], permutations=19)
    expected = [[linear_cka(x, y) for y in ys] for x in xs]
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    assert found.values[1, 0] == pytest.approx(1) and found.excess[1, 0] == pytest.approx(1, abs=1e-4)
    assert found.p_values[1, 0] == pytest.approx(1 / 20) and found.p_value == found.p_values.min()


@pytest.mark.parametrize("matrix", [centred_gram, neighbour_matrix])
def test_independent_models_are_found_alike_at_most_as_often_as_the_level_says(matrix) -> None:
    """Six layers of widths 64 to 4,096 on either side: plain CKA rises to .9 and the best pair is sought out."""
    widths, trials, rejected = (64, 128, 256, 512, 1024, 4096), 100, 0
    for trial in range(trials):
        generator = np.random.default_rng(trial)
        sides = [[matrix(generator.normal(size=(80, width))) for width in widths] for _ in range(2)]
        rejected += agreement(*sides, permutations=39, seed=trial).p_value <= 0.05
    assert rejected <= 11  # 5 expected; more than 11 has a probability of 0.4 % at 5 %


def test_chance_grows_with_width_and_the_excess_does_not() -> None:
    found = [
        agreement([centred_gram(features(100, width, 0))], [centred_gram(features(100, width, 1))], permutations=19)
        for width in (8, 2048)
    ]
    assert found[0].values < 0.2 and found[1].values > 0.9
    assert abs(found[0].excess) < 0.1 and abs(found[1].excess) < 0.1


def test_what_is_shared_is_found() -> None:
    shared = features(200, 10, 0)
    x, y = (np.hstack([shared, features(200, 100, seed)]) for seed in (1, 2))
    for matrix in (centred_gram, neighbour_matrix):
        assert agreement([matrix(x)], [matrix(y)], permutations=99).p_value == pytest.approx(0.01)


def test_procrustes_is_scipys_and_knows_rotations() -> None:
    x, y = features(40, 5, 0), features(40, 5, 1)
    rotation = np.linalg.qr(features(5, 5, 2))[0]
    assert procrustes(x, 3 * x @ rotation + 1) == pytest.approx(1)
    assert procrustes(x, y) == pytest.approx(np.sqrt(1 - scipy_procrustes(x, y)[2]))  # its disparity is 1 - s**2
