"""``workbench embed``, ``reconstruct`` and ``sample`` on a run that has just begun to learn, and ``demo``."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyarrow import csv, parquet

from workbench import training
from workbench.cli import demo, main
from workbench.comparison import printing
from workbench.config import read_yaml, replace_flat
from workbench.evaluation import runner
from workbench.methods import load_method
from workbench.store import Run, find_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("output")
    folders = {"data.cache": str(folder / "cache"), "runs": str(folder / "runs")}
    settings = {"data": "digits", "max_steps": 1, "monitor_every": 0, "device": "cpu", "name": "small"}
    run = training.start("vae", settings | folders)
    assert run is not None
    return run


def command(run: Run, name: str, output: Path, *words: str) -> int:
    return main([name, "small", "--runs", str(run.path.parent), "--output", str(output), *words])


def test_embed_writes_the_same_numbers_in_every_format(run: Run, tmp_path: Path) -> None:
    for suffix in ("npz", "npy", "csv", "parquet"):
        assert command(run, "embed", tmp_path / f"features.{suffix}") == 0
    with np.load(tmp_path / "features.npz") as stored:
        features, ids, labels = stored["features"], stored["ids"], stored["labels"]
    data = run.info()["data"]
    assert len(features) == len(ids) == len(labels) == data["test"]
    np.testing.assert_array_equal(np.load(tmp_path / "features.npy"), features)
    table = parquet.read_table(tmp_path / "features.parquet")
    np.testing.assert_array_equal(np.stack(table["features"].to_numpy()), features)
    np.testing.assert_array_equal(table["id"].to_numpy(), ids)
    text = csv.read_csv(tmp_path / "features.csv")
    np.testing.assert_allclose(text["f0"].to_numpy(), features[:, 0], rtol=1e-6)
    np.testing.assert_array_equal(text["label"].to_numpy(), labels)
    assert len(list(tmp_path.iterdir())) == 4


def test_embed_takes_all_of_other_data(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for shade in range(12):
        Image.new("RGB", (20, 16), (20 * shade, 0, 100)).save(folder / f"{shade}.png")
    assert command(run, "embed", tmp_path / "features.npz", "--data", str(folder)) == 0
    with np.load(tmp_path / "features.npz") as stored:
        assert len(stored["features"]) == len(set(stored["ids"].tolist())) == 12
        assert "labels" not in stored
        assert sorted(stored["names"]) == sorted(f"{shade}.png" for shade in range(12))
    for suffix in ("csv", "parquet"):
        assert command(run, "embed", tmp_path / f"features.{suffix}", "--data", str(folder)) == 0
    names = parquet.read_table(tmp_path / "features.parquet")["name"].to_pylist()
    assert len(set(names)) == 12 and csv.read_csv(tmp_path / "features.csv")["name"].to_pylist() == names


def test_reconstruct_draws_originals_above_reconstructions(run: Run, tmp_path: Path) -> None:
    assert command(run, "reconstruct", tmp_path / "picture.png", "-n", "5") == 0
    picture = np.asarray(Image.open(tmp_path / "picture.png"))
    side = 96 + 2
    assert picture.shape == (2 * side + 2, 5 * side + 2)
    assert picture[2:side, 2:side].max() > 200  # a digit is nearly white on black
    assert not np.array_equal(picture[2:side], picture[side + 2 : 2 * side])


def test_sample_is_the_same_for_the_same_seed(run: Run, tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert command(run, "sample", tmp_path / f"{name}.webp", "-n", "4", "--seed", seed) == 0
    a, b, c = (np.asarray(Image.open(tmp_path / f"{name}.webp")) for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_an_unknown_space_names_the_known_ones(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(run, "embed", tmp_path / "features.npz", "--space", "posterior_men") == 2
    assert 'did you mean "posterior_mean"?' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_demo_trains_evaluates_and_compares(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Any] = []

    def start(method: str, settings: dict[str, Any], where: str = "", dry_run: bool = False) -> Run:
        calls.append(("train", method, settings["data"], settings["runs"]))
        return find_run("small", run.path.parent)

    monkeypatch.setattr(training, "start", start)
    monkeypatch.setattr(runner, "evaluate", lambda runs, **options: calls.append(("evaluate", len(runs))))
    monkeypatch.setattr(printing, "print_table", lambda rows, runs: calls.append(("compare", len(rows))))
    assert main(["demo", "--data", "digits", "--runs", str(tmp_path), "--no-serve"]) == 0
    trainings = [("train", method, "digits", str(tmp_path)) for method in demo.DEMO]
    assert calls == [*trainings, ("evaluate", 3), ("compare", 3)]
    assert "5 of 5: compare" in capsys.readouterr().out


@pytest.mark.parametrize("method", demo.DEMO)
def test_demo_recipes_name_existing_settings(method: str) -> None:
    settings = read_yaml(demo.RECIPES / "demo" / f"{method}.yaml")
    assert settings.pop("method") == method
    replace_flat(load_method(method)[1](), settings)
