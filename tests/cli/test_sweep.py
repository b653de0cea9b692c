"""``workbench sweep``: a small recipe from end to end, what is kept of it, and what is refused."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import psutil
import pytest
import yaml

from tests import processes
from tests.cli.conftest import assert_refused, csv_rows
from tests.figures.svg_texts import texts_of, words_of
from tests.training.tiny import COMMON, TINY
from workbench.cli import main
from workbench.comparison.seeds import over_seeds
from workbench.errors import WorkbenchError
from workbench.figures.study import Study
from workbench.store import Run, list_runs
from workbench.studies.recipe import Recipe, load
from workbench.studies.results import markdown
from workbench.studies.runner import Sweep

EASY = {key: value for key, value in COMMON.items() if key != "device"} | {"epochs": 2, "monitor_every": 1}
RECIPE: dict[str, Any] = {
    "title": "Prediction head | tiny",
    "method": "mocov3",
    "figure": "curve",
    "settings": EASY | TINY["mocov3"],
    "cells": {"with": {}, "without": {"predictor": False}},
    "scales": {"tiny": {}, "small": {"cells": {"labels": {"method": "supervised"}}, "transfer_to": "shapes"}},
    "published": [{"source": "a paper", "setting": "ViT-B on ImageNet", "values": {"with": 76.5, "other": 70}}],
}


def written(folder: Path, **changes: Any) -> Path:
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(RECIPE | changes, sort_keys=False))
    return file


def words_for(folder: Path, *more: str) -> list[str]:
    return ["sweep", str(folder / "tiny.yaml"), "--output", str(folder / "made"), "--device", "cpu", *more]


def command(folder: Path, *more: str) -> int:
    return main(words_for(folder, *more))


def recipe_of(folder: Path, scale: str = "tiny") -> Recipe:
    return load(str(folder / "tiny.yaml"), scale, {"device": "cpu"})


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "made" / "sweep.json").read_text())


def rows(folder: Path, measure: str = "linear", model: str = "run") -> dict[tuple[str, int], float]:
    found = [row for row in record(folder)["rows"] if (row["measure"], row["model"]) == (measure, model)]
    return {(row["cell"], row["seed"]): row["value"] for row in found}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe and its finished sweep of two cells and two seeds."""
    folder = tmp_path_factory.mktemp("sweep")
    written(folder)
    assert command(folder, "--seeds", "2") == 0
    return folder


