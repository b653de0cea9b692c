"""Paired tests by hand, by simulation and against statsmodels."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm, ttest_ind, ttest_rel
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_referee
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from workbench.metrics.paired import bonferroni, crossed_difference, paired_proportions, simultaneous_level


def outcomes(both: int, only: int, other_only: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Which images each of two models classifies correctly, by how many of each kind there are."""
    right = np.repeat([True, True, False, False], (both, only, other_only, neither))
    return right, np.repeat([True, False, True, False], (both, only, other_only, neither))


def test_the_interval_of_paired_proportions_is_the_published_one() -> None:
    """The airway hyper-responsiveness of 21 children, as Fagerland, Lydersen and Laake (2014) print it."""
    (value, low, high), _ = paired_proportions(*outcomes(1, 1, 7, 12))
    assert value == pytest.approx(-6 / 21) and (low, high) == pytest.approx((-0.517, -0.026), abs=5e-4)


@pytest.mark.parametrize("seed", range(20))
def test_the_test_of_paired_proportions_agrees_with_statsmodels(seed: int) -> None:
    generator = np.random.default_rng(seed)
    n, level, other_level = generator.integers(2, 400), *generator.random(2)
    right, other = generator.random(n) < level, generator.random(n) < other_level
    table = [[np.sum(right & other), np.sum(right & ~other)], [np.sum(~right & other), np.sum(~right & ~other)]]
    referee: Any = mcnemar_referee(table, exact=False, correction=False)
    assert paired_proportions(right, other)[1] == pytest.approx(referee.pvalue, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("level", [0.95, 0.999])
def test_intervals_of_paired_proportions_exclude_zero_exactly_where_the_test_rejects(level: float) -> None:
    generator = np.random.default_rng(3)
    rejected = 0
    for _ in range(300):
        n, difficulty = int(generator.integers(1, 300)), generator.random(300)
        right, other = (generator.random(n) < difficulty[:n] ** power for power in generator.choice([1, 3], 2))
        (value, low, high), p_value = paired_proportions(right, other, level)
        assert -1 <= low <= value <= high <= 1
        assert (low > 0 or high < 0) == (p_value < 1 - level)
        rejected += p_value < 1 - level
    assert 20 < rejected < 280


def test_paired_proportions_of_the_same_images_have_an_interval() -> None:
    """By hand: with no image on which the models differ the bounds are z^2 / (n + z^2)."""
    (value, low, high), p_value = paired_proportions(*outcomes(40, 0, 0, 2))
    square = 1.959964**2
    assert (value, p_value) == (0.0, 1.0) and (low, high) == pytest.approx(
        (-square / (42 + square), square / (42 + square))
    )
    assert paired_proportions(*outcomes(0, 10, 0, 0))[0].high == 1.0
    assert paired_proportions(*outcomes(0, 0, 10, 0))[0].low == -1.0


def test_the_test_of_paired_proportions_rejects_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    rejected = 0
    for _ in range(2000):
        difficulty = generator.random(300)
        right, other = (generator.random(300) < difficulty for _ in range(2))  # equally good, and they agree often
        rejected += paired_proportions(right, other)[1] < 0.05
    assert 0.04 < rejected / 2000 < 0.06


def test_a_paired_test_finds_what_two_intervals_cannot() -> None:
    """One model is right wherever the other is, and on 3 % more images."""
    assert paired_proportions(*outcomes(700, 30, 0, 270))[1] < 1e-6


def test_the_interval_of_paired_proportions_covers_the_difference() -> None:
    generator = np.random.default_rng(1)
    covered, images = 0, norm.cdf(np.linspace(-2.5, 2.5, 2001))
    true = float(np.mean(norm.cdf(2 * images - 0.6) - norm.cdf(2 * images - 1)))
    for _ in range(400):
        difficulty = generator.choice(images, 200)
        right, other = (generator.random(200) < norm.cdf(2 * difficulty - shift) for shift in (0.6, 1.0))
        (_, low, high), _ = paired_proportions(right, other)
        covered += low <= true <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_bonferroni() -> None:
    assert bonferroni([0.01, 0.04, 0.3]) == pytest.approx([0.03, 0.12, 0.9])
    assert bonferroni([0.9, 0.8]) == [1.0, 1.0]
    assert bonferroni([]) == []


@pytest.mark.parametrize("seed", range(5))
def test_bonferroni_agrees_with_statsmodels(seed: int) -> None:
    """Small and large p-values, ties, 0 and 1."""
    generator = np.random.default_rng(seed)
    p_values = np.round(generator.random(generator.integers(1, 30)) ** generator.integers(1, 6), 2).tolist()
    assert bonferroni(p_values) == pytest.approx(multipletests(p_values, method="bonferroni")[1], rel=1e-12)


def test_simultaneous_intervals_cover_together() -> None:
    """Ten means of normal values with known variance: some interval misses in at most 5 % of 4,000 families."""
    generator = np.random.default_rng(2)
    half = norm.ppf((1 + simultaneous_level(10)) / 2)
    missed = (np.abs(generator.normal(size=(4000, 10))) > half).any(axis=1).mean()
    assert 0.035 < missed < 0.06 and simultaneous_level(1) == pytest.approx(0.95)


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
        rejected += paired_proportions(rows[0][0] > 0, rows[1][0] > 0)[1] < 0.05
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
