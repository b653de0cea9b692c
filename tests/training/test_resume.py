"""A run that is killed or stopped, then resumed, ends exactly where an uninterrupted one does."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests import processes
from tests.training.tiny import EPOCH, failed_run, settings, stop_after, trained_run, weights
from workbench.data import datasets
from workbench.errors import WorkbenchError
from workbench.methods import METHODS
from workbench.store import Run, list_runs, read_json, write_json
from workbench.training import resume, start
from workbench.training.monitor import FeatureMonitor

TRAIN = "import json, sys; from workbench.training import start; start(sys.argv[1], json.loads(sys.argv[2]))"


def wait_for_step(step: int, runs: Path, alive: Callable[[], bool]) -> None:
    """Until the only run has passed a step, or its process has ended."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and alive():
        found = list_runs(runs)
        rows = found[0].metrics() if found else []
        if rows and rows[-1]["step"] >= step:
            return
        time.sleep(0.002)


def curve(run: Run) -> list[tuple[int, float]]:
    return [(row["step"], row["loss"]) for row in run.metrics() if "loss" in row]


@pytest.mark.parametrize("method", METHODS)
def test_killed_in_mid_epoch_and_resumed_is_the_same_bit_for_bit(method: str, tmp_path: Path) -> None:
    process = processes.begin(processes.train, method, settings(method, tmp_path / "killed"))
    wait_for_step(EPOCH + 3, tmp_path / "killed", process.is_alive)
    process.kill()
    processes.ended(process)
    (killed,) = list_runs(tmp_path / "killed")
    checkpoint = killed.checkpoint()
    assert checkpoint is not None and checkpoint.name < f"step-{3 * EPOCH:08d}", "the run ended before it was killed"
    with open(killed.path / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": 14, "lo')  # what a kill in mid-write leaves
    resumed = resume(killed)
    whole = trained_run(method, tmp_path / "whole")
    ours, theirs = weights(resumed), weights(whole)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name
    assert curve(resumed) == curve(whole)
    assert resumed.summary()["status"] == "finished"


def test_stopped_in_mid_epoch_saves_there_and_resumes(tmp_path: Path) -> None:
    asked = json.dumps(settings("vae", tmp_path / "stopped"))
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    words = [sys.executable, "-W", "ignore", "-c", TRAIN, "vae", asked]
    process = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)
    wait_for_step(EPOCH + 3, tmp_path / "stopped", lambda: process.poll() is None)
    process.terminate()
    process.wait(60)
    (stopped,) = list_runs(tmp_path / "stopped")
    assert stopped.summary()["status"] == "interrupted"
    checkpoint = stopped.checkpoint()
    assert checkpoint is not None and int(checkpoint.name[5:]) == stopped.metrics()[-1]["step"] >= EPOCH + 3
    resumed = resume(stopped)
    whole = trained_run("vae", tmp_path / "whole")
    assert all(torch.equal(tensor, weights(whole)[name]) for name, tensor in weights(resumed).items())
    assert curve(resumed) == curve(whole)


def test_a_complete_run_trains_on_only_with_more_epochs(tmp_path: Path) -> None:
    run = trained_run("vae", tmp_path, epochs=1)
    with pytest.raises(WorkbenchError, match="is complete"):
        resume(run)
    resume(run, epochs=2)
    assert run.metrics()[-1]["step"] == 2 * EPOCH
    assert "epochs: 2" in run.config_text()


def test_a_run_says_what_it_cost_and_what_it_saw(tmp_path: Path) -> None:
    run = trained_run("mocov3", tmp_path, epochs=1, name="first")
    info, summary = run.info(), run.summary()
    assert info["status"] == summary["status"] == "finished" and info["name"] == "first"
    assert info["cost"]["images_seen"] == 160 and info["cost"]["steps"] == EPOCH and info["cost"]["flops_per_image"] > 0
    row = [row for row in run.metrics() if "loss" in row][-1]
    assert {"lr", "images_per_second", "grad_norm", "grad_norm/first", "grad_norm/last", "memory_mb"} <= row.keys()
    assert 0 <= summary["knn_monitor"] <= 100 and len(summary["sparkline"]) == 1


