"""``workbench export --format diffusers``: a folder that plain diffusers loads as a pipeline; and such folders back in.

The network is the U-Net of the averaged weights. A conditional one is written as what it is without a label: the
embedding of "no label" is added to the bias that it would be added to, which gives the same numbers.
"""

import copy
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
from workbench.store import Run
from workbench.training.checkpoint import Which, load_method_from
from workbench.weights import card, files
from workbench.weights.exporting import whole_folder
from workbench.weights.network import fitted

PREDICTIONS = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}
VARIANCES = {"small": "fixed_small", "large": "fixed_large", "learned": "learned_range"}
NAMES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
OLDER = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # names in attention layers
FREE = {"sample_size", "dropout", "num_train_timesteps", "num_class_embeds"}  # of a U-Net's configuration, no weights'
AVERAGED = 10**6  # updates after which averaged weights are not taken for those of a random start


def export_diffusers(run: Run, output: Path, which: Which = "last") -> str:
    """Write ``model_index.json``, ``unet``, ``scheduler`` and ``README.md`` into a new folder; returns what it did.

    Raises:
        WorkbenchError: the run is no DDPM that diffusers has a pipeline for, the folder is there already, or cannot be
            written.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise WorkbenchError(f"{output} is there already; name a new folder with --output.")
    loaded = load_method_from(run, which)
    method = loaded.method
    if not isinstance(method, DDPM) or not isinstance(method.ema.module, UNet2DModel):
        what = f"a {run.info().get('method')}" if not isinstance(method, DDPM) else "a ddpm with a ViT"
        raise WorkbenchError(
            f"The run {run.id} is {what}, and only a ddpm's U-Net can be exported for diffusers; "
            "--format timm and onnx export encoders."
        )
    if method.config.prediction not in PREDICTIONS:
        raise WorkbenchError(
            f"The run {run.id} predicts the score, which diffusers' schedulers of DDPM cannot read; "
            "train with --prediction eps, x0 or v to export it."
        )
    network, settings = unconditional(method), scheduler_settings(method)
    from diffusers.pipelines.ddpm.pipeline_ddpm import (
        DDPMPipeline,  # seconds, which an import of weights can do without
    )

    pipeline = DDPMPipeline(network, DDPMScheduler(**settings))

    def fill(folder: Path) -> None:
        pipeline.save_pretrained(folder)
        heading = ["library_name: diffusers", "tags: [unconditional-image-generation, diffusers]"]
        text = card.write(run, loaded, settings, heading, "U-Net (averaged weights)", loading(method))
        (folder / "README.md").write_text(text, encoding="utf-8")

    whole_folder(output, fill)
    parameters = sum(value.numel() for value in network.parameters()) / 1e6
    return f"{output}: a DDPMPipeline of {parameters:.2f} M numbers and README.md; diffusers loads it by its path"


def scheduler_settings(method: DDPM) -> dict[str, Any]:
    """What ``DDPMScheduler`` is told to sample as the workbench does.

    With the posterior's variance it takes the same levels, from pure noise at T - 1 down. With a larger one it would
    draw noise into the finished image where the last level is not 0, so that its levels end there and begin below
    T - 1; with all T steps the two are the same.
    """
    return method.schedule | {
        "prediction_type": PREDICTIONS[method.config.prediction],
        "variance_type": VARIANCES[method.config.variance],
        "clip_sample": True,
        "clip_sample_range": 1.0,
        "timestep_spacing": "trailing" if method.config.variance == "small" else "leading",
    }


def unconditional(method: DDPM) -> UNet2DModel:
    """The averaged U-Net in evaluation mode; of a conditional one, what it is without a label."""
    network = method.ema.module
    assert isinstance(network, UNet2DModel)
    if not method.label_count:
        return copy.deepcopy(network).eval()
    config, images = method.config, method.images
    sizes = (tuple(config.widths), config.layers, config.attention_size, config.dropout)
    alone = unet(images.size, images.channels, *sizes, network.config["out_channels"])
    state = network.state_dict()
    none = state.pop("class_embedding.weight")[method.label_count]
    state["time_embedding.linear_2.bias"] = state["time_embedding.linear_2.bias"] + none
    alone.load_state_dict(state)
    return alone.eval()


def loading(method: DDPM) -> str:
    """Lines for the model card that sample with it."""
    code = [
        "import torch",
        "from diffusers import DDPMPipeline",
        "pipeline = DDPMPipeline.from_pretrained('.')  # the folder of this file",
        "images = pipeline(batch_size=4, num_inference_steps=100, generator=torch.Generator().manual_seed(0)).images",
    ]
    told = "```python\n" + "\n".join(code) + "\n```"
    if method.config.variance != "small":
        told += (
            f"\n\nIts steps have the {method.config.variance} variance, with which diffusers' levels must end at 0: "
            "with fewer than all steps they begin below pure noise, where the workbench's begin with it."
        )
    if method.config.variance == "learned":
        told += "\n\nIts output has the variance beside the mean, which `DDPMPipeline` alone knows to read."
    else:
        told += "\n\n`DDIMPipeline` loads it, too; the workbench's DDIM is that with `use_clipped_model_output=True`."
    if method.label_count:
        told += "\n\nThe run was trained with labels; this is the network without one."
    return told


class Pipeline(NamedTuple):
    """What a folder of diffusers holds.

    Attributes:
        file: of the weights.
        left_out: what the workbench does otherwise.
    """

    method: DDPM
    config: DDPMConfig
    images: ImageSpec
    file: Path
    kind: str
    left_out: list[str]


def is_pipeline(source: str) -> bool:
    """Whether this is a folder that diffusers has written of a pipeline."""
    return (Path(source).expanduser() / "model_index.json").is_file()


def read_pipeline(folder: Path) -> Pipeline:
    """A DDPM of a folder with a pipeline of a ``UNet2DModel`` and the scheduler it was trained with.

    Raises:
        WorkbenchError: it holds another pipeline, or a network or a schedule that the workbench has not.
    """
    index = _json(folder / "model_index.json")
    kind = str(index.get("_class_name"))
    if (index.get("unet") or [None, None])[1] != "UNet2DModel":
        raise WorkbenchError(
            f"{folder} holds a {kind}, and only pipelines of one UNet2DModel and its scheduler, such as DDPMPipeline, "
            "can be imported."
        )
    parts = [folder / name if (folder / name).is_dir() else folder for name in ("unet", "scheduler")]
    stated, schedule = _json(parts[0] / "config.json"), _json(parts[1] / "scheduler_config.json")
    config, images, channels_out = _network(stated, folder)
    config = _scheduled(config, schedule, folder)
    if channels_out != images.channels * (2 if config["variance"] == "learned" else 1):
        raise WorkbenchError(
            f"The U-Net in {folder} puts out {channels_out} channels for images of {images.channels}, which does not "
            f"fit its scheduler's variance_type {schedule.get('variance_type')!r}; such a pipeline cannot be imported."
        )
    options = DDPMConfig(**config)
    method = DDPM(options, images)
    file = next((parts[0] / name for name in NAMES if (parts[0] / name).is_file()), None)
    if file is None:
        raise WorkbenchError(f"The folder {parts[0]} has no {' or '.join(NAMES)}; fetch the whole pipeline.")
    state = {_newer(name): value for name, value in files.read(file).items()}
    own = method.network.state_dict()
    weights = fitted(state, own, str(file), f"a U-Net of the widths {', '.join(map(str, options.widths))}")
    method.network.load_state_dict(weights)
    method.ema.module.load_state_dict(weights)
    method.updates.fill_(AVERAGED)
    return Pipeline(method.eval(), options, images, file, f"diffusers' {kind}", _left_out(schedule))


def _left_out(schedule: dict[str, Any]) -> list[str]:
    """What a scheduler's configuration says of sampling and the workbench does otherwise: it clips to [-1, 1]."""
    if schedule.get("thresholding", False):  # of which diffusers' schedulers do nothing else
        return [f"dynamic thresholding, sample_max_value {schedule.get('sample_max_value', 1.0)}"]
    if not schedule.get("clip_sample", True):
        return ["sampling without clipping"]
    limit = schedule.get("clip_sample_range", 1.0)
    return [] if limit == 1 else [f"clip_sample_range {limit}"]


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise WorkbenchError(f"There is no file {path}, which a pipeline of diffusers has; fetch the whole.") from None
    except ValueError:
        raise WorkbenchError(f"The file {path} is not valid JSON; fetch it again.") from None
    return content if isinstance(content, dict) else {}


