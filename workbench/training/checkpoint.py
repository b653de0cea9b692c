"""Save and load checkpoints: weights as safetensors, the optimiser's state in a file for ``weights_only``."""

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
from workbench.files import read_json, storage_error, write_json
from workbench.hints import command
from workbench.methods import load_method
from workbench.methods.base import ImageSpec, Method
from workbench.store import Run

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
    run: Run, step: int, method: Method, optimizer: torch.optim.Optimizer, state: dict[str, Any], best: float | None
) -> None:
    """Write ``checkpoints/step-…`` under a temporary name and rename it; then delete all but the last and the best.

    A checkpoint that exists is left alone: training is a function of the seed, so it would be the same.

    Args:
        state: plain numbers that a resume needs.
        best: the monitor's kNN accuracy in percent, if it is the best so far.

    Raises:
        WorkbenchError: the disk is full; the previous checkpoint is untouched.
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
    except (SafetensorError, RuntimeError) as error:  # both libraries wrap a failed write in their own exception
        shutil.rmtree(building, ignore_errors=True)
        if "os error 28" in str(error) or "No space left" in str(error) or "file write failed" in str(error):
            raise WorkbenchError(
                f"No space left on the disk of {folder}; free some space, then continue with "
                f"`{command('resume', run.id, runs=run.path.parent)}`."
            ) from error
        raise
    prune(run)


def prune(run: Run) -> None:
    """Delete every checkpoint but the last and the best, and the remains of interrupted writes."""
    keep = {path for which in ("last", "best") if (path := run.checkpoint(which))}
    keep.add(run.path / "checkpoints" / "snapshots")
    for folder in (run.path / "checkpoints").iterdir():
        if folder.is_dir() and folder not in keep:
            shutil.rmtree(folder, ignore_errors=True)


def best_value(run: Run) -> float | None:
    """The best checkpoint's value, or None."""
    return read_json(run.path / "checkpoints" / "best.json").get("value")


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
        raise WorkbenchError(f"run.json of the run {run.id} does not describe its images; the run cannot be loaded.")
    channels, size, classes = int(data["channels"]), int(data["size"]), data.get("classes") or ()
    levels = data.get("levels") or native_levels(str(data.get("name")), size) or 256  # not stored by older runs
    return ImageSpec(channels, size, int(levels), len(classes))


def load_weights(method: Method, folder: Path, device: torch.device) -> None:
    """Load ``model.safetensors`` of a checkpoint, or a snapshot.

    Raises:
        WorkbenchError: the file is missing, broken or of another network.
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
    """Load only the encoder of a run of another method, also into a momentum encoder.

    Raises:
        WorkbenchError: the two methods have different encoders, or normalise pixels differently.
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
            f"The run {run.id} of {name} has no matching encoder to start from{first}; use the same "
            f"--backbone, size and images as in {run.path / 'config.yaml'}."
        )
    for statistic in ("mean", "std"):
        theirs, ours = getattr(config, statistic, None), getattr(method, statistic, None)
        if theirs is not None and ours is not None and not torch.allclose(torch.tensor(theirs), ours.flatten().cpu()):
            raise WorkbenchError(
                f"The encoder of {run.id} normalises pixels by mean {getattr(config, 'mean', None)} and standard "
                f"deviation {getattr(config, 'std', None)}, unlike this method; "
                f"fine-tune it with `{command('evaluate', run.id, '--only', 'finetune', runs=run.path.parent)}`."
            )
    copies = {key.replace(prefix, copy, 1): value for key, value in state.items()}
    method.load_state_dict(own | state | {key: value for key, value in copies.items() if key in own})


def no_checkpoint(run: Run, which: Which = "last") -> WorkbenchError:
    """Why a run has no such checkpoint, and what helps."""
    if which == "best" and run.checkpoint() is not None:
        return WorkbenchError(
            f"The run {run.id} has no best checkpoint, because kNN was not monitored; use --checkpoint last."
        )
    if run.had_checkpoint():
        again = command("train", "--config", run.path / "config.yaml", runs=run.path.parent)
        return WorkbenchError(
            f"The weights of the run {run.id} were deleted; stored evaluations remain available. "
            f"For new evaluations, train it again with `{again}`."
        )
    resume = command("resume", run.id, runs=run.path.parent)
    return WorkbenchError(f"The run {run.id} has no checkpoint yet; continue training with `{resume}`.")


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
        warnings.simplefilter("ignore")  # advice on sizes, meant for training
        method = method_class(config, images).to(device)
    load_weights(method, folder, device)
    method.eval()
    step = int(folder.name.removeprefix("step-"))
    return LoadedMethod(method, config, images, step, f"{which}, step {step} ({method.weights})")


def build_untrained(run: Run, device: torch.device, seed: int = 0) -> Method:
    """The run's network with random weights, as the baseline ``untrained:<method>``."""
    _, config, method_class = read_config(run)
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        return method_class(config, image_spec(run)).to(device).eval()
