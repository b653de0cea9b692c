"""Pairs of models on the same test images, in sentences."""

from pathlib import Path

import numpy as np
import pytest

from workbench.comparison.differences import differences, group_differences, left_out
from workbench.comparison.seeds import Group
from workbench.errors import WorkbenchError
from workbench.store import Probe, Run, create_run, probe_of

N = 400
LABELS = np.arange(N) % 4


def guesses(right: int) -> np.ndarray:
    """Predictions of which the first ``right`` are correct."""
    return np.where(np.arange(N) < right, LABELS, (LABELS + 1) % 4)


def run_of(runs: Path, name: str, right: int, untrained: int = 120, ids: np.ndarray | None = None) -> Run:
    data = {"name": "shapes", "fingerprint": "abc"}
    run = create_run(runs, "", {"method": "vae", "name": name, "data": data})
    row = {"model": "run", "metric": "top1"}
    worse, better = {"value": 99.0, "validation": 10.0}, {"value": 1.0, "validation": 20.0}
    run.write_evaluation("linear", {"rows": [row | worse | {"space": "worse"}, row | better | {"space": "better"}]})
    arrays = {"ids": np.arange(N) if ids is None else ids, "labels": LABELS}
    for name, array in (arrays | {"worse": guesses(0), "better": guesses(right)}).items():
        run.write_array(f"predicted-{name}", array)
    run.write_array("untrained-predicted-better", guesses(untrained))
    Probe(probe_of(runs, "abc").path / "baselines").write_array("predicted-pixels", guesses(130))
    return run


def test_every_pair_once_and_each_run_with_its_own_baselines(tmp_path: Path) -> None:
    runs = [run_of(tmp_path, "one", 300), run_of(tmp_path, "two", 302, untrained=110)]
    found = {(pair.label, pair.other): pair for pair in differences(runs)}
    own = {(f"{name} (better)", other) for name in ("one", "two") for other in (f"untrained {name}", "pixels")}
    assert set(found) == own | {("one (better)", "two (better)")}
    clear, tie = found["one (better)", "pixels"], found["one (better)", "two (better)"]
    assert clear.significant and clear.accuracy == 75.0 and clear.other_accuracy == 32.5 and clear.comparisons == 5
    assert clear.difference.value == pytest.approx(42.5) and clear.difference.low > 35
    assert str(clear).startswith(
        "The linear probe of one is more accurate than that of pixels: 75.0 % against 32.5 % (+42.5 points, 95 % CI"
    )
    assert not tie.significant and str(tie).startswith(
        "No significant difference between the linear probes of one and two: "
    )


def test_a_model_that_is_worse_than_pixels_is_told_so(tmp_path: Path) -> None:
    (_, pair) = differences([run_of(tmp_path, "bad", 20)])
    assert pair.other == "pixels" and pair.significant
    assert str(pair).startswith(
        "The linear probe of bad is less accurate than that of pixels: 5.0 % against 32.5 % (-27.5 points,"
    )


def test_other_test_images_are_a_loud_error(tmp_path: Path) -> None:
    runs = [run_of(tmp_path, "one", 300), run_of(tmp_path, "two", 300, ids=np.arange(N) + 1)]
    with pytest.raises(WorkbenchError, match=r"one.* and two.* were probed on different test images"):
        differences(runs)


def test_runs_without_predictions_are_left_out(tmp_path: Path) -> None:
    whole, old = run_of(tmp_path, "one", 300), run_of(tmp_path, "two", 300)
    (old.path / "arrays" / "predicted-ids.npy").unlink()
    assert {pair.label for pair in differences([whole, old])} == {"one (better)"}
    assert differences([old]) == []


def alone(*runs: Run) -> list[Group]:
    return [Group(str(run.info()["name"]), (run,), (None,)) for run in runs]


def pixels_row(run: Run, value: float) -> None:
    rows = run.evaluation("linear")["rows"]
    run.write_evaluation("linear", {"rows": [*rows, {"model": "pixels", "space": "pixels", "value": value}]})


