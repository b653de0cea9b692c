"""What goes wrong is said in one sentence, and nothing good is lost."""

import errno
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from tests.training.tiny import EPOCH, settings, weights
from workbench.errors import WorkbenchError
from workbench.methods.vae import VAE
from workbench.store import list_runs
from workbench.training import checkpoint as ckpt
from workbench.training import resume, start


def test_a_loss_that_is_not_finite_stops_at_its_step_and_keeps_the_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, forward = [], VAE.forward

    def poisoned(self: VAE, batch, progress: float):
        step = forward(self, batch, progress)
        good.append(1)
        return step._replace(loss=step.loss * float("nan")) if len(good) == EPOCH + 5 else step

    monkeypatch.setattr(VAE, "forward", poisoned)
    with pytest.raises(WorkbenchError, match=rf"not finite since step {EPOCH + 5}.*step-00000010.*--optim.lr"):
        start("vae", settings("vae", tmp_path) | {"log_every": 4})
    (run,) = list_runs(tmp_path)
    assert run.summary()["status"] == "failed" and "not finite" in run.info()["error"]
    assert all(torch.isfinite(tensor).all() for tensor in weights(run).values())


@pytest.mark.parametrize(
    "raised",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_keeps_the_former_checkpoint(
    raised: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = ckpt.save_file, []

    def full(tensors, path) -> None:
        calls.append(path)
        if len(calls) > 1:
            Path(path).write_bytes(b"half")
            raise raised
        save(tensors, path)

    monkeypatch.setattr(ckpt, "save_file", full)
    with pytest.raises(WorkbenchError, match="No space left on the disk"):
        start("vae", settings("vae", tmp_path))
    (run,) = list_runs(tmp_path)
    folders = sorted(folder.name for folder in (run.path / "checkpoints").iterdir() if folder.is_dir())
    assert folders == [f"step-{EPOCH:08d}"]
    assert run.summary()["status"] == "failed"
    monkeypatch.undo()
    assert resume(run).summary()["status"] == "finished"


def test_out_of_memory_says_what_to_lower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(self: VAE, batch, progress: float):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 TiB")

    monkeypatch.setattr(VAE, "forward", greedy)
    with pytest.raises(WorkbenchError, match="Out of memory at step 1: lower --batch-size"):
        start("vae", settings("vae", tmp_path))


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
        ("vae", {"epochs": 0}, "nothing to train"),
        ("vea", {}, 'did you mean "vae"'),
        ("vae", {"init": "nobody"}, "nobody"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing_behind(
    method: str, wrong: dict, sentence: str, tmp_path: Path
) -> None:
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
    run = start("vae", settings("vae", tmp_path) | {"epochs": 1})
    assert run is not None
    folder = run.checkpoint()
    assert folder is not None
    (folder / "model.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(WorkbenchError, match="cannot be read"):
        ckpt.load_method_from(run)
