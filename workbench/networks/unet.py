"""diffusers' U-Net, described by its widths."""

import math

from diffusers.models.unets.unet_2d import UNet2DModel

from workbench.errors import WorkbenchError


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