def test_predictions_that_do_not_fit_their_ids_are_told(tmp_path: Path) -> None:
    """As fine-tuning under other limits once left them."""
    whole, torn = run_of(tmp_path, "one", 300), run_of(tmp_path, "two", 300)
    torn.write_array("predicted-ids", np.arange(N // 2))
    torn.write_array("predicted-labels", LABELS[: N // 2])
    assert left_out(alone(whole)) == []
    (said,) = left_out(alone(whole, torn))
    assert f"Not tested: {torn.id}, whose predictions are not stored or belong to another" in said
    assert f"`workbench evaluate {torn.id} --only linear --runs {tmp_path}`" in said


def test_a_seed_that_is_left_out_of_its_group_is_told(tmp_path: Path) -> None:
    runs = tuple(run_of(tmp_path, "one", 300 + seed) for seed in range(3))
    (runs[1].path / "arrays" / "predicted-better.npy").unlink()
    (runs[2].path / "arrays" / "untrained-predicted-better.npy").unlink()
    own, untrained = left_out([Group("one", runs, (0, 1, 2))])
    assert runs[1].id in own and "2 of 3 seeds of one are tested" in own
    assert f"the untrained network of {runs[2].id}, whose" in untrained


def test_a_run_without_a_probe_is_told_with_its_reason(tmp_path: Path) -> None:
    run = run_of(tmp_path, "one", 300)
    run.write_evaluation("linear", {"skipped": "It has no labels."})
    (said,) = left_out(alone(run))
    assert f"{run.id}, without a linear probe (It has no labels)." in said


def test_another_evaluation_does_not_take_a_runs_pixels_away(tmp_path: Path) -> None:
    run = run_of(tmp_path, "one", 300)
    run.write_array("pixels-predicted", guesses(130))
    pixels_row(run, 32.5)
    shared = Probe(probe_of(tmp_path, "abc").path / "baselines")
    shared.write_array("predicted-pixels", guesses(10)[:200])
    assert [pair.other for pair in differences([run])] == ["untrained one", "pixels"] and left_out(alone(run)) == []


def test_shared_pixels_count_where_they_are_those_of_the_runs_table(tmp_path: Path) -> None:
    run = run_of(tmp_path, "one", 300)
    pixels_row(run, 32.5)
    assert [pair.other for pair in differences([run])] == ["untrained one", "pixels"] and left_out(alone(run)) == []
    Probe(probe_of(tmp_path, "abc").path / "baselines").write_array("predicted-pixels", guesses(131))
    assert [pair.other for pair in differences([run])] == ["untrained one"]
    assert f"pixels beside {run.id}, whose predictions are not stored or belong to another" in left_out(alone(run))[0]


def test_every_group_is_compared_with_the_pixels_it_was_evaluated_beside(tmp_path: Path) -> None:
    runs = [run_of(tmp_path, "one", 300), run_of(tmp_path, "two", 302)]
    for run, right in zip(runs, (100, 140), strict=True):
        run.write_array("pixels-predicted", guesses(right))
    found = {pair.label: pair.other_accuracy for pair in differences(runs) if pair.other == "pixels"}
    assert found == {"one (better)": 25.0, "two (better)": 35.0}
    assert "pixels beside" in left_out([Group("one", tuple(runs), (0, 1))])[0]  # no single reference


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_a_difference_is_significant_exactly_where_its_interval_excludes_zero(tmp_path: Path, seeds: int) -> None:
    """Many models between which differences are small and large, alone and with few and enough seeds."""
    groups = [
        Group(str(right), tuple(run_of(tmp_path, "x", right + 3 * seed) for seed in range(seeds)), (*range(seeds),))
        for right in (100, 130, 150, 170, 174, 200, 260)
    ]
    pairs = group_differences(groups)
    excludes = [pair.simultaneous.low > 0 or pair.simultaneous.high < 0 for pair in pairs]
    assert [pair.significant for pair in pairs] == excludes and 0 < sum(excludes) < len(pairs)
    for pair in pairs:
        assert pair.simultaneous.low < pair.difference.low and pair.difference.high < pair.simultaneous.high
        assert ("No significant" in str(pair)) != pair.significant
