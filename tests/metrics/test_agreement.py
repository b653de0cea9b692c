"""Agreement against direct formulas, and its test under the null."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.spatial import procrustes as scipy_procrustes
from scipy.stats import binom, ortho_group
from sklearn.neighbors import NearestNeighbors

from tests.metrics.direct import linear_cka, procrustes
from workbench.metrics import agreement as module
from workbench.metrics.agreement import MEASURES, Agreement, agreement, nearest_images, representation, transposed

WIDTHS = (64, 128, 256, 512, 1024, 4096)


def features(n: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width))


def compared(xs: Sequence[np.ndarray], ys: Sequence[np.ndarray], permutations: int = 19, k: int = 5, seed: int = 0):
    sides = ([representation(z, k) for z in side] for side in (xs, ys))
    return agreement(*sides, permutations=permutations, seed=seed)


def value(measure: str, x: np.ndarray, y: np.ndarray) -> float:
    return float(compared([x], [y], permutations=1)[measure].values[0, 0])


def excess(found: Agreement) -> np.ndarray:
    """(L, M): 0 at chance, 1 for perfect agreement."""
    return (found.values - found.expected) / np.maximum(1.0 - found.expected, 1e-12)


def neighbour_sets(z: np.ndarray, k: int) -> list[set[int]]:
    neighbours = NearestNeighbors(n_neighbors=k + 1, metric="cosine").fit(z).kneighbors(z, return_distance=False)
    return [set(row) - {index} for index, row in enumerate(neighbours)]


def overlap(xs: list[set[int]], ys: list[set[int]]) -> float:
    """The mean share of five neighbours that both have."""
    return float(np.mean([len(a & b) / 5 for a, b in zip(xs, ys, strict=True)]))


def test_neighbours_are_scikit_learns_in_its_order() -> None:
    z = features(80, 7, 0)
    expected = NearestNeighbors(n_neighbors=13, metric="cosine").fit(z).kneighbors(z, return_distance=False)
    np.testing.assert_array_equal(nearest_images(z, 12), expected[:, 1:])
    assert nearest_images(z, 79).shape == (80, 79)


def test_ties_are_not_in_the_order_of_the_classes() -> None:
    """A model that tells no images apart would otherwise pass for one that knows the first class."""
    labels = np.repeat(np.arange(10), 40)
    nearest = nearest_images(np.ones((400, 3)), 10)
    assert abs(np.mean(labels[nearest] == labels[:, None]) - 0.1) < 0.01
    assert len(np.unique(labels[nearest])) > 3


def test_values_are_the_direct_formulas_for_each_pair_of_layers() -> None:
    n = 50
    xs = [features(n, width, width) for width in (3, 20)]
    ys = [features(n, width, width) for width in (20, 7, 400)]
    found = compared(xs, ys)
    overlaps = [[overlap(neighbour_sets(x, 5), neighbour_sets(y, 5)) for y in ys] for x in xs]
    np.testing.assert_allclose(found["cka"].values, [[linear_cka(x, y) for y in ys] for x in xs], atol=1e-9)
    np.testing.assert_allclose(found["mutual_knn"].values, overlaps, atol=1e-12)
    np.testing.assert_allclose(found["procrustes"].values, [[procrustes(x, y) for y in ys] for x in xs], atol=1e-9)
    for measure in MEASURES:  # the same features are in both lists
        assert found[measure].values[1, 0] == pytest.approx(1) and excess(found[measure])[1, 0] == pytest.approx(1)
        assert found[measure].p_values[1, 0] == pytest.approx(1 / 20)
        assert found[measure].p_value == found[measure].p_values.min()


def test_what_is_expected_is_the_mean_of_direct_formulas_over_shuffled_images() -> None:
    x, y, generator = features(40, 6, 0), features(40, 60, 1), np.random.default_rng(0)
    found = compared([x], [y], permutations=30)
    orders = [generator.permutation(40) for _ in range(30)]
    sets, other_sets = neighbour_sets(x, 5), [neighbour_sets(y[order], 5) for order in orders]
    expected = np.mean([overlap(sets, other) for other in other_sets])
    assert found["mutual_knn"].expected[0, 0] == pytest.approx(expected)
    assert found["cka"].expected[0, 0] == pytest.approx(np.mean([linear_cka(x, y[order]) for order in orders]))
    assert found["procrustes"].expected[0, 0] == pytest.approx(np.mean([procrustes(x, y[order]) for order in orders]))


def test_procrustes_is_permuted_less_often_where_many_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOW_PERMUTATIONS", 9)
    x = features(30, 4, 0)
    found = compared([x], [x], permutations=39)
    assert found["procrustes"].p_value == pytest.approx(1 / 10) and found["cka"].p_value == pytest.approx(1 / 40)


def false_positives(trials: int, n: int, permutations: int) -> dict[str, int]:
    """How often independent models of six layers each are called alike at 5 %, by their best pair of layers."""
    rejected = dict.fromkeys(MEASURES, 0)
    for trial in range(trials):
        generator = np.random.default_rng(trial)
        sides = [[generator.normal(size=(n, width)) for width in WIDTHS] for _ in range(2)]
        for measure, found in compared(*sides, permutations=permutations, seed=10_000 + trial).items():
            rejected[measure] += found.p_value <= 0.05
    return rejected


def test_independent_models_are_found_alike_at_most_as_often_as_the_level_says() -> None:
    """Widths 64 to 4,096 on either side: plain CKA comes close to 1, and the best of 36 pairs is sought out."""
    trials = 40
    for measure, rejected in false_positives(trials, n=20, permutations=19).items():
        assert rejected <= binom.ppf(0.999, trials, 0.05), measure  # 2 are expected


@pytest.mark.slow
def test_false_positives_among_many_independent_models() -> None:
    trials = 400
    for measure, rejected in false_positives(trials, n=60, permutations=39).items():
        assert rejected <= binom.ppf(0.999, trials, 0.05), measure
        assert rejected >= binom.ppf(0.001, trials, 0.05), measure  # and it is not blind


def test_the_test_is_exact_for_features_of_steep_spectrum() -> None:
    """A few directions that hold nearly all variance make overlaps vary; the level holds all the same."""
    trials, scale = 100, np.arange(1, 41) ** -2.0
    rejected = dict.fromkeys(MEASURES, 0)
    for trial in range(trials):
        x, y = (np.exp(features(40, 40, 2 * trial + side)) * scale for side in (0, 1))
        for measure, found in compared([x], [y], seed=trial).items():
            rejected[measure] += found.p_value <= 0.05
    assert max(rejected.values()) <= binom.ppf(0.999, trials, 0.05)


def test_chance_grows_with_width_and_the_excess_does_not() -> None:
    found = [compared([features(100, width, 0)], [features(100, width, 1)]) for width in (8, 2048)]
    for measure, limit in (("cka", 0.9), ("procrustes", 0.9)):
        narrow, wide = (one[measure] for one in found)
        assert narrow.values < 0.4 and wide.values > limit
        assert abs(excess(narrow)) < 0.1 and abs(excess(wide)) < 0.1


def test_what_is_shared_is_found() -> None:
    shared = features(200, 10, 0)
    x, y = (np.hstack([shared, features(200, 100, seed)]) for seed in (1, 2))
    for measure, found in compared([x], [y], permutations=99, k=10).items():
        assert found.p_value == pytest.approx(0.01), measure


def test_the_other_side_sees_the_same() -> None:
    x, y = [features(30, 4, 0), features(30, 9, 1)], [features(30, 5, 2)]
    one, other = compared(x, y), transposed(compared(y, x))
    for measure in MEASURES:
        np.testing.assert_allclose(one[measure].values, other[measure].values)
        assert other[measure].expected.shape == other[measure].p_values.shape == (2, 1)


def test_constant_features_agree_with_nothing_not_even_with_themselves() -> None:
    constant, other = np.full((20, 3), 0.7, np.float32), features(20, 3, 0)
    for found in compared([constant], [constant, other]).values():
        assert not found.values.any() and np.isfinite(found.expected).all() and found.p_value == 1


def test_procrustes_is_scipys_and_knows_rotations() -> None:
    x, y = features(40, 5, 0), features(40, 5, 1)
    rotation = np.linalg.qr(features(5, 5, 2))[0]
    own = value("procrustes", x, y)
    assert value("procrustes", x, 3 * x @ rotation + 1) == pytest.approx(1)
    assert own == pytest.approx(np.sqrt(1 - scipy_procrustes(x, y)[2]))  # its disparity is 1 - s**2
    assert value("procrustes", np.hstack([x, np.zeros((40, 60))]), y) == pytest.approx(own)  # wider than images


def test_cka_is_invariant_to_rotation_scale_and_shift_but_not_to_other_linear_maps() -> None:
    x, y = features(80, 12, 0), features(80, 30, 1)
    y[:, :6] += x[:, :6]
    own, turned = value("cka", x, y), 3 * x @ ortho_group.rvs(12, random_state=1) + 5
    assert value("cka", x, turned) == pytest.approx(1)
    assert value("cka", turned, y) == pytest.approx(own)
    assert value("cka", x * np.logspace(0, 2, 12), y) != pytest.approx(own, abs=0.01)
    assert value("cka", x, np.concatenate([y] * 300, axis=1)) == pytest.approx(own)  # wider than images
    assert value("cka", np.ones((80, 3)), y) == 0