@pytest.fixture
def sweep(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(made, tmp_path / "copy")


def test_every_cell_and_seed_is_a_run(made: Path) -> None:
    runs = list_runs(made / "made" / "runs")
    predictors = [yaml.safe_load(run.config_text())["predictor"] for run in runs]
    told = [(used, run.info()["seed"], run.info()["name"]) for used, run in zip(predictors, runs, strict=True)]
    assert sorted(told) == [(False, 0, "without"), (False, 1, "without"), (True, 0, "with"), (True, 1, "with")]
    assert {run.summary()["status"] for run in runs} == {"finished"}


def test_rows_are_those_of_the_runs_and_means_are_over_seeds(made: Path) -> None:
    content = record(made)
    runs = {run.id: run for run in list_runs(made / "made" / "runs")}
    for row in (row for row in content["rows"] if row["model"] == "run"):
        own = runs[row["run"]].evaluation(row["measure"])
        (found,) = [r for r in own["rows"] if r["model"] == "run" and r["space"] == own["default"] == "class_token"]
        assert (row["value"], row["low"], row["high"]) == (found["value"], found["low"], found["high"])
    assert list(rows(made)) == [("with", 0), ("with", 1), ("without", 0), ("without", 1)]
    assert len(rows(made, model="untrained:mocov3")) == 4
    pixels = [row for row in content["rows"] if row["model"] == "pixels"]
    assert [row["measure"] for row in pixels] == ["knn", "linear"] and all(row["cell"] is None for row in pixels)
    means = {(row["cell"], row["model"], row["measure"]): row for row in content["means"]}
    values = [rows(made)["with", 0], rows(made)["with", 1]]
    expected = over_seeds(values, "top1")
    mean = means["with", "run", "linear"]
    assert (mean["value"], mean["low"], mean["high"]) == pytest.approx(tuple(expected)) and mean["interval"] == "seeds"
    assert means[None, "pixels", "linear"]["interval"] == "images"
    scores = {cell: means[cell, "run", "linear"]["validation"] for cell in ("with", "without")}
    assert content["best"] == max(scores, key=lambda cell: scores[cell])


def test_the_same_numbers_as_csv_table_and_figure(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, folder = record(made), made / "made"
    lines = csv_rows(folder / "sweep.csv")
    assert [float(line["value"]) for line in lines] == [row["value"] for row in (*content["rows"], *content["means"])]
    assert {line["interval"] for line in lines if line["seed"] == "mean"} == {"images", "seeds"}
    table = (folder / "sweep.md").read_text()
    linear = {row["cell"]: row for row in content["means"] if (row["model"], row["measure"]) == ("run", "linear")}
    line = next(line for line in table.splitlines() if line.startswith(("| with |", "| **with** |")))
    assert f"{linear['with']['value']:.1f} [" in line and "| 76.5 |" in line
    assert "Published: ViT-B on ImageNet (a paper): with 76.5, other 70.0." in table and "Student's t" in table
    texts = words_of(folder / "sweep.svg")
    assert {"with", "without", "other", "76.5", "70.0"} <= set(texts)
    assert any(text.startswith("published: ViT-B on ImageNet") for text in texts)
    curves = [f"{cell}, {line}" for cell in ("with", "without") for line in ("seed 0", "seed 1", "mean")]
    titles = words_of(folder / "sweep.svg", "title")
    assert [title for title in titles if title in curves] == curves  # each seed and the mean
    assert (folder / "sweep.pdf").read_bytes().startswith(b"%PDF")
    assert all(len(curve["knn"]) == len(curve["epoch"]) == 2 for curve in content["curves"])


def test_cost_stands_beside_quality(made: Path) -> None:
    """The paper's table 3 is training time and multiply-adds."""
    runs = {(run.info()["name"], run.info()["seed"]): run.info() for run in list_runs(made / "made" / "runs")}
    costs = {(row["cell"], row["seed"]): row for row in record(made)["costs"]}
    assert costs.keys() == runs.keys()
    for key, row in costs.items():
        assert all(row[name] == runs[key]["cost"][name] for name in ("parameters", "flops_per_image", "seconds"))
    mean = sum(costs["with", seed]["seconds"] for seed in (0, 1)) / 2
    lines = csv_rows(made / "made" / "sweep.csv")
    own = [line for line in lines if line["cell"] == "with" and line["measure"] == "knn"]
    told = {(line["model"], line["seed"]): line["seconds"] for line in own}
    assert float(told["run", "mean"]) == pytest.approx(mean) and told["untrained:mocov3", "mean"] == ""
    assert float(told["run", "1"]) == costs["with", 1]["seconds"]
    table = (made / "made" / "sweep.md").read_text()
    assert "| parameters | FLOPs per image | training time |" in table and costs["with", 0]["device"] in table
    line = next(line for line in table.splitlines() if line.startswith(("| with |", "| **with** |")))
    assert line.endswith(" s |") and f"| {costs['with', 0]['flops_per_image'] / 1e3:.1f}k |" in line


def test_what_another_process_has_finished_meanwhile_is_in_the_table(sweep: Path) -> None:
    """Two sweeps in one folder, each with cells of its own: the last one to write knows the other's runs."""
    before, runs = rows(sweep), sweep / "made" / "runs"
    theirs = next(run for run in list_runs(runs) if (run.info()["name"], run.info()["seed"]) == ("without", 1))
    shutil.move(theirs.path, sweep / "elsewhere")
    study = Sweep(recipe_of(sweep), sweep / "made", 2)
    study.write()
    assert ("without", 1) not in rows(sweep)
    table = (sweep / "made" / "sweep.md").read_text()
    assert table.count(", 1 of 2 seeds") == 4  # kNN and linear probe of the run and of the untrained network
    shutil.move(sweep / "elsewhere", theirs.path)
    study.write()
    assert rows(sweep) == before and "of 2 seeds" not in (sweep / "made" / "sweep.md").read_text()


def test_a_cell_of_axes_has_one_name_however_its_numbers_are_written(tmp_path: Path) -> None:
    values = {"optim.lr 1.50e-04": 1, "optim.lr 8e-3": 2, "optim.lr 0.0320": 3, "optim.lr 1": 4, "other 1.0": 5}
    published = {"source": "a", "setting": "b", "values": values}
    file = written(tmp_path, cells=None, axes={"optim.lr": ["1.5e-4", "8e-3", 0.032, 1.0]}, published=published)
    content = {key: value for key, value in yaml.safe_load(file.read_text()).items() if value is not None}
    file.write_text(yaml.safe_dump(content))
    recipe = recipe_of(tmp_path)
    names = ["optim.lr 1.5e-4", "optim.lr 0.008", "optim.lr 0.032", "optim.lr 1"]
    assert [cell.name for cell in recipe.cells] == names
    assert recipe.published[0].values == dict(zip([*names, "other 1.0"], range(1, 6), strict=True))
    jobs = Sweep(recipe, tmp_path / "made").jobs(["optim.lr 0.00015", "optim.lr 3.2e-2"])
    assert [job.cell for job in jobs] == ["optim.lr 1.5e-4", "optim.lr 0.032"]


def test_a_figure_of_many_cells_with_long_names_shows_them_all(made: Path) -> None:
    """Nothing sticks out of the picture, and where published numbers stand is not cut off."""
    content = record(made)
    names = [f"a cell with quite a long name, frozen_patch false, optim.lr {index}" for index in range(24)]
    content["cells"] = [{"cell": name, "method": "mocov3", "settings": {}} for name in names]
    content["means"] = [row for row in content["means"] if row["cell"] is None]
    content["curves"] = [{"cell": name, "seed": 0, "epoch": [1.0, 2.0], "knn": [10.0, 20.0]} for name in names]
    block = {"source": "the last words", "setting": "of a long setting " * 15, "values": {names[0]: 70.0}}
    for content["published"] in ([], [block]):
        width, height, texts = texts_of(Study(content).svg())
        for text in texts:
            assert text.left >= 0 and text.right <= width and 0 <= text.bottom <= height
        assert not [pair for pair in itertools.combinations(texts, 2) if pair[0].overlaps(pair[1])]
        legend = [text.bottom for text in texts if text.words in names and text.anchor == "start"]
        notes = next(text.bottom for text in texts if text.words.startswith("Bars: "))
        assert len(legend) == len(names) and max(legend) < notes
    assert "the last words" in " ".join(text.words for text in texts)


def test_nothing_is_done_twice(sweep: Path, calls: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = rows(sweep)
    assert command(sweep) == 0  # with one seed
    assert calls == [] and rows(sweep) == before  # the second one stays
    assert capsys.readouterr().err.splitlines() == ["2 of 2 runs are already finished."]


def test_what_is_missing_is_done_again_and_comes_out_the_same(sweep: Path, calls: list[str]) -> None:
    before = rows(sweep)
    names = [row["run"] for row in record(sweep)["rows"] if (row["measure"], row["model"]) == ("knn", "run")]
    first, second, third, fourth = (sweep / "made" / "runs" / name for name in names)
    shutil.rmtree(first)
    (second / "evaluations" / "linear.json").unlink()
    shutil.rmtree(third / "checkpoints")  # measured already
    shutil.rmtree(fourth / "checkpoints")
    (fourth / "evaluations" / "linear.json").unlink()
    assert command(sweep, "--seeds", "2") == 0
    assert calls == ["start", "start"] and rows(sweep) == before


def test_only_some_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path)
    assert command(tmp_path, "--only", "without") == 0
    assert set(rows(tmp_path)) == {("without", 0)}
    assert "One seed (0): 95 % intervals over test images" in capsys.readouterr().out
    assert command(tmp_path, "--only", "wihtout") == 2
    assert 'Unknown cell "wihtout"' in capsys.readouterr().err


def test_an_unwritable_folder_is_told_by_its_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path)
    (tmp_path / "made").touch()
    assert command(tmp_path) == 2
    assert "choose another with --output" in capsys.readouterr().err


def test_a_cell_that_fails_is_told_and_the_rest_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, cells={"bad": {"optim.lr": 1e30, "optim.warmup_epochs": 0}, "good": {}})
    assert command(tmp_path) == 2
    told = capsys.readouterr()
    assert "error: bad, seed 0 failed: The loss became non-finite" in told.err and "Traceback" not in told.err
    assert set(rows(tmp_path)) == {("good", 0)}
    assert [failure["cell"] for failure in record(tmp_path)["failures"]] == ["bad"]
    assert "The cell bad, seed 0, failed: The loss became non-finite" in (tmp_path / "made" / "sweep.md").read_text()


