"""What a sweep tells beside top-1: likelihoods, reconstructions, layers, factors, and whose the variance is."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from tests.cli.conftest import csv_rows
from tests.figures.svg_texts import words_of
from tests.training.tiny import COMMON, TINY
from workbench.cli import main
from workbench.comparison.seeds import over_seeds
from workbench.figures.shares import Panels
from workbench.metrics.variance import two_way_shares
from workbench.store import list_runs
from workbench.studies.tables import measure_tables, variance_shares

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "runs"
VIT = {"depth": 1, "heads": 2, "patch": 4}
DDPM = {"method": "ddpm", "noise_schedule": "cosine", "likelihood_steps": 1}
CELLS: dict[str, Any] = {
    "VAE, ViT": TINY["vae"] | VIT | {"network": "vit", "vit_width": 24, "labels": {"objective": "VAE", "trunk": "ViT"}},
    "VAE, conv": TINY["vae"] | {"labels": {"objective": "VAE", "trunk": "conv"}},
    "DDPM, ViT": DDPM | VIT | {"network": "vit", "width": 24, "labels": {"objective": "DDPM", "trunk": "ViT"}},
    "DDPM, conv": DDPM | TINY["ddpm"] | {"labels": {"objective": "DDPM", "trunk": "conv"}},
}
RECIPE: dict[str, Any] = {
    "title": "Objective x trunk",
    "method": "vae",
    "measures": ["reconstruction", "likelihood"],
    "settings": {key: value for key, value in COMMON.items() if key != "device"} | {"epochs": 1},
    "cells": CELLS,
    "scales": {"tiny": {}},
}


def words_for(folder: Path, recipe: dict[str, Any]) -> list[str]:
    """The command that makes a sweep of a recipe."""
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    return ["sweep", str(folder / "tiny.yaml"), "-o", str(folder / "made"), "--device", "cpu"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished sweep of two objectives, two trunks and two seeds."""
    folder = tmp_path_factory.mktemp("tables")
    assert main([*words_for(folder, RECIPE), "--seeds", "2"]) == 0
    return folder / "made"


def record(made: Path) -> dict[str, Any]:
    return json.loads((made / "sweep.json").read_text())


def test_likelihoods_are_those_of_the_runs_and_means_are_over_seeds(made: Path) -> None:
    table = record(made)["tables"]["likelihood"]
    runs = {(run.info()["name"], run.info()["seed"]): run for run in list_runs(made / "runs")}
    own = {(row["cell"], row["seed"], row["quantity"]): row["value"] for row in table["rows"] if row["model"] == "run"}
    for key, run in runs.items():
        bits = [row for row in run.evaluation("likelihood")["rows"] if row["metric"] == "bits_per_dim"]
        (whole,) = [row for row in bits if row["model"] == "run" and "term" not in row and row["kind"] == "lower bound"]
        terms = [row["value"] for row in bits if row["model"] == "run" and "term" in row]
        assert own[*key, "total"] == whole["value"] == pytest.approx(sum(terms))
    means = {(row["cell"], row["model"], row["quantity"]): row for row in table["means"]}
    pair = [own["VAE, conv", seed, "50 importance samples"] for seed in (0, 1)]
    assert means["VAE, conv", "run", "50 importance samples"]["value"] == pytest.approx(over_seeds(pair).value)
    histogram = means[None, "histogram of each pixel", "total"]
    assert histogram["interval"] == "images" and histogram["value"] < means[None, "all levels alike", "total"]["value"]


def test_variance_is_shared_among_objective_trunk_and_seeds(made: Path) -> None:
    content = record(made)
    found = {(row["measure"], row["quantity"], row["part"]): row["value"] for row in content["shares"]}
    rows = content["tables"]["likelihood"]["rows"]
    totals = [row for row in rows if (row["model"], row["quantity"]) == ("run", "total")]
    known = {(row["cell"], row["seed"]): row["value"] for row in totals}
    order = [["VAE, ViT", "VAE, conv"], ["DDPM, ViT", "DDPM, conv"]]
    expected = two_way_shares(np.array([[[known[cell, seed] for seed in (0, 1)] for cell in cells] for cells in order]))
    parts = ("objective", "trunk", "objective x trunk", "seeds")
    assert [found["likelihood", "total", part] for part in parts] == pytest.approx([share.value for share in expected])
    assert {"linear", "knn"} <= {measure for measure, _, _ in found}
    assert "reconstruction" not in {key[0] for key in found}  # from a code, or from t = 100, which is another thing
    assert ("likelihood", "kl", "trunk") not in found  # which DDPM does not have


