"""Simulated experiments whose truth is known: do intervals and tests err as often as they say, and no more?

Every simulation is judged by the binomial distribution of its count at the nominal rate.
"""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binom

from workbench.metrics.intervals import Interval, bootstrap_mean, bootstrap_r2
from workbench.metrics.paired import bonferroni, paired_proportions

Experiment = Callable[[np.random.Generator, int, int], Interval]
NOISE = 0.6


def accuracy(generator: np.random.Generator, n: int, seed: int) -> Interval:
    """70 % of the images are classified correctly."""
    return bootstrap_mean(generator.random(n) < 0.7, seed=seed)


def high_accuracy(generator: np.random.Generator, n: int, seed: int) -> Interval:
    return bootstrap_mean(generator.random(n) < 0.9, seed=seed)


def psnr(generator: np.random.Generator, n: int, seed: int) -> Interval:
    """Decibels per image, skewed."""
    return bootstrap_mean(20 + generator.gamma(4.0, 1.5, n), seed=seed)


def r2_of_a_number(generator: np.random.Generator, n: int, seed: int) -> Interval:
    target = generator.normal(5, 2, (n, 1))
    return bootstrap_r2(target, target + 2 * NOISE * generator.normal(size=(n, 1)), seed=seed)


def r2_of_an_angle(generator: np.random.Generator, n: int, seed: int) -> Interval:
    """Sine and cosine, shrunk as ridge regression shrinks them; the variance of both together is 1."""
    angle = generator.uniform(0, 2 * np.pi, n)
    target = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return bootstrap_r2(target, 0.5 * target + 0.3 * generator.normal(size=(n, 2)), seed=seed)


def r2_of_nothing(generator: np.random.Generator, n: int, seed: int) -> Interval:
    """The prediction, of 1/25 of the target's variance, knows nothing of it."""
    return bootstrap_r2(generator.normal(size=(n, 1)), 0.2 * generator.normal(size=(n, 1)), seed=seed)


TRUTH: dict[Experiment, float] = {
    accuracy: 0.7,
    high_accuracy: 0.9,
    psnr: 26.0,
    r2_of_a_number: 1 - NOISE**2,
    r2_of_an_angle: 1 - 0.25 - 2 * 0.3**2,
    r2_of_nothing: -(0.2**2),
}


def covered(experiment: Experiment, n: int, trials: int) -> int:
    """How many of the intervals hold the truth."""
    generator = np.random.default_rng([n, trials])
    intervals = (experiment(generator, n, seed) for seed in range(trials))
    return sum(low <= TRUTH[experiment] <= high for _, low, high in intervals)


def assert_nominal(count: int, trials: int, level: float = 0.95) -> None:
    low, high = binom.interval(0.999, trials, level)
    assert low <= count <= high, f"{count} of {trials} intervals cover, expected {low:.0f} to {high:.0f}"


AT_LENGTH = [pytest.param(n, 2000, marks=pytest.mark.slow) for n in (200, 1500)]


@pytest.mark.parametrize(("n", "trials"), [(200, 200), (1500, 40), *AT_LENGTH])
@pytest.mark.parametrize("experiment", TRUTH, ids=lambda experiment: experiment.__name__)
def test_bootstrap_intervals_cover(experiment: Experiment, n: int, trials: int) -> None:
    assert_nominal(covered(experiment, n, trials), trials)


def test_the_judgement_notices_intervals_of_another_level() -> None:
    """Intervals of 80 % and 99.9 % are told from those of 95 %, so the tests above can fail."""
    generator = np.random.default_rng(0)
    for level in (0.8, 0.999):
        intervals = [bootstrap_mean(generator.normal(size=200), level=level, seed=seed) for seed in range(300)]
        with pytest.raises(AssertionError):
            assert_nominal(sum(low <= 0 <= high for _, low, high in intervals), 300)


def family(generator: np.random.Generator, n: int, skill: list[float]) -> list[np.ndarray]:
    """Which of the same n images each model classifies correctly; difficult images are so for all of them."""
    difficulty = generator.normal(size=n)
    return [difficulty + 0.7 * generator.normal(size=n) < value for value in skill]


def false_positives(n: int, skill: list[float], families: int) -> tuple[int, int]:
    """In how many families some two equally good models are called different, and some two different ones are."""
    generator = np.random.default_rng([n, families, len(skill)])
    wrong = found = 0
    pairs = list(combinations(range(len(skill)), 2))
    for _ in range(families):
        models = family(generator, n, skill)
        p_values = bonferroni([paired_proportions(models[a], models[b])[1] for a, b in pairs])
        equal = np.array([skill[a] == skill[b] for a, b in pairs])
        rejected = np.array(p_values) < 0.05
        wrong += bool((rejected & equal).any())
        found += bool((rejected & ~equal).any())
    return wrong, found


SKILLS = {"all equal": [0.5] * 4, "one better": [0.5, 0.5, 0.5, 1.2], "two and two": [0.5, 0.5, 1.0, 1.0]}


@pytest.mark.parametrize("n", [200, 1500])
@pytest.mark.parametrize("name", SKILLS)
def test_families_of_paired_tests_err_at_most_as_often_as_they_say(name: str, n: int) -> None:
    wrong, found = false_positives(n, SKILLS[name], 100)
    assert wrong <= binom.ppf(0.999, 100, 0.05)
    assert (found > 50) == (name != "all equal")  # not because they never find anything


@pytest.mark.slow
@pytest.mark.parametrize("n", [200, 1500])
@pytest.mark.parametrize("name", SKILLS)
def test_families_of_paired_tests_at_length(name: str, n: int) -> None:
    wrong, _ = false_positives(n, SKILLS[name], 4000)
    assert wrong <= binom.ppf(0.999, 4000, 0.05)


def test_without_correction_the_family_errs_more_often() -> None:
    """The reason for the correction, and proof that the simulation has something to find."""
    generator = np.random.default_rng(0)
    wrong = 0
    for _ in range(150):
        models = family(generator, 400, [0.5] * 4)
        wrong += min(paired_proportions(a, b)[1] for a, b in combinations(models, 2)) < 0.05
    assert wrong > binom.ppf(0.999, 150, 0.05)
