"""``workbench export --format diffusers``: a DDPM as a folder that diffusers loads as a pipeline.

The exported network is the U-Net of the averaged weights. A conditional one is exported as the network without a
label: the embedding of "no label" is added to the time embedding's bias, which gives the same outputs.
"""

import copy
from pathlib import Path
from typing import Any

from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from workbench.errors import WorkbenchError
from workbench.methods.ddpm import DDPM
from workbench.networks.unet import unet
from workbench.store import Run
from workbench.training.checkpoint import Which, load_method_from
from workbench.weights import card
from workbench.weights.exporting import check_new, whole_folder

PREDICTIONS = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}
VARIANCES = {"small": "fixed_small", "large": "fixed_large", "learned": "learned_range"}


def export_diffusers(run: Run, output: Path, which: Which = "last") -> str:
    """Write ``model_index.json``, ``unet``, ``scheduler`` and ``README.md`` into a new folder; returns a summary.

    Raises:
        WorkbenchError: diffusers has no pipeline for the run, or the folder exists already or cannot be written.
    """
    check_new(output)
    loaded = load_method_from(run, which)
    method = loaded.method
    if not isinstance(method, DDPM) or not isinstance(method.ema.module, UNet2DModel):
        what = f"a {run.info().get('method')}" if not isinstance(method, DDPM) else "a ddpm with a ViT"
        raise WorkbenchError(
            f"The run {run.id} is {what}, but only a ddpm's U-Net can be exported to diffusers; "
            "--format timm and onnx export encoders."
        )
    if method.config.prediction not in PREDICTIONS:
        raise WorkbenchError(
            f"The run {run.id} predicts the score, which diffusers' DDPM schedulers do not support; "
            "train with --prediction eps, x0 or v to export it."
        )
    network, settings = unconditional(method), scheduler_settings(method)
    from diffusers.pipelines.ddpm import pipeline_ddpm  # takes seconds; importing weights does not need it

    pipeline = pipeline_ddpm.DDPMPipeline(network, DDPMScheduler(**settings))

    def fill(folder: Path) -> None:
        pipeline.save_pretrained(folder)
        heading = ["library_name: diffusers", "tags: [unconditional-image-generation, diffusers]"]
        text = card.write(run, loaded, settings, heading, "U-Net (averaged weights)", loading(method))
        (folder / "README.md").write_text(text, encoding="utf-8")

    whole_folder(output, fill)
    parameters = sum(value.numel() for value in network.parameters()) / 1e6
    return f"{output}: a DDPMPipeline of {parameters:.2f} M parameters and README.md; diffusers loads it by its path"


def scheduler_settings(method: DDPM) -> dict[str, Any]:
    """Settings with which ``DDPMScheduler`` samples as the workbench does.

    With the posterior's variance it takes the same levels, from pure noise at T - 1 down. With a larger one it would
    add noise to the finished image if the last level were not 0, so its levels end at 0 and begin below T - 1; with
    all T steps the two are the same.
    """
    return method.schedule | {
        "prediction_type": PREDICTIONS[method.config.prediction],
        "variance_type": VARIANCES[method.config.variance],
        "clip_sample": True,
        "clip_sample_range": 1.0,
        "timestep_spacing": "trailing" if method.config.variance == "small" else "leading",
    }


def unconditional(method: DDPM) -> UNet2DModel:
    """The averaged U-Net in evaluation mode; a conditional one as the network without a label."""
    network = method.ema.module
    assert isinstance(network, UNet2DModel)
    if not method.label_count:
        return copy.deepcopy(network).eval()
    config, images = method.config, method.images
    sizes = (tuple(config.widths), config.layers, config.attention_size, config.dropout)
    result = unet(images.size, images.channels, *sizes, network.config["out_channels"])
    state = network.state_dict()
    none = state.pop("class_embedding.weight")[method.label_count]
    state["time_embedding.linear_2.bias"] = state["time_embedding.linear_2.bias"] + none
    result.load_state_dict(state)
    return result.eval()


def loading(method: DDPM) -> str:
    """The model card's section on loading and sampling."""
    code = [
        "import torch",
        "from diffusers import DDPMPipeline",
        "pipeline = DDPMPipeline.from_pretrained('.')  # the folder of this file",
        "images = pipeline(batch_size=4, num_inference_steps=100, generator=torch.Generator().manual_seed(0)).images",
    ]
    text = "```python\n" + "\n".join(code) + "\n```"
    if method.config.variance != "small":
        text += (
            f"\n\nThe steps have the {method.config.variance} variance, for which diffusers' levels must end at 0: "
            "with fewer than all steps they begin below pure noise, whereas the workbench's begin with it."
        )
    if method.config.variance == "learned":
        text += "\n\nThe output contains the variance besides the mean, which only `DDPMPipeline` reads."
    else:
        text += "\n\n`DDIMPipeline` loads it, too; the workbench's DDIM corresponds to `use_clipped_model_output=True`."
    if method.label_count:
        text += "\n\nThe run was trained with labels; this is the network without a label."
    return text
