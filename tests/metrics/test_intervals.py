from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import r2_score
from statsmodels.stats.weightstats import DescrStatsW

from workbench.metrics.intervals import bootstrap_mean, bootstrap_r2, student


def test_interval_of_a_mean_is_that_of_the_normal_approximation():
    hits = np.random.default_rng(0).random(2000) < 0.7
    interval = bootstrap_mean(hits)
    error = 1.96 * np.sqrt(hits.mean() * (1 - hits.mean()) / 2000)
    assert interval.value == pytest.approx(hits.mean())
    assert interval.low == pytest.approx(hits.mean() - error, abs=0.004)
    assert interval.high == pytest.approx(hits.mean() + error, abs=0.004)


@pytest.mark.parametrize("n", [8, 40, 400])
def test_bootstrap_of_a_mean_agrees_with_scipy(n: int):
    """Skewed values; both draw 20,000 resamples, so that bounds differ by a fraction of the standard error."""
    values = np.random.default_rng(n).exponential(size=n)
    own = bootstrap_mean(values, n_boot=20_000)
    options: Any = {"n_resamples": 20_000, "method": "percentile", "rng": np.random.default_rng(1)}
    referee: Any = stats.bootstrap((values,), np.mean, **options)
    error = values.std() / np.sqrt(n)
    bounds = referee.confidence_interval
    assert (own.low, own.high) == pytest.approx((bounds.low, bounds.high), abs=0.06 * error)


def test_interval_covers_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = [low <= 0.5 <= high for _ in range(300) for _, low, high in [bootstrap_mean(rng.random(100), n_boot=400)]]
    assert 0.90 <= np.mean(covered) <= 0.98


def test_r2_equals_scikit_learn_on_the_samples_and_on_every_resampling():
    rng = np.random.default_rng(2)
    target = rng.normal(loc=100, size=(60, 2))
    predicted = target + 0.5 * rng.normal(size=(60, 2))
    interval = bootstrap_r2(target, predicted, n_boot=50, seed=3)
    rows = np.random.default_rng(3).integers(0, 60, size=(50, 60))
    expected = [r2_score(target[r], predicted[r], multioutput="variance_weighted") for r in rows]
    assert interval.value == pytest.approx(r2_score(target, predicted, multioutput="variance_weighted"))
    np.testing.assert_allclose([interval.low, interval.high], np.quantile(expected, [0.025, 0.975]))


def test_r2_leaves_out_resamples_of_one_image_again_and_again():
    target = np.array([[1.0], [2.0]])
    predicted = target + np.array([[0.1], [-0.1]])
    value, low, high = bootstrap_r2(target, predicted)  # half of the resamples hold but one of the two
    assert value == pytest.approx(1 - 0.01 / 0.25) and low == pytest.approx(value) and high == pytest.approx(value)


def test_r2_of_what_does_not_vary_is_unknown():
    assert np.isnan(bootstrap_r2(np.full((3, 1), 7.0), np.zeros((3, 1)))).all()


def test_seed_decides():
    values = np.random.default_rng(0).normal(size=100)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_students_interval_covers_as_often_as_it_says_for_a_handful_of_seeds(n: int):
    draws = np.random.default_rng(n).normal(70, 2, size=(3000, n))
    covered = [low <= 70 <= high for values in draws for _, low, high in [student(values)]]
    assert 0.94 <= np.mean(covered) <= 0.96


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 10])
def test_students_interval_agrees_with_statsmodels_and_scipy(n: int, level: float):
    values = np.random.default_rng(n).normal(70, 2, size=n)
    value, low, high = student(values, level)
    referee: Any = DescrStatsW(values)
    assert value == pytest.approx(referee.mean)
    assert (low, high) == pytest.approx(referee.tconfint_mean(alpha=1 - level), rel=1e-9)
    assert (low, high) == pytest.approx(stats.t.interval(level, n - 1, values.mean(), stats.sem(values)), rel=1e-9)


def test_the_bootstrap_of_three_seeds_would_be_too_narrow():
    draws = np.random.default_rng(0).normal(70, 2, size=(300, 3))
    covered = [low <= 70 <= high for values in draws for _, low, high in [bootstrap_mean(values, n_boot=400)]]
    assert np.mean(covered) < 0.85


def test_one_seed_has_no_interval():
    value, low, high = student([70.0])
    assert value == 70 and np.isnan(low) and np.isnan(high)
