"""diffusers' U-Net, described by its widths, and the options of methods that train one."""

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor

from workbench.config import Probability, Range
from workbench.errors import WorkbenchError

LARGEST_ATTENTION = 16  # side in pixels, of presets


@dataclass(frozen=True, kw_only=True)
class UNetOptions:
    """What a U-Net is; a method's configuration extends it, so that these are its options too."""

    widths: Annotated[tuple[int, ...], Range(1)] = (128, 256, 256, 256)
    """Channels of the U-Net at each resolution."""
    layers: Annotated[int, Range(1)] = 2
    """Residual blocks of the U-Net per resolution."""
    attention_size: Annotated[int | None, Range(1)] = 16
    """Side in pixels at which the U-Net has self-attention, one of those that it halves the images to."""
    dropout: Probability = 0.1
    """Dropout in the U-Net's residual blocks."""


def unet_presets(size: int) -> dict[str, dict[str, Any]]:
    """Presets of a diffusion model with a U-Net for images of ``size`` pixels: a small one, and Ho et al.'s (2020,
    appendix B) with as many resolutions as the size allows."""
    levels = next(n for n in (4, 3, 2, 1) if size % 2 ** (n - 1) == 0 and size // 2 ** (n - 1) >= min(4, size))
    widths = {"cpu": (32, 64, 64)[:levels], "published": (128, 256, 256, 256)[:levels]}
    common = {"optim.scale_lr": False, "optim.weight_decay": 0.0, "optim.clip": 1.0}
    return {
        "cpu": {
            **common,
            "widths": widths["cpu"],
            "layers": 1,
            "attention_size": _attention(sides(size, len(widths["cpu"])), 8 if size > 8 else 4),
            "dropout": 0.0,
            "ema": 0.999,
            "feature_steps": (100,),
            "epochs": 20,
            "batch_size": 64,
            "optim.lr": 1e-3,
            "optim.warmup_epochs": 0.5,
        },
        "published": {
            **common,
            "widths": widths["published"],
            "attention_size": _attention(sides(size, len(widths["published"])), size // 2 if size <= 64 else size // 8),
            "epochs": 2048,
            "batch_size": 128,
            "optim.lr": 2e-4,
            "optim.warmup_epochs": 12.8,
            "optim.schedule": "constant",
        },
    }


def sides(size: int, resolutions: int) -> list[int]:
    """Sides in pixels of a U-Net's maps for images of ``size`` pixels, one for each of its resolutions."""
    return [size // 2**stage for stage in range(resolutions)]


def _attention(known: list[int], wanted: int) -> int | None:
    """The side at which a preset has self-attention: the wanted one where the U-Net has it, or else its last, unless
    that is so large that attention would take most of the time."""
    if wanted in known:
        return wanted
    return known[-1] if known[-1] <= LARGEST_ATTENTION else None


def unet(
    size: int,
    channels: int,
    widths: tuple[int, ...],
    layers: int,
    attention_size: int | None,
    dropout: float,
    channels_out: int | None = None,
    classes: int = 0,
) -> UNet2DModel:
    """Ho et al.'s U-Net (2020, appendix B) for images (B, channels, size, size).

    Args:
        widths: channels at each resolution; each one halves the last one's side.
        layers: residual blocks per resolution.
        attention_size: side in pixels at which self-attention is added, one of :func:`sides`; None for nowhere.
        dropout: probability in every residual block.
        channels_out: of the prediction, by default those of the images.
        classes: labels 0 … classes - 1 that it accepts, added to the noise level's embedding; ``classes`` itself
            stands for none. 0 without labels.

    Raises:
        WorkbenchError: an image size that cannot be halved often enough, or a side for attention that there is not.
    """
    factor = 2 ** (len(widths) - 1)
    if size % factor:
        raise WorkbenchError(
            f"A U-Net of {len(widths)} resolutions cannot halve images of {size} px {len(widths) - 1} times; "
            f"choose --data.image-size as a multiple of {factor}, or fewer --widths."
        )
    known = sides(size, len(widths))
    if attention_size is not None and attention_size not in known:
        raise WorkbenchError(
            f"--attention-size {attention_size} is none of the sides {', '.join(map(str, known))} px that a U-Net of "
            f"{len(widths)} resolutions has for images of {size} px; choose one of them, or none (null in a file) "
            "for no attention."
        )
    attends = [side == attention_size for side in known]
    return UNet2DModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels if channels_out is None else channels_out,
        block_out_channels=widths,
        layers_per_block=layers,
        down_block_types=tuple("AttnDownBlock2D" if attend else "DownBlock2D" for attend in attends),
        up_block_types=tuple("AttnUpBlock2D" if attend else "UpBlock2D" for attend in reversed(attends)),
        dropout=dropout,
        norm_num_groups=math.gcd(32, widths[0] // 4, *widths),
        norm_eps=1e-6,
        attention_head_dim=None,
        flip_sin_to_cos=False,
        freq_shift=1,
        downsample_padding=0,
        num_class_embeds=classes + 1 if classes else None,
    )


def pooled_outputs(network: UNet2DModel, run: Callable[[], object]) -> dict[str, Tensor]:
    """Outputs (B, width) of a U-Net's blocks, averaged over positions, in float32, while ``run`` uses the network.

    They are, in order through it, down_0 …, middle, up_0 …, each read after its last residual block, before the side
    changes again.
    """
    blocks: dict[str, Any] = {f"down_{index}": block for index, block in enumerate(network.down_blocks)}
    blocks |= {"middle": network.mid_block} | {f"up_{index}": block for index, block in enumerate(network.up_blocks)}
    outputs: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for name, block in blocks.items():
            part = block if name == "middle" else block.resnets[-1]
            hooks.enter_context(part.register_forward_hook(partial(_keep, outputs, name)))
        run()
    return {name: output.mean(dim=(2, 3)).float() for name, output in outputs.items()}


def _keep(outputs: dict[str, Tensor], name: str, _module: object, _inputs: object, output: Tensor) -> None:
    outputs[name] = output
