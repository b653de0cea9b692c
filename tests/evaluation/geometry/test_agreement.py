import numpy as np
import pytest

from tests.conftest import LIMITS
from tests.evaluation.conftest import rows_with
from tests.metrics.direct import linear_cka, procrustes
from workbench.evaluation.features import Material
from workbench.evaluation.geometry import agreement


@pytest.fixture
def compare(evaluate):
    return lambda *runs: evaluate(runs, only=["agreement"])


def table(run, metric, other, key="value"):
    rows = rows_with(run.evaluation("agreement"), metric=metric, other=other)
    return {(row["space"], row["other_space"]): row[key] for row in rows}


def test_agreement_of_runs_together_is_that_of_their_features(compare, make_run, make_model, make_dataset):
    one, other = make_run(), make_run()
    compare(one, other)
    written = one.evaluation("agreement")
    assert {row["other"] for row in written["rows"]} == {other.id, "pixels", "untrained:vae"}
    assert (written["n"], written["k"], written["split"]) == (60, 10, "probe")
    first = written["rows"][0]
    assert {first[key] for key in ("model", "space", "other_space", "metric")} == {"run", "quarters", "cka"}
    assert first["other"] == other.id and first["other_checkpoint"] == "last, step 1"
    probe = Material(make_dataset(), LIMITS).probe
    a, b = (make_model(run, seed=seed).encode(probe.images)["random"] for run, seed in ((one, 0), (other, 1)))
    cka = table(one, "cka", other.id)
    assert cka["quarters", "quarters"] == pytest.approx(1)
    assert cka["random", "random"] == pytest.approx(linear_cka(a, b))
    assert table(one, "procrustes", other.id)["random", "random"] == pytest.approx(procrustes(a, b))
    assert table(one, "mutual_knn", other.id)["quarters", "quarters"] == pytest.approx(1)


def test_both_runs_of_a_pair_are_told_the_same(compare, make_run):
    one, other = make_run(), make_run()
    compare(one, other)
    for metric in ("cka", "mutual_knn", "procrustes"):
        for key in ("value", "expected", "p_value"):
            mirrored = {pair[::-1]: value for pair, value in table(other, metric, one.id, key).items()}
            assert table(one, metric, other.id, key) == mirrored


def test_values_stand_beside_what_independent_features_give(compare, make_run):
    run = make_run()
    compare(run)
    for row in run.evaluation("agreement")["rows"]:
        assert 0 <= row["expected"] <= 1 and 0 < row["p_value"] <= 1
    assert table(run, "cka", "pixels", "p_value")["quarters", "pixels"] == pytest.approx(1 / 200)
    assert table(run, "procrustes", "pixels", "p_value")["quarters", "pixels"] == pytest.approx(1 / 100)
    expected = table(run, "mutual_knn", "pixels", "expected")["quarters", "pixels"]
    assert expected == pytest.approx(10 / 59, abs=0.02)  # any ten of the others


def test_earlier_runs_are_kept_while_their_weights_are_the_same(compare, make_run):
    one, other, third = make_run(), make_run(), make_run()
    compare(one, other)
    compare(one, third)
    assert {other.id, third.id} <= {row["other"] for row in one.evaluation("agreement")["rows"]}
    changed = other.evaluation("agreement")
    other.write_evaluation("agreement", changed | {"checkpoint": "last, step 99"})
    compare(one, third)
    assert other.id not in {row["other"] for row in one.evaluation("agreement")["rows"]}


def test_large_probe_sets_are_thinned(make_context, monkeypatch):
    monkeypatch.setattr(agreement, "IMAGES", 20)
    context = make_context()
    agreement.evaluate([context], [agreement.representations(context)])
    written = context.run.evaluation("agreement")
    assert written["n"] == 20 and "20 probe images" in written["protocol"]
    features = [context.material.encode(context.model).test["quarters"], context.material.pixels.test["pixels"]]
    keep = context.material.spread(20)
    assert np.ptp(keep) > 50
    expected = linear_cka(features[0][keep], features[1][keep])
    assert table(context.run, "cka", "pixels")["quarters", "pixels"] == pytest.approx(expected)
