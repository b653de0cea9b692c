"""The networks that ddpm trains, a U-Net or a ViT: their options, and where features are read."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor, nn

from workbench.config import Range
from workbench.networks.dit import Conditioning, DiT
from workbench.networks.encoder import fitting_patch, published_vit
from workbench.networks.unet import UNetOptions, pooled_outputs, unet, unet_presets


@dataclass(frozen=True, kw_only=True)
class DenoisingOptions(UNetOptions):
    """What a denoising network is; a method's configuration extends it, so that these are its options too."""

    network: Literal["unet", "vit"] = "unet"
    """A U-Net, or the vision transformer that mocov3 trains."""
    patch: Annotated[int, Range(1)] = 4
    """Side of a ViT's patch in pixels."""
    width: Annotated[int, Range(1)] = 192
    """Width of the ViT."""
    depth: Annotated[int, Range(1)] = 12
    """Blocks of the ViT."""
    heads: Annotated[int, Range(1)] = 3
    """Attention heads of the ViT."""
    conditioning: Conditioning = "adaptive"
    """How the noise level enters a ViT: through its norms (adaLN-Zero), or as a token, its blocks left as they are."""

    @property
    def ends(self) -> tuple[str, str]:
        """Names of the first and the last part of the network."""
        return ("conv_in", "up_blocks.-1") if self.network == "unet" else ("patch_embed", f"blocks.{self.depth - 1}")

    @property
    def default_block(self) -> str:
        """The block of :func:`block_features` that stands for the network."""
        return f"up_{min(1, len(self.widths) - 1)}" if self.network == "unet" else f"block_{math.ceil(self.depth / 2)}"


def denoising_presets(size: int) -> dict[str, dict[str, Any]]:
    """Presets of a diffusion model for images of ``size`` pixels: those of the U-Net, and of the ViT beside them."""
    presets = unet_presets(size)
    small = {"patch": fitting_patch(size), "width": 128, "depth": 3, "heads": 4}
    return {"cpu": presets["cpu"] | small, "published": presets["published"] | published_vit(size)}


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
