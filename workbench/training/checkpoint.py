"""Saving and restoring: weights as safetensors, the optimiser's state in a file that loads with ``weights_only``."""

import os
import secrets
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from workbench.config import TrainConfig, replace_flat
from workbench.data.datasets import native_levels
from workbench.errors import WorkbenchError
from workbench.methods import load_method
from workbench.methods.base import ImageSpec, Method
from workbench.store import Run, read_json, storage_error, write_json

Which = Literal["last", "best"]


@dataclass(frozen=True)
class LoadedMethod:
    """A method with a run's weights, in evaluation mode."""

    method: Method
    config: TrainConfig
    images: ImageSpec
    step: int
    description: str


def save_checkpoint(
    run: Run,
    step: int,
    method: Method,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    best: float | None = None,
) -> None:
    """Write ``checkpoints/step-…`` under a temporary name and rename it; then drop all but the last and the best.

    A step that has been saved is left as it is: training is a function of the seed, so it would be the same.

    Args:
        state: plain numbers to resume with.
        best: the monitor's kNN accuracy in percent, where it is the best so far.

    Raises:
        WorkbenchError: the disk is full; the former checkpoint is untouched.
    """
    folder = run.path / "checkpoints"
    target, building = folder / f"step-{step:08d}", folder / f".tmp-{secrets.token_hex(4)}"
    try:
        if target.exists():
            return
        folder.mkdir(exist_ok=True)  # no parents: the run may have been deleted
        building.mkdir()
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in method.state_dict().items()}
        save_file(weights, building / "model.safetensors")
        torch.save({"optimizer": optimizer.state_dict(), **state}, building / "training.pt")
        for file in building.iterdir():
            with open(file, "rb") as handle:
                os.fsync(handle.fileno())
        os.rename(building, target)
        if best is not None:
            write_json(folder / "best.json", {"step": step, "metric": "knn", "value": best}, run.path)
        run.update_summary(checkpoint=step)
    except OSError as error:
        shutil.rmtree(building, ignore_errors=True)
        raise storage_error(error, target, run.path) from error
    except (SafetensorError, RuntimeError) as error:  # both wrap a failed write in an exception of their own
        shutil.rmtree(building, ignore_errors=True)
        if "os error 28" in str(error) or "No space left" in str(error) or "file write failed" in str(error):
            raise WorkbenchError(
                f"No space left on the disk of {folder}; free some, then `workbench resume` continues."
            ) from error
        raise
    prune(run)


def snapshot_steps(steps: int, count: int) -> list[int]:
    """Steps at even parts of a training of ``steps``, the untrained network first; the last checkpoint is the end."""
    return sorted({round(part * steps / count) for part in range(count)})


def save_snapshot(run: Run, step: int, method: Method) -> None:
    """Write ``checkpoints/snapshots/step-….safetensors``: weights alone, matrices in bf16.

    A step that has been saved is left as it is: training is a function of the seed, so it would be the same.

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
    """Matrices in bf16, which are nearly all of the size; vectors, such as statistics of a norm, as they are."""
    return tensor.to(torch.bfloat16) if tensor.is_floating_point() and tensor.ndim > 1 else tensor


def snapshots(run: Run) -> list[tuple[int, Path]]:
    """The steps and files of a run's snapshots, in the order of training."""
    found = sorted((run.path / "checkpoints" / "snapshots").glob("step-*.safetensors"))
    return [(int(file.stem.removeprefix("step-")), file) for file in found if file.stem[5:].isdecimal()]


def keep_snapshots(run: Run, done: int, wanted: list[int]) -> None:
    """Drop the snapshots after step ``done``, which another schedule may not pass through, and all but those nearest
    to the ``wanted`` steps, so that training longer and longer does not pile them up."""
    known = snapshots(run)
    past = [step for step, _ in known if step <= done]
    keep = {min(past, key=lambda step: abs(step - target)) for target in wanted if past and target <= done}
    for step, file in known:
        if step not in keep:
            file.unlink(missing_ok=True)
    for torn in (run.path / "checkpoints" / "snapshots").glob(".tmp-*"):
        torn.unlink(missing_ok=True)


def prune(run: Run) -> None:
    """Drop every checkpoint but the last and the best, and what an interrupted write left behind."""
    keep = {path for which in ("last", "best") if (path := run.checkpoint(which))}
    keep.add(run.path / "checkpoints" / "snapshots")
    for folder in (run.path / "checkpoints").iterdir():
        if folder.is_dir() and folder not in keep:
            shutil.rmtree(folder, ignore_errors=True)


def best_value(run: Run) -> float | None:
    """The best checkpoint's value, or None."""
    return read_json(run.path / "checkpoints" / "best.json").get("value")


def load_training_state(folder: Path) -> dict[str, Any]:
    """The optimiser's state and the numbers saved with it; nothing is unpickled but tensors and plain containers."""
    return torch.load(folder / "training.pt", map_location="cpu", weights_only=True)


def read_config(run: Run) -> tuple[str, TrainConfig, type[Method]]:
    """A run's method name, configuration and method class.

    Raises:
        WorkbenchError: ``config.yaml`` is missing or broken.
    """
    try:
        values = yaml.safe_load(run.config_text())
    except yaml.YAMLError:
        values = None
    if not isinstance(values, dict) or "method" not in values:
        raise WorkbenchError(f"The run {run.id} has no readable config.yaml; it cannot be loaded.")
    name = str(values.pop("method"))
    method_class, config_class = load_method(name)
    return name, replace_flat(config_class(), values, str(run.path / "config.yaml")), method_class


