"""diffusers' U-Net, described by its widths, and the options of methods that train one."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from diffusers.models.unets.unet_2d import UNet2DModel

from workbench.config import Probability, Range
from workbench.errors import WorkbenchError


@dataclass(frozen=True, kw_only=True)
class UNetOptions:
    """What a U-Net is; a method's configuration extends it, so that these are its options too."""

    widths: Annotated[tuple[int, ...], Range(1)] = (128, 256, 256, 256)
    """Channels of the U-Net at each resolution."""
    layers: Annotated[int, Range(1)] = 2
    """Residual blocks of the U-Net per resolution."""
    attention_size: Annotated[int | None, Range(1)] = 16
    """Side in pixels at which the U-Net has self-attention."""
    dropout: Probability = 0.1
    """Dropout in the U-Net's residual blocks."""


def unet_presets(size: int) -> dict[str, dict[str, Any]]:
    """Presets of a diffusion model with a U-Net for images of ``size`` pixels: a small one, and Ho et al.'s (2020,
    appendix B) with as many resolutions as the size allows."""
    levels = next(n for n in (4, 3, 2, 1) if size % 2 ** (n - 1) == 0 and size // 2 ** (n - 1) >= min(4, size))
    common = {"optim.scale_lr": False, "optim.weight_decay": 0.0, "optim.clip": 1.0}
    return {
        "cpu": common
        | {
            "widths": (32, 64, 64)[:levels],
            "layers": 1,
            "attention_size": 8 if size > 8 else 4,
            "dropout": 0.0,
            "ema": 0.999,
            "feature_steps": (100,),
            "epochs": 20,
            "batch_size": 64,
            "optim.lr": 1e-3,
            "optim.warmup_epochs": 0.5,
        },
        "published": common
        | {
            "widths": (128, 256, 256, 256)[:levels],
            "attention_size": size // 2 if size <= 64 else size // 8,
            "epochs": 2048,
            "batch_size": 128,
            "optim.lr": 2e-4,
            "optim.warmup_epochs": 12.8,
            "optim.schedule": "constant",
        },
    }


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
        attention_size: side in pixels at which self-attention is added, if any.
        dropout: probability in every residual block.
        channels_out: of the prediction, by default those of the images.
        classes: labels 0 … classes - 1 that it can be told, added to the noise level's embedding; ``classes`` itself
            stands for none. 0 without labels.

    Raises:
        WorkbenchError: an image size that cannot be halved often enough.
    """
    factor = 2 ** (len(widths) - 1)
    if size % factor:
        raise WorkbenchError(
            f"A U-Net of {len(widths)} resolutions cannot halve images of {size} px {len(widths) - 1} times; "
            f"choose --data.image-size as a multiple of {factor}, or fewer --widths."
        )
    attends = [size // 2**stage == attention_size for stage in range(len(widths))]
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