def test_several_processes_do_the_same(made: Path, tmp_path: Path) -> None:
    written(tmp_path)
    study = Sweep(recipe_of(tmp_path), tmp_path / "made")
    done = list(study.work_off(study.jobs(), ["0", "1"]))
    assert [failed for _, failed in done] == [None, None]
    whole = rows(made)
    assert rows(tmp_path) == {key: whole[key] for key in (("with", 0), ("without", 0))}
    hosts = {run.summary()["pid"] for run in list_runs(tmp_path / "made" / "runs")}
    assert os.getpid() not in hosts  # on a busy machine one of them may have done both


def in_two_processes(folder: Path) -> None:
    study = Sweep(recipe_of(folder), folder / "made")
    list(study.work_off(study.jobs(), ["0", "1"]))


def test_processes_whose_sweep_was_killed_save_and_end(tmp_path: Path) -> None:
    written(tmp_path, settings=EASY | TINY["mocov3"] | {"epochs": 2000})
    process = processes.begin(in_two_processes, tmp_path)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and len([r for r in list_runs(tmp_path / "made" / "runs") if r.metrics()]) < 2:
        time.sleep(0.1)
    process.kill()
    processes.ended(process)
    runs = list_runs(tmp_path / "made" / "runs")
    pids = [run.summary()["pid"] for run in runs]
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and any(psutil.pid_exists(pid) for pid in pids):
        time.sleep(0.1)
    assert [run.summary()["status"] for run in runs] == ["interrupted"] * 2
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_stopped_it_goes_on_from_there(tmp_path: Path) -> None:
    written(tmp_path, settings=EASY | TINY["mocov3"] | {"epochs": 40})
    argv = [sys.executable, "-W", "ignore", "-m", "workbench", *words_for(tmp_path)]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        runs = list_runs(tmp_path / "made" / "runs")
        if runs and len(runs[0].metrics()) > 5:
            process.send_signal(signal.SIGINT)
            break
        time.sleep(0.01)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130 and "Stopped; run the same command to continue." in told
    (run,) = list_runs(tmp_path / "made" / "runs")
    assert run.summary()["status"] == "interrupted"
    assert command(tmp_path, "--only", "with") == 0
    assert [Run(run.path).summary()["status"]] == ["finished"] and set(rows(tmp_path)) == {("with", 0)}


