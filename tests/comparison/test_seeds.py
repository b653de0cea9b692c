"""Runs that differ in their seed alone are one group, and nothing else is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.comparison.differences import caveat, differences, group_differences
from workbench.comparison.seeds import group_runs, over_seeds, partition, pooled
from workbench.errors import WorkbenchError
from workbench.run import GROUP_DIGITS
from workbench.store import Probe, Run, create_run, probe_of

N = 600
LABELS = np.arange(N) % 4


def make_run(
    runs: Path,
    seed: int | None,
    skill: float = 0.7,
    name: str | None = "mocov3",
    data: str = "abc",
    lr: float = 0.1,
    steps: int = 100,
    method: str = "mocov3",
    config: str | None = None,
) -> Run:
    """A run whose probe knows an image where its difficulty lies below the skill, give or take the seed's luck."""
    told = {"name": "shapes", "fingerprint": data}
    text = f"method: {method}\nseed: {seed}\nname: {name}\noptim.lr: {lr}\ndevice: auto\nruns: {runs}\n"
    info: dict[str, Any] = {"method": method, "name": name, "data": told, "seed": seed, "cost": {"steps": steps}}
    run = create_run(runs, text if config is None else config, info)
    rng = np.random.default_rng([0 if seed is None else seed, len(method), round(1000 * skill)])
    difficulty = np.random.default_rng(0).random(N)
    run.write_array("predicted-ids", np.arange(N))
    run.write_array("predicted-labels", LABELS)
    rows = []
    for space, extra in (("projector", -0.2), ("backbone", 0.0)):
        right = difficulty + 0.15 * rng.normal(size=N) < skill + extra + 0.01 * rng.normal()
        run.write_array(f"predicted-{space}", np.where(right, LABELS, (LABELS + 1) % 4))
        row = {"model": "run", "space": space, "metric": "top1", "value": 100 * right.mean()}
        rows.append(row | {"validation": 100 * right.mean()})
    run.write_array("untrained-predicted-backbone", np.where(difficulty < 0.3, LABELS, (LABELS + 1) % 4))
    run.write_evaluation("linear", {"rows": rows, "checkpoint": f"last, step {steps}", "n": N})
    kept = Probe(probe_of(runs, data).path / "baselines")
    kept.write_array("predicted-pixels", np.where(difficulty < 0.4, LABELS, (LABELS + 1) % 4))
    return run


def test_seeds_form_a_group_whatever_their_names_and_places(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / str(seed), seed, name=f"mine-{seed}") for seed in (3, 1, 2)]
    (group,) = group_runs(runs)
    assert group.runs == tuple(runs) and group.seeds == (3, 1, 2)
    assert group.label == "mocov3" and group.title == "mocov3 (3 seeds)"


@pytest.mark.parametrize(
    ("change", "labels"),
    [
        ({"lr": 0.2}, ["mocov3 optim.lr=0.1", "mocov3 optim.lr=0.2"]),
        ({"steps": 50}, ["mocov3 steps=100", "mocov3 steps=50"]),
        ({"method": "vae", "name": "vae"}, ["mocov3", "vae"]),
    ],
)
def test_another_setting_length_or_method_is_another_group(
    tmp_path: Path, change: dict[str, Any], labels: list[str]
) -> None:
    groups = group_runs([make_run(tmp_path, 0), make_run(tmp_path, 1, **change)])
    assert [group.label for group in groups] == labels


def test_other_data_a_repeated_seed_and_what_is_unknown_stand_alone(tmp_path: Path) -> None:
    plain = [make_run(tmp_path, 0), make_run(tmp_path, 1, data="other"), make_run(tmp_path, 0)]
    unknown = [make_run(tmp_path, None), make_run(tmp_path, 5, config=""), make_run(tmp_path, 6, config="a: [1")]
    groups = group_runs(plain + unknown)
    assert [len(group) for group in groups] == [1] * 6
    assert len({group.label for group in groups}) == 6


CONFIG = "method: mocov3\nseed: {seed}\noptim.lr: 0.1\nblur:\n- 0.0\n- 0.5\nname: a name that goes on\n  and on\n"


