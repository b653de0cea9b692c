"""Runs, groups of seeds and baselines side by side: which numbers stand in a row, and what is said of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from workbench.cli import main
from workbench.comparison.printing import print_table
from workbench.comparison.table import AGREE, comparison_table, interval_text, notes
from workbench.store import Run, create_run

VALUES = {"knn": (60.0, 62.0, 64.0), "linear": (70.0, 71.0, 75.0)}


def make(runs: Path, seed: int, values: Mapping[str, float | None], n: int = 1500, method: str = "vae") -> Run:
    """A run with the evaluations that have a value, each with a row of the run, its untrained network and pixels."""
    info: dict[str, Any] = {"method": method, "data": {"name": "shapes", "fingerprint": "abc"}, "seed": seed}
    run = create_run(runs, f"method: {method}\nseed: {seed}\n", info | {"cost": {"steps": 9}})
    for name, value in values.items():
        if value is not None:
            models = {"run": ("z", value), f"untrained:{method}": ("z", 25.0), "pixels": ("pixels", 30.0)}
            more = {"metric": "top1"} | ({"queries": 230} if name == "retrieval" else {})
            rows = [
                more | {"model": model, "space": space, "value": number, "low": number - 2, "high": number + 2}
                for model, (space, number) in models.items()
            ]
            run.write_evaluation(name, {"rows": rows, "n": n, "default": "z", "checkpoint": "last, step 9"})
    return run


def three(runs: Path, **changes: tuple[float | None, ...]) -> list[Run]:
    values = VALUES | changes
    return [make(runs, seed, {name: found[seed] for name, found in values.items()}) for seed in range(3)]


def test_seeds_on_other_numbers_of_images_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [make(tmp_path, seed, {"linear": 70.0 + seed}, n=10_000 if seed == 0 else 1500) for seed in range(3)]
    table = comparison_table(runs)
    assert table[0]["linear"]["n"] is None and sorted(table[0]["linear"]["ns"]) == [1500, 10_000]
    print_table(table)
    printed = capsys.readouterr().out
    assert "evaluated on different numbers of images (linear probe 1,500 or 10,000); evaluate them again" in printed
    assert not any("different numbers" in note for note in notes(comparison_table(runs[1:])))


def test_a_mean_over_fewer_seeds_says_so(tmp_path: Path) -> None:
    (row, *_) = comparison_table(three(tmp_path, knn=(60.0, None, 64.0), retrieval=(None, None, 10.0)))
    assert interval_text(row["knn"]).endswith("], 2 of 3 seeds")
    assert interval_text(row["retrieval"]) == "10.0 [8.0, 12.0], 1 of 3 seeds"
    assert "seeds" not in interval_text(row["linear"])


def test_seeds_that_agree_have_an_interval_over_images(tmp_path: Path) -> None:
    table = comparison_table(three(tmp_path, linear=(70.0, 70.0, 70.0)))
    assert interval_text(table[0]["linear"]) == "70.0 [68.0, 72.0]" and AGREE in notes(table)
    untrained = next(row for row in table if row["model"] == "untrained:vae")
    assert interval_text(untrained["linear"]) == "25.0 [23.0, 27.0]" and not untrained["seeds"]
    assert AGREE not in notes(comparison_table(three(tmp_path / "other")))


def test_pixels_and_spaces_are_found_where_the_first_run_lacks_them(tmp_path: Path) -> None:
    other = make(tmp_path, 0, {"knn": 50.0, "linear": 50.0, "retrieval": 5.0}, method="mocov3")
    table = comparison_table([*three(tmp_path, knn=(None, 62.0, 64.0), linear=(None, 71.0, 75.0)), other])
    (pixels,) = [row for row in table if row["model"] == "pixels"]
    assert [pixels[key]["value"] for key in ("knn", "linear", "retrieval")] == [30.0] * 3
    assert table[0]["space"] == "z" and table[0]["linear"]["values"] == [71.0, 75.0]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"knn": 50.0}, "over 1,500 test images (kNN)."),
        ({"knn": 50.0, "linear": 50.0}, "over 1,500 test images (kNN, linear probe)."),
        ({"retrieval": 5.0}, "over 230 queries (retrieval)."),
    ],
)
def test_every_interval_is_explained(tmp_path: Path, values: dict[str, float], said: str) -> None:
    (note,) = notes(comparison_table([make(tmp_path, 0, values)]))
    assert note == f"Brackets: 95 % intervals {said}"


def test_a_run_that_is_named_twice_is_compared_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make(tmp_path, 0, {"linear": 70.0})
    assert main(["compare", run.id, str(run.path), "--runs", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("vae") for line in lines) == 1