def image_spec(run: Run) -> ImageSpec:
    """The images that a run's model is built for."""
    data = run.info().get("data")
    if not isinstance(data, dict) or not {"channels", "size"} <= data.keys():
        raise WorkbenchError(
            f"The run {run.id} does not say which images it was trained on (run.json); it cannot be loaded."
        )
    channels, size, classes = int(data["channels"]), int(data["size"]), data.get("classes") or ()
    levels = data.get("levels") or native_levels(str(data.get("name")), size) or 256  # older runs do not say
    return ImageSpec(channels, size, int(levels), len(classes))


def load_weights(method: Method, folder: Path, device: torch.device) -> None:
    """Load ``model.safetensors`` of a checkpoint, or a snapshot.

    Raises:
        WorkbenchError: the file is missing or broken, or fits another network.
    """
    file = folder if folder.suffix == ".safetensors" else folder / "model.safetensors"
    try:
        method.load_state_dict(load_file(file, device=str(device)))
    except (OSError, SafetensorError) as error:
        raise WorkbenchError(f"The weights {file} cannot be read: {error}") from None
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise WorkbenchError(f"The weights in {folder} belong to a different network: {first}") from None


def load_encoder(method: Method, run: Run, folder: Path) -> None:
    """Load the encoder alone of a run of another method, into a momentum encoder too.

    Raises:
        WorkbenchError: the two methods have no encoder in common, or see pixels otherwise.
    """
    name, config, _ = read_config(run)
    file, prefix, copy = folder / "model.safetensors", "backbone.", "momentum_backbone.module."
    try:
        state = load_file(file)
    except (OSError, SafetensorError) as error:
        raise WorkbenchError(f"The weights {file} cannot be read: {error}") from None
    state, own = {key: value for key, value in state.items() if key.startswith(prefix)}, method.state_dict()
    missing = [key for key in own if key.startswith(prefix) and key not in state]
    other = [key for key, value in state.items() if key not in own or own[key].shape != value.shape]
    if not state or missing or other:
        first = f" ({(other or missing)[0]} differs)" if state else ""
        raise WorkbenchError(
            f"The run {run.id} of {name} has no encoder like this one to start from{first}; give this one the same "
            f"--backbone, size and images ({run.path / 'config.yaml'} tells them)."
        )
    for statistic in ("mean", "std"):
        given, wanted = getattr(config, statistic, None), getattr(method, statistic, None)
        if given is not None and wanted is not None and not torch.allclose(torch.tensor(given), wanted.flatten().cpu()):
            raise WorkbenchError(
                f"The encoder of {run.id} takes pixels less {getattr(config, 'mean', None)} divided by "
                f"{getattr(config, 'std', None)}, which this method does not; "
                f"fine-tune it with `workbench evaluate {run.id} --only finetune`."
            )
    copies = {key.replace(prefix, copy, 1): value for key, value in state.items()}
    method.load_state_dict(own | state | {key: value for key, value in copies.items() if key in own})


def no_checkpoint(run: Run, which: Which = "last") -> WorkbenchError:
    """Why a run has no such checkpoint, and what helps."""
    if which == "best" and run.checkpoint() is not None:
        return WorkbenchError(
            f"The run {run.id} keeps no best checkpoint, since kNN was not followed; use --checkpoint last."
        )
    if run.had_checkpoint():
        return WorkbenchError(
            f"The weights of the run {run.id} are not there any more; what was evaluated can still be seen and "
            f"compared, for anything new train it again with `workbench train --config {run.path / 'config.yaml'}`."
        )
    return WorkbenchError(f"The run {run.id} has no checkpoint yet; let it train on with `workbench resume {run.id}`.")


def load_method_from(run: Run, which: Which = "last", device: torch.device | None = None) -> LoadedMethod:
    """A run's method with the weights of a checkpoint.

    Raises:
        WorkbenchError: the run has no such checkpoint, or one that cannot be read.
    """
    device = device or torch.device("cpu")
    _, config, method_class = read_config(run)
    folder = run.checkpoint(which)
    if folder is None:
        raise no_checkpoint(run, which)
    images = image_spec(run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on sizes, to who trains
        method = method_class(config, images).to(device)
    load_weights(method, folder, device)
    method.eval()
    step = int(folder.name.removeprefix("step-"))
    return LoadedMethod(method, config, images, step, f"{which}, step {step} ({method.weights})")


def load_snapshot(run: Run, file: Path, device: torch.device) -> Method:
    """A run's method with the weights of a snapshot, in evaluation mode.

    Raises:
        WorkbenchError: it cannot be read.
    """
    _, config, method_class = read_config(run)
    method = method_class(config, image_spec(run)).to(device)
    load_weights(method, file, device)
    return method.eval()


def build_untrained(run: Run, device: torch.device, seed: int = 0) -> Method:
    """The run's network with random weights, as the baseline ``untrained:<method>``."""
    _, config, method_class = read_config(run)
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        return method_class(config, image_spec(run)).to(device).eval()
