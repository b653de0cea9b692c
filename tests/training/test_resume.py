"""A run that is killed or stopped, then resumed, ends exactly where an uninterrupted one does."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.training.tiny import EPOCH, settings, weights
from workbench.errors import WorkbenchError
from workbench.methods import METHODS
from workbench.store import Run, list_runs
from workbench.training import resume, start

TRAIN = "import json, sys; from workbench.training import start; start(sys.argv[1], json.loads(sys.argv[2]))"


def in_subprocess(method: str, runs: Path, sent: signal.Signals, at_step: int) -> Run:
    """Train in a process of its own and send it a signal once it has passed a step."""
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", TRAIN, method, json.dumps(settings(method, runs))],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        found = list_runs(runs)
        rows = found[0].metrics() if found else []
        if rows and rows[-1]["step"] >= at_step:
            process.send_signal(sent)
            break
        time.sleep(0.002)
    process.wait(timeout=60)
    (run,) = list_runs(runs)
    return run


def curve(run: Run) -> list[tuple[int, float]]:
    return [(row["step"], row["loss"]) for row in run.metrics() if "loss" in row]


@pytest.mark.parametrize("method", METHODS)
def test_killed_in_mid_epoch_and_resumed_is_the_same_bit_for_bit(method: str, tmp_path: Path) -> None:
    killed = in_subprocess(method, tmp_path / "killed", signal.SIGKILL, at_step=EPOCH + 3)
    checkpoint = killed.checkpoint()
    assert checkpoint is not None and checkpoint.name < f"step-{3 * EPOCH:08d}", "the run ended before it was killed"
    with open(killed.path / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": 14, "lo')  # what a kill in mid-write leaves
    resumed = resume(killed)
    whole = start(method, settings(method, tmp_path / "whole"))
    assert whole is not None
    ours, theirs = weights(resumed), weights(whole)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name
    assert curve(resumed) == curve(whole)
    assert resumed.summary()["status"] == "finished"


def test_stopped_in_mid_epoch_saves_there_and_resumes(tmp_path: Path) -> None:
    stopped = in_subprocess("vae", tmp_path / "stopped", signal.SIGTERM, at_step=EPOCH + 3)
    assert stopped.summary()["status"] == "interrupted"
    checkpoint = stopped.checkpoint()
    assert checkpoint is not None and int(checkpoint.name[5:]) == stopped.metrics()[-1]["step"] >= EPOCH + 3
    resumed = resume(stopped)
    whole = start("vae", settings("vae", tmp_path / "whole"))
    assert whole is not None
    assert all(torch.equal(tensor, weights(whole)[name]) for name, tensor in weights(resumed).items())
    assert curve(resumed) == curve(whole)


def test_a_complete_run_trains_on_only_with_more_epochs(tmp_path: Path) -> None:
    run = start("vae", settings("vae", tmp_path) | {"epochs": 1})
    assert run is not None
    with pytest.raises(WorkbenchError, match="is complete"):
        resume(run)
    resume(run, epochs=2)
    assert run.metrics()[-1]["step"] == 2 * EPOCH
    assert "epochs: 2" in run.config_text()


def test_a_run_says_what_it_cost_and_what_it_saw(tmp_path: Path) -> None:
    run = start("mocov3", settings("mocov3", tmp_path) | {"epochs": 1, "name": "first"})
    assert run is not None
    info, summary = run.info(), run.summary()
    assert info["status"] == summary["status"] == "finished" and info["name"] == "first"
    assert info["cost"]["images_seen"] == 160 and info["cost"]["steps"] == EPOCH and info["cost"]["flops_per_image"] > 0
    row = [row for row in run.metrics() if "loss" in row][-1]
    assert {"lr", "images_per_second", "grad_norm", "grad_norm/first", "grad_norm/last", "memory_mb"} <= row.keys()
    assert 0 <= summary["knn"] <= 100 and len(summary["sparkline"]) == 1
