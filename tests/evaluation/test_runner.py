import json

import numpy as np
import pytest

from tests.conftest import LIMITS
from workbench.comparison.printing import print_table
from workbench.comparison.table import comparison_table
from workbench.errors import WorkbenchError
from workbench.evaluation import runner
from workbench.evaluation.features import Limits
from workbench.headline import headline_value


def test_everything_is_written_and_summed_up(evaluate, make_run):
    run = make_run(cost={"parameters": 1234, "seconds": 75.0})
    evaluate([run])
    assert set(run.evaluations()) == set(runner.NAMES)
    summary = run.summary()
    own = [row for row in run.evaluation("linear")["rows"] if row["model"] == "run"]
    best = max(own, key=lambda row: row["validation"])  # as in comparisons
    nearest = {row["space"]: row["value"] for row in run.evaluation("knn")["rows"] if row["model"] == "run"}
    assert (summary["linear"], summary["knn"]) == (best["value"], nearest[best["space"]])
    assert summary["linear"] > 90
    assert run.info()["cost"] == {"parameters": 1234, "seconds": 75.0}


def test_only_does_no_more_than_it_is_told(evaluate, make_run):
    run = make_run()
    evaluate([run], only=["likelihood"])
    assert list(run.evaluations()) == ["likelihood"]
    with pytest.raises(WorkbenchError, match='did you mean "linear"'):
        evaluate([run], only=["liner"])


def test_one_evaluation_that_fails_is_left_out_unless_it_is_alone(evaluate, make_run, monkeypatch):
    def fails(context):
        raise WorkbenchError("It has no steps.")

    monkeypatch.setitem(runner.EVALUATIONS, "samples", fails)
    monkeypatch.setattr(runner.agreement, "representations", fails)
    run = make_run()
    evaluate([run], only=["samples", "agreement", "likelihood"])
    assert run.evaluation("samples")["skipped"] == run.evaluation("agreement")["skipped"] == "It has no steps."
    assert run.evaluation("likelihood")["rows"]
    other = make_run()
    with pytest.raises(WorkbenchError, match="It has no steps"):
        evaluate([other], only=["samples"])
    assert not other.evaluations()


def test_the_summary_keeps_what_was_known(evaluate, make_run):
    run = make_run()
    run.update_summary(knn_monitor=41.0)
    evaluate([run], only=["likelihood"])
    assert run.summary()["knn_monitor"] == 41.0 and not {"knn", "linear"} & run.summary().keys()
    evaluate([run], only=["knn"])
    measured = run.summary()["knn"]
    assert measured == headline_value(run, "knn") and "linear" not in run.summary()
    evaluate([run], only=["likelihood"])
    assert (run.summary()["knn"], run.summary()["knn_monitor"]) == (measured, 41.0)


def test_runs_on_different_data_are_not_joined(evaluate, make_run):
    runs = [make_run(), make_run(fingerprint="beef", data="cats")]
    with pytest.raises(WorkbenchError, match=r"tiny.*cats.*different data"):
        evaluate(runs)
    assert not runs[0].evaluations()


def test_data_that_changed_since_training_is_refused(evaluate, make_run):
    with pytest.raises(WorkbenchError, match="trained on other images"):
        evaluate([make_run(fingerprint="beef")])


def test_comparison_has_runs_first_and_baselines_once(evaluate, make_run, capsys):
    runs = [make_run(cost={"parameters": 1_234_567, "seconds": 75.0}, name="mine"), make_run()]
    evaluate(runs)
    table = comparison_table(runs)
    assert [(row["model"], row["kind"]) for row in table if row["kind"] != "default space"] == [
        ("mine", "run"),
        ("vae", "run"),
        ("pixels", "baseline"),
        ("untrained:vae", "baseline"),
        ("untrained:vae", "baseline"),  # of another size, as far as is known
        ("mean image", "baseline"),
        ("pca-30", "baseline"),
    ]
    mine = table[0]
    assert mine["space"] == "quarters" and mine["linear"]["n"] == 60
    assert mine["linear"]["value"] == runs[0].summary()["linear"]
    assert mine["reconstruction"]["variant"] == "good" and mine["reconstruction"]["n"] == 20
    assert table[-1]["reconstruction"]["value"] and table[-1]["linear"] is None
    json.dumps(table)
    print_table(table)
    printed = capsys.readouterr().out
    for text in ("mine", "1.23M", "1 min", "pca-30", "60 test images"):
        assert text in printed


