import numpy as np
import pytest

from workbench.evaluation.probes import few_labels, linear


def test_rows_hold_every_share_of_run_and_baselines(evaluation_of):
    _, written = evaluation_of(few_labels)
    models = ("run", "untrained:vae", "pixels")
    found = [(row["model"], row["labels"], row["n_labels"], row["subsets"]) for row in written["rows"]]
    # 30 of each of 3 classes: 1 % and 5 % are at least one of each.
    shares = [(0.01, 3, 5), (0.05, 6, 5), (0.1, 9, 5), (1.0, 90, 1)]
    assert found == [(model, *share) for model in models for share in shares]
    assert {row["space"] for row in written["rows"]} == {"quarters", "pixels"}
    assert all(0 <= row["low"] <= row["value"] <= row["high"] <= 100 for row in written["rows"])
    assert written["default"] == "quarters" and written["n"] == 60
    own = [row["value"] for row in written["rows"] if row["model"] == "run"]
    assert min(own) > 60 and own[-1] > 90  # three colours


def test_all_labels_give_the_linear_probe(evaluation_of):
    context, _ = evaluation_of(few_labels)
    linear.evaluate(context)
    for model, space in (("run", "quarters"), ("pixels", "pixels")):
        rows = [context.run.evaluation(name)["rows"] for name in ("few_labels", "linear")]
        (few,) = [row for row in rows[0] if row["model"] == model and row["labels"] == 1.0]
        (full,) = [row for row in rows[1] if row["model"] == model and row["space"] == space]
        assert (few["value"], few["low"], few["high"]) == (full["value"], full["low"], full["high"])


def test_subsets_have_every_class_in_proportion_and_depend_on_the_seed_alone():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [600, 300, 3]))
    rows = few_labels.subset(labels, 0.1, seed=0)
    assert np.bincount(labels[rows]).tolist() == [60, 30, 1]
    assert len(set(rows)) == len(rows) and (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, few_labels.subset(labels, 0.1, seed=0))
    assert len(set(rows) & set(few_labels.subset(labels, 0.1, seed=1))) < 30  # about 9 by chance


@pytest.mark.parametrize("spread", [0.0, 4.0])
def test_intervals_cover_the_mean_over_other_subsets_and_images(spread):
    """Scores with known effects of subset and image: 95 % of the intervals hold the true mean, or a few more."""
    rng, trials, subsets, n = np.random.default_rng(1), 800, 5, 200
    covered = 0
    for _ in range(trials):
        chance = 50 + spread * rng.normal(size=(subsets, 1)) + 15 * rng.normal(size=(1, n))
        hits = 100.0 * (rng.uniform(0, 100, size=(subsets, n)) < chance)
        interval = few_labels.crossed_interval(hits)
        covered += interval.low <= 50 <= interval.high
    assert 0.935 < covered / trials < 0.99


def test_interval_without_variance_is_a_point_and_stays_within_percent():
    assert few_labels.crossed_interval(np.full((5, 9), 100.0)) == (100.0, 100.0, 100.0)
    assert few_labels.crossed_interval(np.array([[0.0]])) == (0.0, 0.0, 0.0)
    wide = few_labels.crossed_interval(np.array([[100.0, 100.0, 0.0], [100.0, 100.0, 100.0]]))
    assert wide.low >= 0 and wide.high == 100


def test_few_labels_without_labels_are_skipped_with_a_reason(evaluation_of):
    _, written = evaluation_of(few_labels, labels=False)
    assert "tiny" in written["skipped"]