def test_a_run_that_is_being_trained_is_not_resumed(tmp_path: Path) -> None:
    run = trained_run("vae", tmp_path, epochs=1)
    run.update_summary(status="running", pid=os.getppid())
    with pytest.raises(WorkbenchError, match=f"being trained by process {os.getppid()}"):
        resume(run, epochs=2)
    run.update_info(host="elsewhere")
    with pytest.raises(WorkbenchError, match="being trained on elsewhere"):
        resume(run, epochs=2)
    run.update_summary(alive=False, heartbeat=time.time() - 600)
    assert resume(run, epochs=2).summary()["status"] == "finished"


def test_training_starts_from_another_run_and_so_does_its_resume(tmp_path: Path) -> None:
    first = trained_run("vae", tmp_path, epochs=1)
    whole = trained_run("vae", tmp_path, **{"epochs": 1, "seed": 1, "optim.lr": 0.0, "init": first.id})
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(first)[name]), name
    loss = curve(whole)[0]
    shutil.rmtree(whole.path / "checkpoints")  # as if it had been killed before the first one
    (whole.path / "checkpoints").mkdir()
    summary = read_json(whole.path / "summary.json") | {"status": "running", "heartbeat": 0, "checkpoint": None}
    write_json(whole.path / "summary.json", summary)
    assert curve(resume(whole))[0] == loss


def test_a_stop_at_the_end_of_an_epoch_leaves_out_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_after(EPOCH - 1, 3, monkeypatch)
    run = failed_run(tmp_path, KeyboardInterrupt, log_every=EPOCH)
    monkeypatch.undo()
    resume(run)
    assert [row["step"] for row in run.metrics() if "knn" in row] == [EPOCH, 2 * EPOCH, 3 * EPOCH]


def test_the_rate_leaves_out_what_is_not_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that reach over an epoch's end have the same images and seconds as the others."""
    monkeypatch.setattr(FeatureMonitor, "__call__", lambda self, method: time.sleep(0.3) or {"knn": 50.0})
    run = trained_run("vae", tmp_path, log_every=4)
    rows = [row for row in run.metrics() if "loss" in row]
    for before, after in pairwise(rows):
        rate = (after["images"] - before["images"]) / (after["seconds"] - before["seconds"])
        assert after["images_per_second"] == pytest.approx(rate, rel=1e-6)
    assert rows[-1]["seconds"] < 0.3 * 3 + rows[-1]["images"] / min(row["images_per_second"] for row in rows)


def test_a_dry_run_says_what_it_costs_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert start("ddpm", settings("ddpm", tmp_path / "runs"), dry_run=True) is None
    printed = capsys.readouterr()
    assert not (tmp_path / "runs").exists()
    for word in ("parameters", "FLOPs per image", "memory", "for 30 steps at"):
        assert word in printed.out
    assert "widths [8, 16]" in printed.err  # what was chosen


def test_data_by_a_relative_path_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(20):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.new("L", (8, 8), 10 * index).save(tmp_path / "photos" / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    asked = {"data": "photos", "batch_size": 4, "data.limit": None, "epochs": 1}
    run = trained_run("vae", tmp_path / "runs", **asked)
    assert not [row for row in run.metrics() if "knn" in row]  # there are no labels
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert resume(run, epochs=2).summary()["status"] == "finished"


def test_an_unlabelled_split_is_trained_without_monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = datasets.load

    def unlabelled(*args, **options):
        found = load(*args, **options)
        return replace(found, train=replace(found.train, labels=None), val=replace(found.val, labels=None))

    monkeypatch.setattr(datasets, "load", unlabelled)
    run = trained_run("vae", tmp_path, epochs=1)
    assert run.summary()["status"] == "finished"
    assert len(run.summary()["sparkline"]) > 1  # of the loss
