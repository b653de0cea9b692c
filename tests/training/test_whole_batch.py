"""A batch in parts, or shared among processes, gives the loss and gradients of the whole batch."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import processes
from tests.training.tiny import settings
from tests.training.whole_batch import main, measured
from workbench.errors import WorkbenchError
from workbench.store import list_runs
from workbench.training import start

ROOT = Path(__file__).parents[2]
VIT_BN = {"mlp_norm": "batch"}
RESNET = {"backbone": "resnet18", "hidden": 16}


def assert_same(parts: dict[str, torch.Tensor], whole: dict[str, torch.Tensor], world: int = 1) -> None:
    """Gradients to 1e-5 of the norm of the whole gradient, and statistics."""
    assert parts.keys() == whole.keys() and int(parts.pop("world")) == world
    assert int(whole.pop("world")) == 1
    exact = whole["loss"].dtype == torch.float64
    torch.testing.assert_close(parts["loss"], whole["loss"], rtol=1e-9 if exact else 1e-5, atol=0)
    for name, expected in whole.items():
        if "running" in name:
            torch.testing.assert_close(parts[name], expected, rtol=1e-6, atol=1e-9, msg=name)
        else:
            assert (parts[name] - expected).norm() <= 1e-5 * whole["norm"], name


@pytest.mark.parametrize("method", ["mocov3", "vae", "ddpm"])
def test_a_batch_in_parts_is_the_whole_batch(method: str, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"dropout": 0.0} if method == "ddpm" else {}
    whole = measured(method, changes, str(tmp_path))
    parts = measured(method, changes | {"accumulate": 4}, str(tmp_path))
    assert_same(parts, whole)


def test_activations_computed_again_change_nothing(tmp_path: Path) -> None:
    whole = measured("mocov3", {}, str(tmp_path))
    assert_same(measured("mocov3", {"recompute": True, "accumulate": 2}, str(tmp_path)), whole)


def launched(launcher: list[str], method: str, changes: dict[str, Any], out: Path) -> dict[str, torch.Tensor]:
    words = [str(out), method, *(f"{key}={value}" for key, value in changes.items())]
    if not launcher:
        assert processes.two_ranks(main, words, log=out.with_suffix(".log")) == [0, 0]
        return torch.load(out, weights_only=True)
    argv = [sys.executable, "-m", *launcher, "-m", "tests.training.whole_batch", *words]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(out, weights_only=True)


TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ACCELERATE = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
ACCELERATE += ["--mixed_precision", "no", "--dynamo_backend", "no"]
FORKED: list[str] = []  # as torchrun does it, from what is imported


@pytest.mark.parametrize(
    ("launcher", "method", "changes"),
    [
        (FORKED, "mocov3", {}),
        (ACCELERATE, "mocov3", {"accumulate": 2}),
        pytest.param(TORCHRUN, "mocov3", VIT_BN, marks=pytest.mark.slow),
        pytest.param(TORCHRUN, "mocov3", RESNET, marks=pytest.mark.slow),
        pytest.param(TORCHRUN, "ddpm", {"dropout": 0.0}, marks=pytest.mark.slow),
        pytest.param(TORCHRUN, "vae", {}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_two_processes_are_one(launcher: list[str], method: str, changes: dict[str, Any], tmp_path: Path) -> None:
    whole = measured(method, {key: value for key, value in changes.items() if key != "accumulate"}, str(tmp_path))
    assert_same(launched(launcher, method, changes, tmp_path / "found.pt"), whole, world=2)


def in_two(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", *TORCHRUN, "-m", "workbench", *words, "--runs", str(tmp_path / "runs")]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_two_processes_train_resume_and_write_one_run(tmp_path: Path) -> None:
    words = ["train", "vae", "--data", "digits", "--data.limit", "160", "--log-every", "5"]
    words += ["--width", "8", "--latent-dim", "4", "--device", "cpu"]
    done = in_two(tmp_path, *words, "--batch-size", "16", "--epochs", "1")
    assert done.returncode == 0, done.stderr[-2000:]
    (run,) = list_runs(tmp_path / "runs")
    assert [row["step"] for row in run.metrics() if "loss" in row] == [5, 10]
    assert run.summary()["status"] == "finished" and done.stderr.count("epoch 1/1") == 1
    log, folder = tmp_path / "log", ["--runs", str(tmp_path / "runs")]
    codes = processes.two_ranks(processes.workbench, ["resume", run.id, "--epochs", "2", *folder], log=log)
    assert codes == [0, 0], log.read_text()[-2000:]
    assert [row["step"] for row in run.metrics() if "loss" in row] == [5, 10, 15, 20]
    refused = tmp_path / "refused"
    codes = processes.two_ranks(processes.workbench, [*words, "--batch-size", "15", *folder], log=refused)
    assert 0 not in codes and refused.read_text().count("cannot be divided among 2 processes") == 1
    assert len(list_runs(tmp_path / "runs")) == 1


def test_a_batch_that_cannot_be_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=r"16 images .* 3 equal parts.*--accumulate"):
        start("vae", settings("vae", tmp_path) | {"accumulate": 3})
    with pytest.raises(WorkbenchError, match="--recompute"):
        start("vae", settings("vae", tmp_path) | {"recompute": True})
    assert not list(tmp_path.iterdir())
