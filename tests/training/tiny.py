"""The smallest runs that still go through everything."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from workbench.store import Run

COMMON = {"data": "digits", "data.limit": 160, "batch_size": 16, "epochs": 3, "log_every": 1, "device": "cpu"}
COMMON |= {"snapshots": 0}
TINY = {
    "mocov3": {"width": 24, "depth": 1, "heads": 2, "hidden": 32, "out_dim": 16, "patch": 4, "stem": "patch"},
    "vae": {"width": 8, "latent_dim": 4},
    "hvae": {"width": 8, "latent_channels": 2, "groups": 3, "blocks": 1},
    "ddpm": {"widths": [8, 16], "attention_size": 4, "dropout": 0.1},
    "vdm": {"widths": [8, 16], "attention_size": 4, "dropout": 0.1},
    "score": {"widths": [8, 16], "attention_size": 4, "dropout": 0.1, "ode_tolerance": 1e-3},
    "supervised": {"width": 24, "depth": 1, "heads": 2, "patch": 4, "stem": "patch"},
}
EPOCH = 10  # steps: 160 images in batches of 16


def settings(method: str, runs: Path) -> dict[str, object]:
    return COMMON | TINY[method] | {"runs": str(runs)}


def weights(run: Run) -> dict[str, torch.Tensor]:
    folder = run.checkpoint()
    assert folder is not None
    return load_file(folder / "model.safetensors")
