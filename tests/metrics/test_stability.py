"""Spikes, dips and collapse, planted into synthetic trainings and found again."""

import numpy as np
import pytest

from workbench.metrics.stability import Spike, collapses, dips, is_spike, robust_z, spikes

SEEDS, ROWS, EVERY = range(20), 600, 10


def gradients(seed: int, noise: float) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], list[tuple[int, str]]]:
    """Steps, total norm and norms by layer of a training with six spikes, with the row and first layer of each.

    Log norms fall slowly, with noise that layers share (autocorrelated, 0.5) and noise of their own, skewed as maxima
    are. Spikes are 3 to 20 times the usual, one to three rows long, and reach the other layers one to three rows later.
    """
    rng = np.random.default_rng(seed)
    shared = np.zeros(ROWS)
    for row in range(1, ROWS):
        shared[row] = 0.5 * shared[row - 1] + rng.normal(0, 0.7 * noise)
    trend = 1 + 2 * np.exp(-np.linspace(0, 1.5, ROWS))
    layers = {
        f"block {k}": rng.uniform(0.5, 1.5)
        * trend
        * np.exp(shared + rng.normal(0, 0.7 * noise, ROWS) + rng.gumbel(0, 0.08, ROWS))
        for k in range(8)
    }
    planted = []
    for start in np.sort(rng.choice(np.arange(3, ROWS // 20), 6, replace=False)) * 20 + rng.integers(0, 10, 6):
        height, first = rng.uniform(3, 20), rng.choice(list(layers))
        for name, norms in layers.items():
            late = start + (0 if name == first else rng.integers(1, 4))
            norms[late : late + rng.integers(1, 4)] *= height * rng.uniform(0.7, 1.3)
        planted.append((int(start), first))
    total = np.sqrt(sum(norms**2 for norms in layers.values()))
    return np.arange(1, ROWS + 1) * EVERY, total, layers, planted


# Measured over 20 seeds, 120 spikes: recall, precision, and the share of those found whose first layer is right.
@pytest.mark.parametrize(("noise", "measured"), [(0.15, (1.00, 1.00, 0.95)), (0.25, (0.97, 0.99, 0.94))])
def test_planted_spikes_are_found_with_their_first_layer(noise: float, measured: tuple[float, float, float]) -> None:
    recall, precision, first = measured
    found = planted = false = right = 0
    for seed in SEEDS:
        steps, total, layers, truth = gradients(seed, noise)
        hits: dict[int, bool] = {}
        for spike in spikes(steps, total, layers):
            near = [(row, name) for row, name in truth if steps[row] - EVERY <= spike.start <= steps[row] + 6 * EVERY]
            false += not near
            for row, name in near:
                hits.setdefault(row, spike.layer == name)
        planted, found, right = planted + len(truth), found + len(hits), right + sum(hits.values())
    assert found / planted >= recall - 0.005
    assert found / (found + false) >= precision - 0.005
    assert right / found >= first - 0.005


def knn_curve(seed: int, paired: bool) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """Steps, accuracy in percent of 1,000 images and the planted dips (first and last reading).

    A rise to 75 % with four dips of 8 to 25 points that recover within eight readings. Paired: as in a monitor, each
    image keeps its difficulty from reading to reading; otherwise every reading draws its images anew.
    """
    rng = np.random.default_rng(seed)
    readings = np.arange(150)
    chance = 0.75 - 0.45 * np.exp(-readings / 40)
    planted = []
    for start in rng.choice(np.arange(2, 11), 4, replace=False) * 12 + rng.integers(0, 5, 4):
        length = rng.integers(2, 8)
        chance[start : start + length] -= rng.uniform(0.08, 0.25) * np.exp(-np.arange(length) / 3)
        planted.append((int(start), int(start + length)))
    if paired:
        difficulty = rng.uniform(size=1000)
        hits = [np.mean(difficulty + rng.normal(0, 0.12, 1000) < p) for p in chance]
    else:
        hits = rng.binomial(1000, chance) / 1000
    return readings * 100, 100 * np.asarray(hits), planted


# Measured over 20 seeds, 80 dips. Readings of new images each time are noisier than what a monitor gives.
@pytest.mark.parametrize(("paired", "recall", "precision"), [(True, 1.0, 1.0), (False, 1.0, 0.83)])
def test_planted_dips_are_found(paired: bool, recall: float, precision: float) -> None:
    found = planted = false = 0
    for seed in SEEDS:
        steps, accuracy, truth = knn_curve(seed, paired)
        hits = set()
        for dip in dips(steps, accuracy, 1000):
            near = {start for start, end in truth if 100 * (start - 1) <= dip.start <= 100 * (end + 1)}
            false += not near
            hits |= near
        planted, found = planted + len(truth), found + len(hits)
    assert found / planted >= recall - 0.005
    assert found / (found + false) >= precision - 0.01


def test_a_row_knows_nothing_of_later_ones() -> None:
    steps, total, layers, _ = gradients(0, 0.25)
    whole = spikes(steps, total, layers)
    half = spikes(steps[:300], total[:300], {name: norms[:300] for name, norms in layers.items()})
    assert half and half == whole[: len(half)]
    np.testing.assert_array_equal(robust_z(total)[0][:300], robust_z(total[:300])[0])


def test_a_spike_between_two_rows_carries_its_step() -> None:
    rng = np.random.default_rng(0)
    steps = np.arange(1, 41) * 10
    first, last = (np.exp(rng.normal(0, 0.1, 40)) for _ in range(2))
    first[30], last[30] = 8.0, 9.0
    at = {"first": steps.copy(), "last": steps.copy()}
    at["first"][30], at["last"][30] = 303, 307
    (spike,) = spikes(steps, np.hypot(first, last), {"last": last, "first": first}, at=at, peaks=at["last"])
    assert (spike.start, spike.step, spike.end, spike.layer) == (307, 307, 310, "first")
    assert 6 < spike.height < 12 and spike.z > 4


def test_a_dip_names_the_spike_before_it() -> None:
    rng = np.random.default_rng(0)
    steps = np.arange(1, 101) * 10
    norms = np.exp(rng.normal(0, 0.1, 100))
    norms[[29, 61]] = 10.0
    found = spikes(steps, norms)
    assert [spike.step for spike in found] == [300, 620]
    readings = np.arange(1, 11) * 100
    accuracy = np.array([40, 50, 55, 57, 58, 60, 45, 52, 61, 48.0])
    first, second = dips(readings, accuracy, 1000, found)
    assert (first.before, first.start, first.step, first.recovered) == (600, 700, 700, 900)
    assert first.depth == pytest.approx(15) and first.spike == found[1]
    assert second.recovered is None and second.spike is None  # the spike at 620 is too long ago


def test_a_spike_before_a_dip_comes_before_one_on_the_way_down() -> None:
    readings, accuracy = np.arange(1, 6) * 100, np.array([60, 50, 45, 20, 60.0])
    early, late, later = (Spike(at, at, at, 5.0, 9.0) for at in (50, 250, 420))
    (dip,) = dips(readings, accuracy, 1000, [early, late, later])
    assert (dip.start, dip.step) == (200, 400)
    assert dip.spike == early  # before the very first reading, too
    assert dip.near == (early, late)
    (dip,) = dips(readings, accuracy, 1000, [late, later])
    assert dip.spike == late


def test_earlier_spikes_of_a_dip_are_its_own_too() -> None:
    readings, accuracy = np.arange(1, 7) * 100, np.array([50, 55, 60, 40, 61, 62.0])
    away, first, last = (Spike(at, at, at, 5.0, 9.0) for at in (150, 300, 330))
    (dip,) = dips(readings, accuracy, 1000, [away, first, last])
    assert dip.spike == last and dip.near == (first, last)


def test_a_spike_knows_whose_norm_it_is_of() -> None:
    norms = np.array([*([1.0, 1.1] * 10), 9.0])
    for of in ("total", "first"):
        assert [spike.of for spike in spikes(np.arange(len(norms)), norms, of=of)] == [of]


def test_the_last_norm_is_a_spike_where_the_whole_curve_has_one() -> None:
    _, total, _, _ = gradients(1, 0.25)
    told = [row for row in range(1, ROWS) if is_spike(list(total[: row + 1]))]
    steps = np.arange(ROWS)
    rows = {row for spike in spikes(steps, total) for row in (spike.start, spike.end)}
    assert rows <= set(told) and len(told) < 30
    assert not is_spike([1.0, None]) and is_spike([*([1.0, 1.1] * 10), None, 9.0])
    assert not is_spike([*([1.0, 1.1] * 10), None])


@pytest.mark.parametrize("norms", [np.zeros(40), np.full(40, np.nan), np.ones(3), np.zeros(0)])
def test_what_is_not_known_is_no_spike(norms: np.ndarray) -> None:
    assert spikes(np.arange(len(norms)), norms) == []
    assert dips(np.arange(1), np.array([5.0]), 100) == dips(np.zeros(0), np.zeros(0), 100) == []


def test_a_calm_gradient_has_no_spikes() -> None:
    norms = 1 + 1e-4 * np.random.default_rng(0).normal(size=200)
    norms[150] = 1.01
    assert spikes(np.arange(200), norms) == []


def test_collapse_is_named_by_the_second_reading_and_ends_above_twice_its_edge() -> None:
    spread = [0.001, 0.4, 0.004, 0.4, 0.004, 0.003, 0.015, 0.03, None, 0.5]
    (one,) = collapses(range(10), spread, [50.0] * 10)
    assert (one.step, one.until) == (5, 7) and "complete collapse" in one.reason and "0.003" in one.reason
    assert collapses([1], [0.0], [1.0]) == []  # not at the first reading of any run
    assert [one.step for one in collapses([1, 2], [0.0, 0.0], [1.0, 1.0])] == [2]
    (one,) = collapses(range(4), [0.5, 0.5, 1e-4, 1e-4], [60.0, 60.0, 1.0, 1.0])
    assert "complete" in one.reason  # of which few dimensions are a part
    (shrunk,) = collapses(range(5), [0.5] * 5, [60.0, 80.0, 7.0, 6.0, 9.0])
    assert (shrunk.step, shrunk.until) == (3, None)
    assert "effective rank has fallen from 80 to 6 (dimensional collapse)" in shrunk.reason
    spread, rank = [0.5, 0.5, 1e-4, 1e-4, 0.5, 0.5, 0.5], [60.0, 60.0, 1.0, 1.0, 2.0, 2.0, 50.0]
    first, second = collapses(range(7), spread, rank)
    assert (first.step, first.until, second.step, second.until) == (3, 4, 4, 6)
    assert "complete" in first.reason and "dimensional" in second.reason  # which goes on
