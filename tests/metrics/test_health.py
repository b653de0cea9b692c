"""Numbers of the spread of features, against their definitions and limits."""

import numpy as np
import pytest
from scipy.stats import entropy

from workbench.metrics.health import alignment, effective_rank, normalised_std, uniformity


@pytest.mark.parametrize("shape", [(200, 12), (12, 200)])
def test_effective_rank_is_the_entropy_of_singular_values(shape: tuple[int, int]) -> None:
    features = np.random.default_rng(0).normal(size=shape) * np.linspace(0.1, 3, shape[1])
    singular = np.linalg.svd(features, compute_uv=False)
    assert effective_rank(features) == pytest.approx(np.exp(entropy(singular / singular.sum())), rel=1e-6)


def test_effective_rank_counts_directions_and_no_scale() -> None:
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(100, 7)))[0]
    assert effective_rank(5 * basis) == pytest.approx(7)
    assert effective_rank(np.ones((100, 16), np.float32)) == pytest.approx(1, abs=1e-5)
    assert np.isnan(effective_rank(np.zeros((10, 4))))


def test_features_that_fill_the_sphere_and_features_that_are_one() -> None:
    rng = np.random.default_rng(0)
    spread, one = rng.normal(size=(3000, 64)), np.ones((50, 64)) + 1e-9 * rng.normal(size=(50, 64))
    assert normalised_std(spread) == pytest.approx(1, abs=0.01)
    assert normalised_std(one) < 1e-8 and uniformity(one) == pytest.approx(0, abs=1e-12)
    # On the sphere in D dimensions |x - y|^2 has the mean 2 and the variance 4 / D.
    assert uniformity(spread[:1000]) == pytest.approx(-4 + 0.5 * 4 * 4 / 64, abs=0.01)
    assert normalised_std(100 * spread) == pytest.approx(normalised_std(spread))


def test_uniformity_by_hand() -> None:
    corners = np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])  # squared distances 2, 4 and 2
    assert uniformity(corners) == pytest.approx(np.log((2 * np.exp(-4) + np.exp(-8)) / 3))


def test_alignment_is_the_mean_squared_distance_of_views() -> None:
    first = np.array([[1.0, 0.0], [0.0, 5.0]])
    assert alignment(first, 3 * first) == 0
    assert alignment(first, np.array([[0.0, 1.0], [0.0, -1.0]])) == pytest.approx((2 + 4) / 2)
