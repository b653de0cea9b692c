"""Paired tests by hand and by simulation."""

import numpy as np
import pytest

from workbench.metrics.paired import holm, mcnemar, paired_difference


def test_mcnemar_by_hand() -> None:
    """Six images fall to one model, none to the other: 2 / 2**6."""
    right, other = np.array([True] * 6 + [True] * 10), np.array([False] * 6 + [True] * 10)
    assert mcnemar(right, other) == pytest.approx(2 / 64)
    assert mcnemar(other, right) == pytest.approx(2 / 64)
    assert mcnemar(right, right) == 1.0


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


def test_holm_keeps_the_error_of_the_whole_family() -> None:
    generator = np.random.default_rng(2)
    families = generator.random((4000, 10))  # p-values under the null
    assert np.mean([min(holm(family)) < 0.05 for family in families]) < 0.06
