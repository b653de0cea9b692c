"""Import a diffusers pipeline of one U-Net and its scheduler as a DDPM."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from workbench.errors import WorkbenchError
from workbench.methods.base import ImageSpec
from workbench.methods.ddpm import DDPM, DDPMConfig
from workbench.networks.unet import unet
from workbench.probability.fixed_schedules import SCHEDULES, schedule_settings
from workbench.weights import files
from workbench.weights.diffusers_export import PREDICTIONS, VARIANCES
from workbench.weights.network import fitted

NAMES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
OLDER = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # former names of attention layers
FREE = {"sample_size", "dropout", "num_train_timesteps", "num_class_embeds"}  # settings that no weight depends on
AVERAGED = 10**6  # updates: enough for averaged weights to be past the averaging's warm-up


class Pipeline(NamedTuple):
    """A diffusers pipeline as a method.

    Attributes:
        file: of the weights.
        left_out: sampling settings that the workbench does not have.
    """

    method: DDPM
    config: DDPMConfig
    images: ImageSpec
    file: Path
    kind: str
    left_out: list[str]


def read_pipeline(folder: Path) -> Pipeline:
    """The DDPM in a folder with a pipeline of a ``UNet2DModel`` and its scheduler.

    Raises:
        WorkbenchError: it is another pipeline, or has a network or schedule that the workbench lacks.
    """
    index = _json(folder / "model_index.json")
    kind = str(index.get("_class_name"))
    if (index.get("unet") or [None, None])[1] != "UNet2DModel":
        raise WorkbenchError(
            f"{folder} contains a {kind}, but only pipelines of one UNet2DModel and its scheduler, such as "
            "DDPMPipeline, can be imported."
        )
    parts = [folder / name if (folder / name).is_dir() else folder for name in ("unet", "scheduler")]
    stated, schedule = _json(parts[0] / "config.json"), _json(parts[1] / "scheduler_config.json")
    config, images, channels_out = _network(stated, folder)
    config = _scheduled(config, schedule, folder)
    if channels_out != images.channels * (2 if config["variance"] == "learned" else 1):
        raise WorkbenchError(
            f"The U-Net in {folder} outputs {channels_out} channels for images of {images.channels}, which does not "
            f"match its scheduler's variance_type {schedule.get('variance_type')!r}; it cannot be imported."
        )
    options = DDPMConfig(**config)
    method = DDPM(options, images)
    file = next((parts[0] / name for name in NAMES if (parts[0] / name).is_file()), None)
    if file is None:
        raise WorkbenchError(f"The folder {parts[0]} has no {' or '.join(NAMES)}; download the complete pipeline.")
    state = {_newer(name): value for name, value in files.read(file).items()}
    own = method.network.state_dict()
    weights = fitted(state, own, str(file), f"a U-Net of widths {', '.join(map(str, options.widths))}")
    method.network.load_state_dict(weights)
    method.ema.module.load_state_dict(weights)
    method.updates.fill_(AVERAGED)
    return Pipeline(method.eval(), options, images, file, f"diffusers' {kind}", _left_out(schedule))


def _left_out(schedule: dict[str, Any]) -> list[str]:
    """Sampling settings of a scheduler that the workbench does not have: it always clips to [-1, 1]."""
    if schedule.get("thresholding", False):  # which in diffusers replaces clipping
        return [f"dynamic thresholding, sample_max_value {schedule.get('sample_max_value', 1.0)}"]
    if not schedule.get("clip_sample", True):
        return ["sampling without clipping"]
    limit = schedule.get("clip_sample_range", 1.0)
    return [] if limit == 1 else [f"clip_sample_range {limit}"]


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise WorkbenchError(
            f"There is no file {path}, which a diffusers pipeline has; download the complete pipeline."
        ) from None
    except ValueError:
        raise WorkbenchError(f"The file {path} is not valid JSON; download it again.") from None
    return content if isinstance(content, dict) else {}


def _network(stated: dict[str, Any], folder: Path) -> tuple[dict[str, Any], ImageSpec, int]:
    """Options of the U-Net that a configuration describes, its images, and its number of output channels.

    Raises:
        WorkbenchError: :func:`workbench.networks.unet.unet` cannot build such a network.
    """
    try:
        with torch.device("meta"):
            theirs = dict(UNet2DModel.from_config(stated).config)  # type: ignore[union-attr]
    except Exception as error:  # diffusers raises anything for a foreign configuration
        raise WorkbenchError(f"diffusers cannot build the U-Net that {folder} describes ({error}).") from None
    size, channels = theirs["sample_size"], theirs["in_channels"]
    if not isinstance(size, int) or channels not in (1, 3):
        raise WorkbenchError(
            f"The U-Net in {folder} takes images of {channels} channels and side {size}; only square images of 1 or 3 "
            "channels can be imported."
        )
    attends = [size // 2**stage for stage, block in enumerate(theirs["down_block_types"]) if block.startswith("Attn")]
    sizes: dict[str, Any] = {
        "widths": tuple(theirs["block_out_channels"]),
        "layers": theirs["layers_per_block"],
        "attention_size": attends[0] if attends else None,
        "dropout": theirs["dropout"],
    }
    with torch.device("meta"):
        ours = dict(unet(size, channels, **sizes, channels_out=theirs["out_channels"]).config)
    if theirs["num_class_embeds"] is not None or theirs["class_embed_type"] is not None:
        raise WorkbenchError(
            f"The U-Net in {folder} is conditional, but its configuration does not name the labels; only unconditional "
            "ones can be imported."
        )
    for key, value in ours.items():
        if not key.startswith("_") and key not in FREE and _plain(theirs[key]) != _plain(value):
            raise WorkbenchError(
                f"The U-Net in {folder} has {key} {_plain(theirs[key])}; only that of Ho et al. 2020 "
                f"with {_plain(value)} can be imported."
            )
    return sizes, ImageSpec(channels, size), theirs["out_channels"]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _scheduled(config: dict[str, Any], stated: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The options, extended by those of a scheduler.

    Raises:
        WorkbenchError: the workbench has no such schedule, prediction or variance.
    """
    settings = {key: value for key, value in stated.items() if not key.startswith("_")}
    try:
        theirs: Any = DDPMScheduler.from_config(settings)
    except Exception as error:
        raise WorkbenchError(f"diffusers cannot build the scheduler that {folder} describes ({error}).") from None
    steps, prediction_type = theirs.config["num_train_timesteps"], theirs.config["prediction_type"]
    prediction = next((own for own, name in PREDICTIONS.items() if name == prediction_type), None)
    variance = next((own for own, name in VARIANCES.items() if theirs.config["variance_type"].startswith(name)), None)
    known = {}
    for name in SCHEDULES:
        with suppress(WorkbenchError):  # too few steps for it
            known[name] = DDPMScheduler(**schedule_settings(name, steps)).alphas_cumprod
    same = [name for name, signal in known.items() if torch.allclose(signal, theirs.alphas_cumprod, rtol=1e-5, atol=0)]
    for what, match, name in (
        ("prediction_type", prediction, prediction_type),
        ("variance_type", variance, theirs.config["variance_type"]),
        ("schedule", same, f"{theirs.config['beta_schedule']} from {theirs.config['beta_start']} to "
                           f"{theirs.config['beta_end']}"),
    ):  # fmt: skip
        if not match:
            raise WorkbenchError(
                f"The scheduler in {folder} has the {what} {name}, which the workbench's DDPM lacks; it cannot be "
                "imported."
            )
    default = DDPMConfig()
    named = {"feature_steps": default.feature_steps, "reconstruct_steps": default.reconstruct_steps}
    levels = {name: tuple(step * steps // 1000 for step in values) for name, values in named.items()}
    if same[0] == "zero_snr" and prediction == "eps":
        raise WorkbenchError(
            f"The scheduler in {folder} combines rescale_betas_zero_snr with the prediction_type epsilon, which does "
            "not determine the image at the last level, pure noise; it cannot be imported."
        )
    chosen = {"prediction": prediction, "variance": variance, "noise_steps": steps, "noise_schedule": same[0]}
    return config | chosen | (levels if steps != 1000 else {})


def _newer(name: str) -> str:
    """The present name of a tensor written by an older diffusers."""
    place, _, part = name.rpartition(".")
    before, _, layer = place.rpartition(".")
    return f"{before}.{OLDER[layer]}.{part}" if "attentions" in before and layer in OLDER else name