def test_tables_and_figures(made: Path) -> None:
    told = (made / "sweep.md").read_text()
    assert "## Negative log-likelihood in bits per dimension" in told and "## Shares of variance" in told
    assert "| VAE, conv, untrained |" in told and "| histogram of each pixel |" in told
    rows = csv_rows(made / "sweep.csv")
    lines = [row for row in rows if row["measure"] == "reconstruction" and row["model"] == "run"]
    assert len(lines) == 4 * (2 + 1) and {line["metric"] for line in lines} == {"psnr"}  # a row per seed and the mean
    assert {line["quantity"] for line in lines} == {"PSNR", "PSNR, t=100"} and "| ≤ " in told
    assert {"sweep.pdf", "sweep-tables.pdf", "sweep-shares.pdf"} <= {file.name for file in made.iterdir()}
    texts = words_of(made / "sweep-tables.svg")
    assert set(CELLS) <= set(texts) and "Reconstruction, PSNR in dB" in texts
    assert "likelihood: total" in words_of(made / "sweep-shares.svg")


def test_layers_are_chosen_on_validation_images_and_factors_read_in_the_default_space() -> None:
    run = next(run for run in list_runs(EXAMPLES) if run.info()["method"] == "ddpm")
    found = measure_tables(("layers", "factors"), {("DDPM", 0): run})
    layers, factors = run.evaluation("layers"), run.evaluation("factors")
    best = next(row for row in found["layers"]["rows"] if (row["model"], row["quantity"]) == ("run", "full width"))
    assert best["space"] == layers["best"]["full"]
    told = {row["quantity"]: row["value"] for row in found["factors"]["rows"] if row["model"] == "run"}
    default = [row for row in factors["rows"] if row["model"] == "run" and row["space"] == factors["default"]]
    assert told == {row["factor"]: row["value"] for row in default}
    content = {"title": "a", "data": "shapes", "scale": "tiny", "seeds": [0], "costs": [], "tables": found}
    content["cells"] = [{"cell": "DDPM"}]
    ElementTree.fromstring(Panels(content).svg())


def test_what_is_the_same_of_all_runs_has_no_shares_and_stops_nothing(made: Path) -> None:
    content = record(made)
    labels = {cell["cell"]: CELLS[cell["cell"]]["labels"] for cell in content["cells"]}
    rows = [
        {"cell": cell, "seed": seed, "model": "run", "measure": "factors", "quantity": name, "value": value}
        for name, odd in (("all alike", 100.0), ("one differs", 99.0))
        for cell in labels
        for seed in (0, 1)
        for value in [odd if (cell, seed) == ("VAE, ViT", 0) else 100.0]
    ]
    found = variance_shares(labels, rows)
    assert {row["quantity"] for row in found} == {"one differs"}
    assert all(0 <= row["low"] <= row["high"] <= 1 for row in found)


def test_an_impossible_evaluation_is_asked_once(made: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cells = {"encoder alone": TINY["mocov3"] | {"method": "mocov3"}}
    words = words_for(tmp_path, RECIPE | {"cells": cells})
    assert main(words) == 0
    capsys.readouterr()
    assert main(words) == 0
    assert capsys.readouterr().err.splitlines() == ["1 of 1 runs are already finished."]
    table = record(tmp_path / "made")["tables"]["likelihood"]
    assert table["rows"] == [] and "does not say how probable" in table["left_out"]["encoder alone"]
    assert "bits per dimension" not in (tmp_path / "made" / "sweep.md").read_text()


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([{"a": "1", "b": "1"}, {"a": "2"}, {"a": "1", "b": "2"}, {"a": "2", "b": "2"}], "of the same two names"),
        ([{"a": "1", "b": "1"}, {"a": "2", "b": "1"}, {"a": "1", "b": "2"}, {"a": "1", "b": "2"}], "each combination"),
        ([{"a": "1", "b": "1"}, {"a": "1", "b": "2"}, {"a": "1", "b": "3"}, {"a": "1", "b": "4"}], "at least two"),
    ],
)
def test_labels_that_do_not_cross_are_refused(
    labels: list[dict[str, str]], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = {f"cell {index}": TINY["vae"] | {"labels": own} for index, own in enumerate(labels)}
    assert main(words_for(tmp_path, RECIPE | {"cells": cells})) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "made").exists()
