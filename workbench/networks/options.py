"""What networks are built from: the options and presets of encoders, U-Nets and denoising networks. No torch."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from workbench.config import MODEL, Probability, Range

Stem = Literal["patch", "conv"]
Position = Literal["sincos", "learned", "none"]
Token = Literal["class", "mean"]
MLPNorm = Literal["layer", "batch"]
Conditioning = Literal["adaptive", "token"]
SIZES = {  # width, blocks, heads; MoCo v3's ViT-S has 12 heads (table 2), where DeiT's has 6
    "vit_tiny": (192, 12, 3),
    "vit_small": (384, 12, 12),
    "vit_base": (768, 12, 12),
    "vit_large": (1024, 24, 16),
    "vit_huge": (1280, 32, 16),
}
LARGEST_ATTENTION = 16  # side in pixels, of presets


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """What an encoder is; a method's configuration extends it, so that these are its options too."""

    backbone: Annotated[
        Literal["vit", "vit_tiny", "vit_small", "vit_base", "vit_large", "vit_huge", "resnet18", "resnet50", "conv"],
        MODEL,
    ] = "vit"
    """Encoder; vit is one of the width, depth and heads below, conv the small one that vae trains."""
    patch: Annotated[int, MODEL, Range(1)] = 4
    """Side of a ViT's patch in pixels."""
    width: Annotated[int, MODEL, Range(1)] = 192
    """Width of the ViT."""
    depth: Annotated[int, MODEL, Range(1)] = 12
    """Blocks of the ViT."""
    heads: Annotated[int, MODEL, Range(1)] = 3
    """Attention heads of the ViT."""
    stem: Annotated[Stem, MODEL] = "patch"
    """How a ViT sees pixels: one linear projection per patch, or a few convolutions."""
    frozen_patch: Annotated[bool, MODEL] = True
    """Leave the ViT's random patch projection untrained, which makes training stable."""
    position: Annotated[Position, MODEL] = "sincos"
    """A ViT's position embedding."""
    token: Annotated[Token, MODEL] = "class"
    """What a ViT's image vector is: the class token, or the mean of the patches."""
    mlp_norm: Annotated[MLPNorm, MODEL] = "layer"
    """Norm in a ViT's MLP blocks; with batch it is the paper's ViT-BN."""
    conv_width: Annotated[int, MODEL, Range(1)] = 64
    """Channels of conv's first convolution, a multiple of 8; deeper ones, and its output, have up to four times as
    many."""

    @property
    def is_vit(self) -> bool:
        return self.backbone.startswith("vit")

    @property
    def vit_size(self) -> tuple[int, int, int]:
        """Width, blocks and heads of the ViT."""
        return SIZES.get(self.backbone, (self.width, self.depth, self.heads))

    @property
    def default_feature(self) -> str:
        """The space of :func:`features` that is the network's own output."""
        if self.backbone == "conv":
            return "embedding"
        return "pooled" if not self.is_vit else "class_token" if self.token == "class" else "pooled_patches"

    @property
    def ends(self) -> tuple[str, str]:
        """Names of the first and the last part of the network that are trained."""
        if self.backbone == "conv":
            return "0", "-1"
        if not self.is_vit:
            return "conv1", "layer4"
        frozen = self.stem == "patch" and self.frozen_patch
        return "blocks.0" if frozen else "patch_embed", f"blocks.{self.vit_size[1] - 1}"


@dataclass(frozen=True, kw_only=True)
class UNetOptions:
    """What a U-Net is; a method's configuration extends it, so that these are its options too."""

    widths: Annotated[tuple[int, ...], MODEL, Range(1)] = (128, 256, 256, 256)
    """Channels of the U-Net at each resolution."""
    layers: Annotated[int, MODEL, Range(1)] = 2
    """Residual blocks of the U-Net per resolution."""
    attention_size: Annotated[int | None, MODEL, Range(1)] = 16
    """Side in pixels at which the U-Net has self-attention, one of those that it halves the images to."""
    dropout: Annotated[Probability, MODEL] = 0.1
    """Dropout in the U-Net's residual blocks."""


@dataclass(frozen=True, kw_only=True)
class DenoisingOptions(UNetOptions):
    """What a denoising network is; a method's configuration extends it, so that these are its options too."""

    network: Annotated[Literal["unet", "vit"], MODEL] = "unet"
    """A U-Net, or the vision transformer that mocov3 trains."""
    patch: Annotated[int, MODEL, Range(1)] = 4
    """Side of a ViT's patch in pixels."""
    width: Annotated[int, MODEL, Range(1)] = 192
    """Width of the ViT."""
    depth: Annotated[int, MODEL, Range(1)] = 12
    """Blocks of the ViT."""
    heads: Annotated[int, MODEL, Range(1)] = 3
    """Attention heads of the ViT."""
    conditioning: Annotated[Conditioning, MODEL] = "adaptive"
    """How the noise level enters a ViT: through its norms (adaLN-Zero), or as a token, its blocks left as they are."""

    @property
    def ends(self) -> tuple[str, str]:
        """Names of the first and the last part of the network."""
        return ("conv_in", "up_blocks.-1") if self.network == "unet" else ("patch_embed", f"blocks.{self.depth - 1}")

    @property
    def default_block(self) -> str:
        """The block of :func:`block_features` that stands for the network."""
        return f"up_{min(1, len(self.widths) - 1)}" if self.network == "unet" else f"block_{math.ceil(self.depth / 2)}"


def fitting_patch(size: int) -> int:
    """The side of a patch that cuts images of ``size`` pixels into at least 4 x 4 of them, a power of two."""
    return max(p for p in (1, 2, 4, 8, 16, 32) if size % p == 0 and 4 * p <= max(size, 4))


def published_patch(size: int) -> int:
    """The side of a patch in published presets: 16 pixels, or less for images of at most 64."""
    return min(fitting_patch(size), 4 if size <= 32 else 8 if size <= 64 else 16)


def published_vit(size: int) -> dict[str, Any]:
    """Options of the ViT of published presets: ViT-S (MoCo v3, table 2) with patches that fit small images, too."""
    return {"patch": published_patch(size), "width": 384, "depth": 12, "heads": 12}


def recognition_presets(size: int) -> dict[str, dict[str, Any]]:
    """What the presets of methods that train an encoder on images of ``size`` pixels share."""
    patch = fitting_patch(size)
    return {
        "cpu": {
            "patch": patch,
            "width": 128,
            "depth": 3,
            "heads": 4,
            "conv_width": 16,
            "stem": "conv" if size >= 32 else "patch",
            "crop_min": 0.2,
            "epochs": 20,
            "optim.lr": 1e-3,
            "optim.warmup_epochs": 2.0,
        },
        "published": published_vit(size) | {"epochs": 300, "batch_size": 1024},
    }


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


def denoising_presets(size: int) -> dict[str, dict[str, Any]]:
    """Presets of a diffusion model for images of ``size`` pixels: those of the U-Net, and of the ViT beside them."""
    presets = unet_presets(size)
    small = {"patch": fitting_patch(size), "width": 128, "depth": 3, "heads": 4}
    return {"cpu": presets["cpu"] | small, "published": presets["published"] | published_vit(size)}