def _network(stated: dict[str, Any], folder: Path) -> tuple[dict[str, Any], ImageSpec, int]:
    """Options of the U-Net that a configuration describes, its images, and the channels that it puts out.

    Raises:
        WorkbenchError: it is another network than :func:`workbench.networks.unet.unet` makes.
    """
    try:
        with torch.device("meta"):
            theirs = dict(UNet2DModel.from_config(stated).config)  # type: ignore[union-attr]
    except Exception as error:  # whatever a file says that is none of diffusers'
        raise WorkbenchError(f"diffusers cannot build the U-Net that {folder} describes ({error}).") from None
    size, channels = theirs["sample_size"], theirs["in_channels"]
    if not isinstance(size, int) or channels not in (1, 3):
        raise WorkbenchError(
            f"The U-Net in {folder} takes images of {channels} channels and side {size}; one side and 1 or 3 channels "
            "can be imported."
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
            f"The U-Net in {folder} is told labels, and which they are its configuration does not say; only "
            "unconditional ones can be imported."
        )
    for key, value in ours.items():
        if not key.startswith("_") and key not in FREE and _plain(theirs[key]) != _plain(value):
            raise WorkbenchError(
                f"The U-Net in {folder} has {key} {_plain(theirs[key])}, and the workbench's, that of Ho et al. 2020, "
                f"{_plain(value)}; such a network cannot be imported."
            )
    return sizes, ImageSpec(channels, size), theirs["out_channels"]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _scheduled(config: dict[str, Any], stated: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The options with those of a scheduler.

    Raises:
        WorkbenchError: the workbench has no such schedule, prediction or variance.
    """
    kept = {key: value for key, value in stated.items() if not key.startswith("_")}
    try:
        theirs: Any = DDPMScheduler.from_config(kept)
    except Exception as error:
        raise WorkbenchError(f"diffusers cannot build the scheduler that {folder} describes ({error}).") from None
    steps, said = theirs.config["num_train_timesteps"], theirs.config["prediction_type"]
    prediction = next((own for own, name in PREDICTIONS.items() if name == said), None)
    variance = next((own for own, name in VARIANCES.items() if theirs.config["variance_type"].startswith(name)), None)
    known = {}
    for name in SCHEDULES:
        with suppress(WorkbenchError):  # too few steps for it
            known[name] = DDPMScheduler(**schedule_settings(name, steps)).alphas_cumprod
    same = [name for name, signal in known.items() if torch.allclose(signal, theirs.alphas_cumprod, rtol=1e-5, atol=0)]
    for what, found, name in (
        ("prediction_type", prediction, said),
        ("variance_type", variance, theirs.config["variance_type"]),
        ("schedule", same, f"{theirs.config['beta_schedule']} from {theirs.config['beta_start']} to "
                           f"{theirs.config['beta_end']}"),
    ):  # fmt: skip
        if not found:
            raise WorkbenchError(
                f"The scheduler in {folder} has the {what} {name}, which the workbench's DDPM has not; it cannot be "
                "imported."
            )
    default = DDPMConfig()
    levels = {
        name: tuple(step * steps // 1000 for step in getattr(default, name))
        for name in ("feature_steps", "reconstruct_steps")
    }
    if same[0] == "zero_snr" and prediction == "eps":
        raise WorkbenchError(
            f"The scheduler in {folder} has rescale_betas_zero_snr with the prediction_type epsilon, of which nothing "
            "of the image follows at its last level, noise alone; it cannot be imported."
        )
    chosen = {"prediction": prediction, "variance": variance, "noise_steps": steps, "noise_schedule": same[0]}
    return config | chosen | (levels if steps != 1000 else {})


def _newer(name: str) -> str:
    """Today's name of a tensor that an older diffusers has written."""
    place, _, part = name.rpartition(".")
    before, _, layer = place.rpartition(".")
    return f"{before}.{OLDER[layer]}.{part}" if "attentions" in before and layer in OLDER else name
