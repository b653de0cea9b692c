"""Snapshots: the weights at a few steps of training, for maps of how the features develop."""

import os
import secrets
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from workbench.errors import WorkbenchError
from workbench.files import storage_error
from workbench.methods.base import Method
from workbench.store import Run
from workbench.training.checkpoint import image_spec, load_weights, read_config


def snapshot_steps(steps: int, count: int) -> list[int]:
    """Evenly spaced steps of a training of ``steps``, from 0 on; the last checkpoint stands for the end."""
    return sorted({round(part * steps / count) for part in range(count)})


def save_snapshot(run: Run, step: int, method: Method) -> None:
    """Write ``checkpoints/snapshots/step-….safetensors``: only weights, with matrices in bf16.

    A snapshot that exists is left alone: training is a function of the seed, so it would be the same.

    Raises:
        WorkbenchError: the disk is full.
    """
    folder = run.path / "checkpoints" / "snapshots"
    target, building = folder / f"step-{step:08d}.safetensors", folder / f".tmp-{secrets.token_hex(4)}"
    if target.exists():
        return
    weights = {name: _small(tensor.detach()).cpu().contiguous() for name, tensor in method.state_dict().items()}
    try:
        folder.parent.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
        save_file(weights, building)
        os.rename(building, target)
    except OSError as error:
        building.unlink(missing_ok=True)
        raise storage_error(error, target, run.path) from error
    except SafetensorError as error:
        building.unlink(missing_ok=True)
        raise WorkbenchError(f"The snapshot {target} cannot be written ({error}); free some space.") from error


def _small(tensor: torch.Tensor) -> torch.Tensor:
    """Matrices in bf16, which make up nearly all of the size; vectors, such as a norm's statistics, unchanged."""
    return tensor.to(torch.bfloat16) if tensor.is_floating_point() and tensor.ndim > 1 else tensor


def snapshots(run: Run) -> list[tuple[int, Path]]:
    """The steps and files of a run's snapshots, in the order of training."""
    files = sorted((run.path / "checkpoints" / "snapshots").glob("step-*.safetensors"))
    return [(int(file.stem.removeprefix("step-")), file) for file in files if file.stem[5:].isdecimal()]


def keep_snapshots(run: Run, done: int, wanted: list[int]) -> None:
    """Delete the snapshots after step ``done``, which another schedule may not reach, and all but those nearest to the
    ``wanted`` steps, so that they do not accumulate when training is extended."""
    known = snapshots(run)
    past = [step for step, _ in known if step <= done]
    keep = {min(past, key=lambda step: abs(step - target)) for target in wanted if past and target <= done}
    for step, file in known:
        if step not in keep:
            file.unlink(missing_ok=True)
    for torn in (run.path / "checkpoints" / "snapshots").glob(".tmp-*"):
        torn.unlink(missing_ok=True)


def load_snapshot(run: Run, file: Path, device: torch.device) -> Method:
    """A run's method with the weights of a snapshot, in evaluation mode.

    Raises:
        WorkbenchError: the snapshot cannot be read.
    """
    _, config, method_class = read_config(run)
    method = method_class(config, image_spec(run)).to(device)
    load_weights(method, file, device)
    return method.eval()