def measured(run, steps):
    """Cells of a run, measured at the given steps."""
    for name, step in steps.items():
        row = {"model": "run", "space": "a", "variant": "", "value": 50.0, "low": 40.0, "high": 60.0}
        content = {"rows": [row], "default": "" if name == "reconstruction" else "a", "n": 10}
        run.write_evaluation(name, content | {"checkpoint": f"last, step {step} (EMA weights)"})


def test_deleted_weights_are_told_before_anything_is_computed(make_run):
    good, bad = make_run(), make_run()
    (bad.path / "checkpoints" / "step-00000007").rmdir()
    bad.update_summary(status="finished")
    with pytest.raises(WorkbenchError, match=f"weights of the run {bad.id} were deleted"):
        runner.evaluate([good, bad], only=["knn"], quiet=True)
    assert not good.evaluations()


def test_cells_of_several_checkpoints_are_told(make_run, capsys):
    run = make_run(cost={"steps": 100, "parameters": 10})
    measured(run, {"knn": 50, "linear": 100, "reconstruction": 100})
    (row,) = comparison_table([run])
    assert row["knn"]["checkpoint"] == "last, step 50 (EMA weights)"
    assert row["linear"]["checkpoint"] == row["reconstruction"]["checkpoint"] == "last, step 100 (EMA weights)"
    print_table([row])
    printed = capsys.readouterr().out
    assert row["warning"] in printed and "kNN: last, step 50 (EMA weights)" in row["warning"]
    assert f"workbench evaluate {run.id}" in row["warning"]


def test_cells_of_an_earlier_step_than_the_cost_are_told(make_run):
    run = make_run(cost={"steps": 100, "parameters": 10})
    measured(run, {"knn": 50})
    (row,) = comparison_table([run])
    assert "step 50" in row["warning"] and "all 100 steps" in row["warning"]
    measured(run, {"knn": 100, "linear": 100})
    assert comparison_table([run])[0]["warning"] is None
    measured(run, {"knn": 120, "linear": 120})  # resumed, its cost not yet written
    assert comparison_table([run])[0]["warning"] is None


def test_best_space_is_the_one_that_validation_prefers(make_run):
    run = make_run()
    values = {"a": (60.0, 55.0), "b": (50.0, 70.0), "c": (90.0, 65.0)}
    row = {"model": "run", "metric": "top1", "low": 0, "high": 100}
    found = [row | {"space": space, "value": test, "validation": val} for space, (test, val) in values.items()]
    run.write_evaluation("linear", {"rows": found, "default": "a", "n": 10})
    shown = [(row["kind"], row["space"], row["linear"]["value"]) for row in comparison_table([run])]
    assert shown == [("run", "b", 50.0), ("default space", "a", 60.0)]


def test_comparison_survives_missing_and_foreign_files(make_run, capsys):
    run = make_run()
    run.write_evaluation("linear", {"rows": "none", "default": 3})
    run.write_evaluation("knn", {"rows": [1, {"model": "run"}, {"model": "pixels", "space": "pixels", "value": 3.0}]})
    table = comparison_table([run])
    assert table[0]["linear"] is None and table[0]["knn"] is None
    print_table(table)
    assert "vae" in capsys.readouterr().out


def test_limits_are_small_on_a_cpu():
    import torch

    assert Limits.of(torch.device("cpu")).train < Limits.of(torch.device("cuda")).train
    assert np.all([int(word) > 0 for word in str(LIMITS).split() if word.isdigit()])