def test_another_method_and_transfer(tmp_path: Path) -> None:
    """Settings that only the recipe's own method has are left out for a cell of another."""
    written(tmp_path)
    assert command(tmp_path, "--scale", "small") == 0
    assert set(rows(tmp_path, "transfer")) == {("labels", 0)}
    assert set(rows(tmp_path, "transfer", "untrained:supervised")) == {("labels", 0)}
    assert set(rows(tmp_path, "transfer_finetune", "random init")) == {("labels", 0)}
    assert record(tmp_path)["transfer_to"] == "shapes"
    before, (run,) = rows(tmp_path, "transfer"), list_runs(tmp_path / "made" / "runs")
    content = run.evaluation("transfer")
    elsewhere = [row | {"target": "elsewhere", "value": 0.0} for row in content["rows"]]
    both = {"rows": content["rows"] + elsewhere, "targets": ["shapes", "elsewhere"]}
    run.write_evaluation("transfer", content | both)
    study = Sweep(recipe_of(tmp_path, "small"), tmp_path / "made")
    study.write()
    assert rows(tmp_path, "transfer") == before and all(job.is_done for job in study.jobs())
    run.write_evaluation("transfer", content | {"rows": elsewhere, "targets": ["elsewhere"]})
    assert [job.missing() for job in study.jobs()] == [["transfer"]]
    assert record(tmp_path)["cells"][0]["method"] == "supervised"


