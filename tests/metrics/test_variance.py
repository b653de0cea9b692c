"""Shares of variance in a two-way design, against regression, statsmodels and simulation."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from workbench.metrics.variance import two_way_shares


def explained(columns: list[np.ndarray], y: np.ndarray) -> float:
    """The sum of squares that least squares explains with an intercept."""
    design = np.column_stack([np.ones(len(y)), *columns])
    fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return float(np.square(fitted - y.mean()).sum())


def test_shares_are_those_of_nested_regressions() -> None:
    values = np.random.default_rng(0).normal(size=(3, 2, 4)) + np.arange(3)[:, None, None]
    first, second, _ = np.indices(values.shape).reshape(3, -1)
    y = values.ravel()
    a = [(first == level).astype(float) for level in (1, 2)]
    b = [(second == 1).astype(float)]
    both = [of_a * b[0] for of_a in a]
    total = np.square(y - y.mean()).sum()
    sums = np.diff([0.0, explained(a, y), explained(a + b, y), explained(a + b + both, y), total])
    degrees, within = np.array([2, 1, 2]), sums[3] / 18
    parts = [*np.maximum(sums[:3] - degrees * within, 0), 24 * within]
    found = two_way_shares(values, draws=10)
    np.testing.assert_allclose([share.value for share in found], np.divide(parts, sum(parts)), atol=1e-12)
    assert sum(share.value for share in found) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(2, 2, 2), (3, 2, 4), (4, 5, 3)])
def test_f_tests_and_shares_agree_with_statsmodels(shape: tuple[int, int, int]) -> None:
    generator = np.random.default_rng(shape)
    effects = (generator.normal(size=(shape[0], 1, 1)), generator.normal(size=(1, shape[1], 1)))
    values = sum(effects) + generator.normal(size=(*shape[:2], 1)) / 2 + generator.normal(size=shape)
    first, second, _ = np.indices(shape).reshape(3, -1)
    rows = pd.DataFrame({"y": values.ravel(), "first": first, "second": second})
    table: Any = anova_lm(ols("y ~ C(first) * C(second)", rows).fit(), typ=2)
    sums, degrees = table["sum_sq"].to_numpy(), table["df"].to_numpy()
    within = sums[3] / degrees[3]
    parts = np.append(np.maximum(sums[:3] - degrees[:3] * within, 0), values.size * within)
    shares = two_way_shares(values, draws=10)
    np.testing.assert_allclose([share.value for share in shares], parts / parts.sum(), atol=1e-12)
    np.testing.assert_allclose([share.p for share in shares], table["PR(>F)"], rtol=1e-9)


def test_a_worked_example() -> None:
    """By hand: A's means 2 and 6, B's 3 and 5, no interaction; runs 1 to either side: squares 32, 8, 0 and 8, so that
    s^2 is 2, and 30 : 6 : 0 : 16 is left."""
    values = np.array([[[0.0, 2.0], [2.0, 4.0]], [[4.0, 6.0], [6.0, 8.0]]])
    first, second, both, runs = two_way_shares(values)
    assert [share.value for share in (first, second, both, runs)] == pytest.approx([30 / 52, 6 / 52, 0, 16 / 52])
    assert first.p == pytest.approx(0.01613, abs=1e-5) and np.isnan(runs.p)  # F(1, 4) = 16
    assert first.low <= first.value <= first.high


def test_without_effects_all_goes_to_the_runs_and_p_is_uniform() -> None:
    generator = np.random.default_rng(1)
    found = [two_way_shares(generator.normal(size=(3, 2, 3)), draws=1) for _ in range(300)]
    means = np.mean([[share.value for share in shares] for shares in found], axis=0)
    assert means[3] > 0.85 and means[:3].max() < 0.07  # not 0, as no share is negative
    for part in range(3):
        rejected = np.mean([shares[part].p < 0.1 for shares in found])
        assert 0.05 < rejected < 0.16  # 0.1, and three standard errors


def test_three_runs_estimate_and_cover_the_shares_of_endless_ones() -> None:
    generator = np.random.default_rng(2)
    effect = np.array([-1.2, 0.0, 1.2])[:, None, None] + np.array([-0.5, 0.5])[None, :, None]
    truth = two_way_shares(effect + generator.normal(size=(3, 2, 20_000)), draws=1)
    found = [two_way_shares(effect + generator.normal(size=(3, 2, 3)), draws=400) for _ in range(200)]
    for part, expected in enumerate(truth):
        own = [shares[part] for shares in found]
        assert np.mean([share.value for share in own]) == pytest.approx(expected.value, abs=0.04)
        assert np.mean([share.low <= expected.value <= share.high + 1e-3 for share in own]) > 0.85


@pytest.mark.parametrize("shape", [(3, 2), (1, 2, 3), (3, 2, 1)])
def test_too_few_values_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least two"):
        two_way_shares(np.zeros(shape))


def test_nothing_that_differs_has_no_shares() -> None:
    found = two_way_shares(np.full((2, 2, 2), 0.1))
    assert all(np.isnan(share.value) for share in found)
