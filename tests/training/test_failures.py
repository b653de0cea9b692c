"""What goes wrong is said in one sentence, and nothing good is lost."""

import errno
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from safetensors import SafetensorError

from tests.training.tiny import EPOCH, change_loss, failed_run, settings, trained_run, weights
from workbench.errors import WorkbenchError
from workbench.methods.vae import VAE
from workbench.store import Run, list_runs
from workbench.training import checkpoint as ckpt
from workbench.training import resume, snapshots, start
from workbench.training.monitor import FeatureMonitor


def test_a_non_finite_loss_stops_and_keeps_a_good_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_loss(monkeypatch, lambda model, loss, step: loss * (torch.nan if step == EPOCH + 5 else 1))
    sentence = rf"became non-finite at step {EPOCH + 5}.*step-00000010.*--lr"
    run = failed_run(tmp_path, WorkbenchError, sentence, log_every=4)
    assert run.summary()["status"] == "failed" and "non-finite" in run.info()["error"]
    assert all(torch.isfinite(tensor).all() for tensor in weights(run).values())


FULL = OSError(errno.ENOSPC, "No space left on device")
SERIALIZING = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


def fill_disk(number: int, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let writing weights for the n-th time end half-way."""
    save, calls = ckpt.save_file, []

    def full(tensors, path) -> None:
        calls.append(path)
        if len(calls) == number:
            Path(path).write_bytes(b"half")
            raise error
        save(tensors, path)

    monkeypatch.setattr(ckpt, "save_file", full)


@pytest.mark.parametrize("raised", [FULL, SERIALIZING])
def test_a_full_disk_keeps_old_checkpoints(raised: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(2, raised, monkeypatch)
    run = failed_run(tmp_path, WorkbenchError, "No space left on the disk")
    folders = sorted(folder.name for folder in (run.path / "checkpoints").iterdir() if folder.is_dir())
    assert folders == [f"step-{EPOCH:08d}"]
    assert run.summary()["status"] == "failed"
    monkeypatch.undo()
    assert resume(run).summary()["status"] == "finished"


def test_out_of_memory_says_what_to_lower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 TiB")
    monkeypatch.setattr(VAE, "forward", Mock(side_effect=error))
    run = failed_run(tmp_path, WorkbenchError, "Out of memory: lower --batch-size")
    assert run.summary()["status"] == "failed" and "Out of memory" in run.info()["error"]


def test_a_mistake_of_ours_is_a_traceback_and_the_run_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VAE, "forward", Mock(side_effect=KeyError("posterior")))
    run = failed_run(tmp_path, KeyError)
    assert run.summary()["status"] == "failed" and run.info()["error"] == "KeyError: 'posterior'"


def test_the_best_checkpoint_survives_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """best.json never names a checkpoint that was not written."""
    readings = iter([50.0, 40.0, 60.0])
    monkeypatch.setattr(FeatureMonitor, "__call__", lambda self, method: {"knn": next(readings)})
    fill_disk(3, FULL, monkeypatch)
    run = failed_run(tmp_path, WorkbenchError, "No space left on the disk")
    best, last = run.checkpoint("best"), run.checkpoint("last")
    assert best is not None and best.name == f"step-{EPOCH:08d}"
    assert last is not None and last.name == f"step-{2 * EPOCH:08d}"
    assert ckpt.load_method_from(run, "best").description.startswith("best, step 10")


@pytest.mark.parametrize("write", ["log", "save_checkpoint", "save_snapshot"])
def test_a_run_deleted_elsewhere_stays_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: str) -> None:
    holder = {"log": Run, "save_checkpoint": ckpt, "save_snapshot": snapshots}[write]
    original = getattr(holder, write)

    def deleted(first: Run, *rest: Any) -> None:
        first.path.rename(tmp_path / ".trash")
        original(first, *rest)

    monkeypatch.setattr(holder, write, deleted)
    with pytest.raises(WorkbenchError, match=r"is gone: it was moved or deleted meanwhile.*trash --restore"):
        start("vae", settings("vae", tmp_path) | {"snapshots": 2})
    assert [folder.name for folder in tmp_path.iterdir()] == [".trash"]


@pytest.mark.parametrize(
    ("method", "wrong", "sentence"),
    [
        ("mocov3", {"batch_size": 5000}, "batch size 5000 is larger than"),
        ("mocov3", {"patch": 3}, "cannot be cut into patches of 3 px"),
        ("mocov3", {"heads": 5}, "--width 24 must be a multiple"),
        ("ddpm", {"widths": [8, 8, 8, 8, 8]}, "cannot halve images of 8 px"),
        ("vae", {"device": "cuda"}, "no cuda device"),
        ("vae", {"data": "nowhere/at/all"}, "nowhere/at/all"),
        ("vae", {"data": "shaeps"}, "shapes"),
        ("vae", {"optim.lrr": 1}, 'did you mean "optim.lr"'),
        ("vae", {"epochs": 0}, '"epochs" must be at least 1'),
        ("vae", {"epochs": float("inf")}, '"epochs" must be a whole number'),
        ("vae", {"max_steps": 0}, '"max_steps" must be at least 1'),
        ("vae", {"log_every": 0}, '"log_every" must be at least 1'),
        ("vae", {"checkpoint_every": 0}, '"checkpoint_every" must be at least 1'),
        ("vae", {"optim.beta2": 1.0}, "at least 0 and below 1"),
        ("vae", {"noise": 0.0}, '"noise" must be above 0'),
        ("vae", {"width": 6}, "--width 6 must be a multiple of 8"),
        ("vae", {"seed": 2**32}, '"seed" must be at least 0 and at most 2147483647'),
        ("mocov3", {"batch_size": 1}, "--batch-size must be at least 2"),
        ("mocov3", {"blur": [1.0]}, '"blur" must be a list of 2 values'),
        ("mocov3", {"solarise": [0.5, 1.5]}, '"solarise" must be at least 0 and at most 1'),
        ("ddpm", {"feature_steps": []}, "a list with at least one value"),
        ("vea", {}, 'did you mean "vae"'),
        ("vae", {"init": "nobody"}, "nobody"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(method: str, wrong: dict, sentence: str, tmp_path: Path) -> None:
    if wrong.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    asked = (settings(method, tmp_path) if method != "vea" else {}) | wrong
    with pytest.raises(WorkbenchError) as caught:
        start(method, asked)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_runs_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    with pytest.raises(WorkbenchError, match="cannot be written"):
        start("vae", settings("vae", file / "runs"))


def test_a_checkpoint_that_is_no_checkpoint(tmp_path: Path) -> None:
    run = trained_run("vae", tmp_path, epochs=1)
    folder = run.checkpoint()
    assert folder is not None
    (folder / "model.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(WorkbenchError, match="cannot be read"):
        ckpt.load_method_from(run)


def test_deleted_weights_are_told_and_nothing_is_trained_again(tmp_path: Path) -> None:
    run = trained_run("vae", tmp_path, epochs=2, monitor_every=0)
    with pytest.raises(WorkbenchError, match=r"no best checkpoint.*--checkpoint last"):
        ckpt.load_method_from(run, "best")
    shutil.rmtree(run.path / "checkpoints")
    before = run.metrics()
    for status in ("finished", "interrupted"):
        run.update_summary(status=status)
        again = settings("vae", tmp_path) | {"init": run.id}
        for action in (resume, ckpt.load_method_from, lambda run, again=again: start("vae", again)):
            with pytest.raises(WorkbenchError, match=rf"weights of the run {run.id} were deleted.*train --config"):
                action(run)
    assert run.metrics() == before and len(list_runs(tmp_path)) == 1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler here")
def test_compiled_networks_learn_the_same(tmp_path: Path) -> None:
    eager, compiled = trained_run("vae", tmp_path, max_steps=3), trained_run("vae", tmp_path, max_steps=3, compile=True)
    for name in ("loss", "grad_norm"):  # Adam turns rounding of small gradients into whole steps of the weights
        ours, theirs = ([row[name] for row in run.metrics() if name in row] for run in (compiled, eager))
        assert len(ours) == 3 and ours == pytest.approx(theirs, rel=1e-3)
