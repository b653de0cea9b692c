"""Pairs of models on the same test images, in sentences."""

from pathlib import Path

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.evaluation.significance import differences
from workbench.store import Probe, Run, create_run, probe_of

N = 400
LABELS = np.arange(N) % 4


def guesses(right: int) -> np.ndarray:
    """Predictions of which the first ``right`` are correct."""
    return np.where(np.arange(N) < right, LABELS, (LABELS + 1) % 4)


def run_of(runs: Path, name: str, right: int, untrained: int = 120, ids: np.ndarray | None = None) -> Run:
    data = {"name": "shapes", "fingerprint": "abc"}
    run = create_run(runs, "", {"method": "vae", "name": name, "data": data})
    rows = [
        {"model": "run", "space": "worse", "metric": "top1", "value": 99.0, "validation": 10.0},
        {"model": "run", "space": "better", "metric": "top1", "value": 1.0, "validation": 20.0},
    ]
    run.write_evaluation("linear", {"rows": rows})
    run.write_array("predicted-ids", np.arange(N) if ids is None else ids)
    run.write_array("predicted-labels", LABELS)
    run.write_array("predicted-worse", guesses(0))
    run.write_array("predicted-better", guesses(right))
    run.write_array("untrained-predicted-better", guesses(untrained))
    Probe(probe_of(runs, "abc").path / "baselines").write_array("predicted-pixels", guesses(130))
    return run


def test_every_pair_once_and_each_run_with_its_own_baselines(tmp_path: Path) -> None:
    runs = [run_of(tmp_path, "one", 300), run_of(tmp_path, "two", 302, untrained=110)]
    found = {(pair.label, pair.other): pair for pair in differences(runs)}
    assert set(found) == {
        ("one (better)", "two (better)"),
        ("one (better)", "untrained one"),
        ("two (better)", "untrained two"),
        ("one (better)", "pixels"),
        ("two (better)", "pixels"),
    }
    clear, tie = found["one (better)", "pixels"], found["one (better)", "two (better)"]
    assert clear.real and clear.accuracy == 75.0 and clear.other_accuracy == 32.5 and clear.comparisons == 5
    assert clear.difference.value == pytest.approx(42.5) and clear.difference.low > 35
    assert str(clear).startswith("one (better) tells the class of more images than pixels (75.0 against 32.5 %, +42.5")
    assert not tie.real and "no difference shown on 400 images" in str(tie)


def test_a_model_that_is_worse_than_pixels_is_told_so(tmp_path: Path) -> None:
    (_, pair) = differences([run_of(tmp_path, "bad", 20)])
    assert pair.other == "pixels" and pair.real
    assert str(pair).startswith("bad (better) tells the class of fewer images than pixels (5.0 against 32.5 %, -27.5")


def test_other_test_images_are_a_loud_error(tmp_path: Path) -> None:
    runs = [run_of(tmp_path, "one", 300), run_of(tmp_path, "two", 300, ids=np.arange(N) + 1)]
    with pytest.raises(WorkbenchError, match=r"one.* and two.* were probed on different test images"):
        differences(runs)


def test_runs_without_predictions_are_left_out(tmp_path: Path) -> None:
    whole, old = run_of(tmp_path, "one", 300), run_of(tmp_path, "two", 300)
    (old.path / "arrays" / "predicted-ids.npy").unlink()
    assert {pair.label for pair in differences([whole, old])} == {"one (better)"}
    assert differences([old]) == []
