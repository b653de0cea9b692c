"""diffusers' U-Net, described by its widths, and the options of methods that train one."""

import math
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.networks.options import sides


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
