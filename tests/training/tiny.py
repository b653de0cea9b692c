"""The smallest runs that still go through everything."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from workbench.methods.base import Batch, Step
from workbench.methods.vae import VAE
from workbench.store import Run, list_runs
from workbench.training import start

COMMON = {"data": "digits", "data.limit": 160, "batch_size": 16, "epochs": 3, "log_every": 1, "device": "cpu"}
COMMON |= {"snapshots": 0}
UNET = {"widths": [8, 16], "attention_size": 4, "dropout": 0.1}
TINY = {
    "mocov3": {"width": 24, "depth": 1, "heads": 2, "hidden": 32, "out_dim": 16, "patch": 4, "stem": "patch"},
    "vae": {"width": 8, "latent_dim": 4},
    "hvae": {"width": 8, "latent_channels": 2, "groups": 3, "blocks": 1},
    "ddpm": UNET,
    "vdm": UNET,
    "score": UNET | {"ode_tolerance": 1e-3},
    "supervised": {"width": 24, "depth": 1, "heads": 2, "patch": 4, "stem": "patch"},
}
EPOCH = 10  # steps: 160 images in batches of 16


def settings(method: str, runs: Path) -> dict[str, object]:
    return COMMON | TINY[method] | {"runs": str(runs)}


def trained_run(method: str, runs: Path, **changes: object) -> Run:
    """A finished run, whose settings differ from those above."""
    run = start(method, settings(method, runs) | changes)
    assert run is not None
    return run


def failed_run(runs: Path, error: type[BaseException], match: str | None = None, **changes: object) -> Run:
    """The only run in a folder, a training of the VAE that ends in an error."""
    with pytest.raises(error, match=match):
        start("vae", settings("vae", runs) | changes)
    (run,) = list_runs(runs)
    return run


def change_loss(monkeypatch: pytest.MonkeyPatch, change: Callable[[VAE, Tensor, int], Tensor], epochs: int = 3) -> None:
    """Replace the loss of the VAE at every step, counted from 1, of a training of so many epochs."""
    forward = VAE.forward

    def changed(self: VAE, batch: Batch, progress: float) -> Step:
        step = forward(self, batch, progress)
        return step._replace(loss=change(self, step.loss, round(progress * epochs * EPOCH) + 1))

    monkeypatch.setattr(VAE, "forward", changed)


def stop_after(step: int, epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End trainings of the VAE by a signal, once they have taken a step (from 0)."""
    after_step = VAE.after_step

    def stop(self: VAE, progress: float) -> None:
        after_step(self, progress)
        if round(progress * epochs * EPOCH) == step:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(VAE, "after_step", stop)


def weights(run: Run) -> dict[str, torch.Tensor]:
    folder = run.checkpoint()
    assert folder is not None
    return load_file(folder / "model.safetensors")
