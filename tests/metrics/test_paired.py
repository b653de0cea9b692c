"""Paired tests by hand, by simulation and against statsmodels."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_ind, ttest_rel
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_referee
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from workbench.metrics.paired import crossed_difference, holm, mcnemar, paired_difference


def test_mcnemar_by_hand() -> None:
    """Six images fall to one model, none to the other: 2 / 2**6."""
    right, other = np.array([True] * 6 + [True] * 10), np.array([False] * 6 + [True] * 10)
    assert mcnemar(right, other) == pytest.approx(2 / 64)
    assert mcnemar(other, right) == pytest.approx(2 / 64)
    assert mcnemar(right, right) == 1.0


@pytest.mark.parametrize("seed", range(20))
def test_mcnemar_agrees_with_statsmodels(seed: int) -> None:
    generator = np.random.default_rng(seed)
    n, level, other_level = generator.integers(1, 400), *generator.random(2)
    right, other = generator.random(n) < level, generator.random(n) < other_level
    table = [[np.sum(right & other), np.sum(right & ~other)], [np.sum(~right & other), np.sum(~right & ~other)]]
    referee: Any = mcnemar_referee(table, exact=True)
    assert mcnemar(right, other) == pytest.approx(referee.pvalue, rel=1e-9)


def test_mcnemar_rejects_at_most_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    rejected = 0
    for _ in range(2000):
        difficulty = generator.random(300)
        right, other = (generator.random(300) < difficulty for _ in range(2))  # equally good, and they agree often
        rejected += mcnemar(right, other) < 0.05
    assert rejected / 2000 < 0.05


def test_mcnemar_sees_what_two_intervals_cannot() -> None:
    """One model is right wherever the other is, and on 3 % more images."""
    other = np.arange(1000) < 700
    right = np.arange(1000) < 730
    assert mcnemar(right, other) < 1e-6


def test_the_interval_of_a_difference_covers_it() -> None:
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        difficulty = generator.normal(size=200)
        a, b = (difficulty + shift + 0.5 * generator.normal(size=200) for shift in (0.1, 0.0))
        _, low, high = paired_difference(a, b)
        covered += low <= 0.1 <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("seed", range(20))
def test_holm_agrees_with_statsmodels(seed: int) -> None:
    """Small and large p-values, ties, 0 and 1."""
    generator = np.random.default_rng(seed)
    p_values = np.round(generator.random(generator.integers(1, 30)) ** generator.integers(1, 6), 2).tolist()
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], rel=1e-12)


def test_holm_keeps_the_error_of_the_whole_family() -> None:
    generator = np.random.default_rng(2)
    families = generator.random((4000, 10))  # p-values under the null
    assert np.mean([min(holm(family)) < 0.05 for family in families]) < 0.06


def hits(generator: np.random.Generator, seeds: int, difficulty: np.ndarray, luck: float) -> np.ndarray:
    """(seeds, n) of 0 and 1: images have their difficulty for a method, seeds their luck, and both chance."""
    n = len(difficulty)
    reach = 0.7 + difficulty + luck * generator.normal(size=(seeds, 1)) + 0.6 * generator.normal(size=(seeds, n))
    return (reach > 0).astype(float)


def crossed(families: int, seeds: tuple[int, int], luck: float, n: int = 300) -> tuple[float, float]:
    """How often the interval covers no difference and how often the test rejects it, where there is none."""
    generator = np.random.default_rng([families, *seeds, round(100 * luck)])
    covered = rejected = 0
    for _ in range(families):
        shared = generator.normal(size=n)
        one, other = (hits(generator, count, shared + 0.4 * generator.normal(size=n), luck) for count in seeds)
        (_, low, high), p_value = crossed_difference(one, other)
        covered += low <= 0 <= high
        rejected += p_value < 0.05
    return covered / families, rejected / families


@pytest.mark.parametrize("luck", [0.0, 0.05, 0.3])
def test_crossed_difference_covers_and_rejects_at_the_nominal_rate(luck: float) -> None:
    covered, rejected = crossed(1500, (3, 3), luck)
    assert covered >= 0.94 and rejected <= 0.06 and covered + rejected == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.parametrize("luck", [0.0, 0.05, 0.1, 0.3])
@pytest.mark.parametrize("seeds", [(3, 3), (3, 5), (5, 5), (10, 10)])
def test_crossed_difference_at_length(seeds: tuple[int, int], luck: float) -> None:
    covered, rejected = crossed(12000, seeds, luck)
    assert covered >= 0.94 and rejected <= 0.055


def test_images_alone_would_call_the_luck_of_seeds_real() -> None:
    """What the comparison of single networks cannot know: another seed would have turned it round."""
    generator = np.random.default_rng(4)
    rejected = 0
    for _ in range(300):
        shared = generator.normal(size=300)
        rows = [hits(generator, 1, shared, luck=0.5) for _ in range(2)]
        rejected += mcnemar(rows[0][0] > 0, rows[1][0] > 0) < 0.05
    assert rejected / 300 > 0.3


def test_a_single_row_is_fixed_and_the_test_is_then_that_of_paired_means() -> None:
    generator = np.random.default_rng(5)
    a, b = generator.normal(0.1, 1, 200), generator.normal(0, 1, 200)
    (value, low, high), p_value = crossed_difference(a[None], b[None])
    expected = ttest_rel(a, b)
    assert p_value == pytest.approx(expected.pvalue)  # pyright: ignore[reportAttributeAccessIssue]
    bounds = expected.confidence_interval()  # pyright: ignore[reportAttributeAccessIssue]
    assert (value, low, high) == pytest.approx((np.mean(a - b), bounds.low, bounds.high))


def test_without_images_that_differ_it_is_welchs_test() -> None:
    a, b = np.array([70.0, 72.0, 71.0]), np.array([68.0, 65.0, 69.0, 66.0])
    (_, low, high), p_value = crossed_difference(np.repeat(a[:, None], 9, 1), np.repeat(b[:, None], 9, 1))
    expected = ttest_ind(a, b, equal_var=False)
    assert p_value == pytest.approx(expected.pvalue)  # pyright: ignore[reportAttributeAccessIssue]
    bounds = expected.confidence_interval()  # pyright: ignore[reportAttributeAccessIssue]
    assert (low, high) == pytest.approx((bounds.low, bounds.high))
    referee: Any = CompareMeans(DescrStatsW(a), DescrStatsW(b))
    assert (low, high) == pytest.approx(referee.tconfint_diff(usevar="unequal"))
    assert p_value == pytest.approx(referee.ttest_ind(usevar="unequal")[1])


def test_what_never_differs_is_certain() -> None:
    same = np.ones((3, 10))
    assert crossed_difference(same, same) == ((0, 0, 0), 1.0)
    assert crossed_difference(same, 0 * same) == ((1, 1, 1), 0.0)
