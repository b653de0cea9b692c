"""The networks that ddpm trains, a U-Net or a ViT: their options, and where features are read."""

from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor, nn

from workbench.networks.dit import DiT
from workbench.networks.options import DenoisingOptions
from workbench.networks.unet import pooled_outputs, unet


def denoising_network(
    options: DenoisingOptions, size: int, channels: int, channels_out: int, classes: int
) -> UNet2DModel | DiT:
    """x_t (B, channels, size, size), steps (B,) and labels (B,) -> predictions (B, channels_out, size, size).

    Raises:
        WorkbenchError: sizes that do not fit.
    """
    if options.network == "unet":
        sizes = (tuple(options.widths), options.layers, options.attention_size, options.dropout)
        return unet(size, channels, *sizes, channels_out, classes)
    sizes = (options.patch, options.width, options.depth, options.heads)
    return DiT(size, channels, *sizes, channels_out, classes, options.conditioning)


def block_features(network: nn.Module, x: Tensor, steps: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
    """Pooled outputs (B, width) of the blocks, in order through the network: a U-Net's, as in
    :func:`workbench.networks.unet.pooled_outputs`, or the patches of a ViT's stem and blocks."""
    if isinstance(network, DiT):
        return network.pooled(x, steps, labels)
    assert isinstance(network, UNet2DModel)
    return pooled_outputs(network, lambda: network(x, steps, labels))