def test_a_dry_run_lists_cells_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path)
    assert command(tmp_path, "--dry-run", "--seeds", "3") == 0
    told = capsys.readouterr().out
    assert "2 cells, 6 runs, 6 to train" in told and "- without (mocov3; predictor False): 3 runs of about" in told
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("changes", "more", "said"),
    [
        ({"titel": "x"}, [], 'Unknown key "titel" in'),
        ({"method": "mocov4"}, [], 'did you mean "mocov3"?'),
        ({"figure": "bars"}, [], 'Unknown figure "bars"'),
        ({"measures": ["fid"]}, [], 'Unknown measure "fid"'),
        ({"settings": {"epoks": 3}}, [], 'Unknown key "epoks"'),
        ({"settings": {"epochs": "many"}}, [], 'The value of "epochs"'),
        ({"settings": {"seed": 3}}, [], 'The key "seed" in'),
        ({"cells": {"a": {"momentum": 2}}}, [], 'The value of "momentum"'),
        ({"cells": {"a": {"name": "b"}}}, [], 'The key "name" in'),
        ({"axes": {"momentum": [0.9]}}, [], 'needs either "axes" or "cells"'),
        ({"cells": None, "axes": {"momentum": 0.9}}, [], 'The axis "momentum"'),
        ({"cells": None, "axes": {"momentum": [0.9, "9e-1"]}}, [], "has the value 0.9 twice"),
        ({"scales": {"tiny": {"transfer_to": "nowhere"}}}, [], 'Unknown data set "nowhere"'),
        ({"scales": {"tiny": {"transfer_to": "digits"}}}, [], "The sweep is trained on digits itself"),
        ({"base": "none.yaml"}, [], "There is no configuration file"),
        ({"published": {"source": "a", "setting": "b", "values": {"with": "high"}}}, [], "The published value of"),
        ({"scales": {"tiny": {"axis": {}}}}, [], 'Unknown key "axis"'),
        ({}, ["--scale", "huge"], 'Unknown scale "huge"'),
        ({}, ["--seeds", "0"], "--seeds must be at least 1"),
        ({}, ["--data", "nowhere"], 'Unknown data set "nowhere"'),
        ({"cells": {"a": {"width": 25}}}, [], "--width 25 must be a multiple"),
        ({"cells": {"a": {"batch_size": 500}}}, [], "more than the 160 to train on"),
        ({"cells": {"a": {}, "b": {"data.image_size": 16}}}, [], "different images"),
    ],
    ids=str,
)
def test_what_is_wrong_is_one_sentence_before_anything_is_trained(
    changes: dict[str, Any], more: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {key: value for key, value in (RECIPE | changes).items() if value is not None}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(content))
    assert_refused(words_for(tmp_path, *more), said, capsys)
    assert not (tmp_path / "made").exists()


def test_without_a_recipe_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep"]) == 0
    assert "momentum " in capsys.readouterr().out
    assert main(["sweep", "momentun"]) == 2
    assert 'did you mean "momentum"?' in capsys.readouterr().err


def test_a_figure_and_a_table_of_nothing_yet(tmp_path: Path) -> None:
    written(tmp_path)
    content = Sweep(recipe_of(tmp_path), tmp_path / "made").record()
    ElementTree.fromstring(Study(content).svg())
    assert "| with | 76.5 |\n" in markdown(content)


def test_columns_of_published_numbers_are_called_as_their_notes(tmp_path: Path) -> None:
    names = enumerate({"a": "elsewhere", "b": "with", "c": "without"}.items())
    blocks = [{"source": source, "setting": "there", "values": {name: 50 + index}} for index, (source, name) in names]
    written(tmp_path, published=blocks)
    table = markdown(Sweep(recipe_of(tmp_path), tmp_path / "made").record())
    assert "| top-1 % | published (2) | published (3) |" in table and "Published (1): there (a): elsewhere 50" in table
    assert "Published (2): there (b): with 51.0." in table


def test_a_run_in_the_hands_of_another_process_is_left_alone(sweep: Path) -> None:
    run = list_runs(sweep / "made" / "runs")[0]
    shutil.rmtree(run.path / "evaluations")
    checkpoint = run.checkpoint()
    assert checkpoint is not None
    checkpoint.rename(checkpoint.with_name("step-00000005"))
    run.update_summary(status="running", pid=os.getppid())
    study = Sweep(recipe_of(sweep), sweep / "made", seeds=2)
    (job,) = [job for job in study.jobs() if not job.is_done]
    with pytest.raises(WorkbenchError, match="is being trained"):
        job.work()


def test_means_of_one_seed_keep_its_interval_over_images(made: Path) -> None:
    content = record(made)
    row = next(row for row in content["rows"] if row["model"] == "pixels" and row["measure"] == "linear")
    assert row["low"] < row["value"] < row["high"] and np.isfinite(row["value"])