def seeded(runs: Path, seed: int, more: str = "", steps: int = 100, evaluated: int = 100) -> Run:
    run = make_run(runs, seed, config=CONFIG.format(seed=seed) + more, steps=evaluated)
    run.update_summary(steps=steps)
    return run


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({}, {"more": "composition: null\n"}, True),  # a setting that came later
        ({"more": "optim.clip: null\n"}, {"more": "optim.clip: 1.0\n"}, False),
        ({"more": "max_steps: 100\nepochs: 5\n"}, {"more": "max_steps: null\nepochs: 1\n"}, True),
        ({"more": "epochs: 5\n"}, {"more": "epochs: 50\n", "steps": 1000, "evaluated": 1000}, False),
    ],
)
def test_the_list_of_runs_and_the_comparison_group_alike(
    tmp_path: Path, one: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    runs = [seeded(tmp_path, 0, **one), seeded(tmp_path, 1, **other)]
    listed = partition([run.summary() for run in runs], tmp_path)
    assert (len(listed) == 1) is same is (len(group_runs(runs)) == 1)
    assert all(len(run.summary()["group"]) == GROUP_DIGITS for run in runs)


def test_an_unfinished_run_is_no_seed_of_one_that_was_planned_as_short(tmp_path: Path) -> None:
    """Their learning rates were not the same."""
    runs = [seeded(tmp_path, 0, steps=100, evaluated=50), seeded(tmp_path, 1, steps=50, evaluated=50)]
    assert len(group_runs(runs)) == 2
    runs = [seeded(tmp_path, 0, steps=100, evaluated=50), seeded(tmp_path, 1, steps=100, evaluated=100)]
    assert next(group.label for group in group_runs(runs)) == "mocov3 evaluated at step=50"


def test_over_seeds_is_students_interval() -> None:
    value, low, high = over_seeds([1.0, 2.0, 3.0])
    half = 4.30265 / np.sqrt(3)  # t quantile of two degrees of freedom
    assert (value, low, high) == pytest.approx((2.0, 2 - half, 2 + half), abs=1e-4)
    assert np.isnan(over_seeds([1.0])[1:]).all()


def test_an_interval_over_seeds_ends_where_the_metric_does() -> None:
    assert over_seeds([90.0, 96.0, 99.0])[2] > 100 == over_seeds([90.0, 96.0, 99.0], "top1")[2]
    assert over_seeds([0.9, 1.0], "r2")[2] == 1 and over_seeds([0.0, 0.2], "r2")[1] < 0


def test_groups_of_three_are_tested_over_seeds_and_images(tmp_path: Path) -> None:
    good = [make_run(tmp_path, seed, 0.8) for seed in range(3)]
    bad = [make_run(tmp_path, seed, 0.5, method="vae", name="vae") for seed in range(3)]
    found = {(pair.label, pair.other): pair for pair in group_differences(group_runs([*good, *bad]))}
    own, other = "mocov3 (backbone, 3 seeds)", "vae (backbone, 3 seeds)"
    baselines = {(own, "untrained mocov3"), (own, "pixels"), (other, "untrained vae"), (other, "pixels")}
    assert set(found) == {(own, other)} | baselines
    pair = found[own, other]
    assert pair.over_seeds and pair.significant and pair.seeds == pair.other_seeds == 3 and pair.comparisons == 5
    assert pair.accuracy == pytest.approx(np.mean([run.evaluation("linear")["rows"][1]["value"] for run in good]))
    assert "more accurate than that of vae: " in str(pair) and "3 seeds and" in str(pair)
    assert "Owen" in caveat(list(found.values())) and "McNemar" not in caveat(list(found.values()))


def test_two_seeds_speak_of_their_networks_only(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, seed, 0.8) for seed in range(2)]
    pairs = group_differences(group_runs([*runs, make_run(tmp_path, 0, 0.5, method="vae", name="vae")]))
    assert not any(pair.over_seeds for pair in pairs)
    assert "test images; these networks only)" in str(pairs[0])
    assert "fewer than 3 seeds" in caveat(pairs) and "McNemar" in caveat(pairs)  # the latter for vae alone


def test_runs_on_different_data_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="trained on different versions of shapes; only runs on the same images"):
        differences([make_run(tmp_path, 0), make_run(tmp_path, 0, data="other")])


def test_other_test_images_within_a_group_are_a_clear_error(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, seed) for seed in range(3)]
    runs[1].write_array("predicted-ids", np.arange(N) + 1)
    with pytest.raises(WorkbenchError, match="probed on different test images"):
        group_differences(group_runs(runs))


def test_a_folder_is_divided_as_the_comparison_groups_its_runs(tmp_path: Path) -> None:
    runs = [seeded(tmp_path, 0), seeded(tmp_path, 1), seeded(tmp_path, 0), seeded(tmp_path, 2, "optim.clip: 1.0\n")]
    runs += [make_run(tmp_path, None), make_run(tmp_path, 5, config="")]
    runs.sort(key=lambda run: run.id)
    listed = partition([run.summary() for run in reversed(runs)], tmp_path)
    grouped = [[run.id for run in group.runs] for group in group_runs(runs)]
    assert [[summary["id"] for summary in group] for group in listed] == grouped
    runs[0].update_summary(group="old and short")
    assert partition([run.summary() for run in runs], tmp_path)[0][0]["id"] == runs[0].id


def test_pooled_rows_are_means_over_seeds_and_pixels_stay() -> None:
    pixels = {"model": "pixels", "space": "pixels", "metric": "top1", "value": 30.0, "low": 29.0, "high": 31.0}

    def content(seed: int, value: float) -> dict[str, Any]:
        row = {"model": "run", "space": "a", "metric": "top1", "value": value, "low": 0.0, "high": 99.0}
        return {"rows": [row | {"validation": value + 1}, pixels], "seeds": [seed], "default": "a"}

    merged = pooled([content(0, 50.0), content(1, 60.0)])
    own, raw = merged["rows"]
    assert (own["value"], own["validation"]) == (55.0, 56.0) and 0 <= own["low"] < 50 < 60 < own["high"] <= 100
    assert raw == pixels and merged["default"] == "a"
    assert pooled([content(3, 50.0)]) == content(3, 50.0) and pooled([]) == {}
