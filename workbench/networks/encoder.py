"""The encoders of recognition methods: a ViT, a ResNet or the VAE's convolutions, their options, and where features are
read."""

import warnings
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from workbench.config import Range
from workbench.networks.autoencoder import ConvEncoder
from workbench.networks.resnet import resnet
from workbench.networks.vit import SIZES, MLPNorm, Position, Stem, Token, ViT


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """What an encoder is; a method's configuration extends it, so that these are its options too."""

    backbone: Literal[
        "vit", "vit_tiny", "vit_small", "vit_base", "vit_large", "vit_huge", "resnet18", "resnet50", "conv"
    ] = "vit"
    """Encoder; vit is one of the width, depth and heads below, conv the small one that vae trains."""
    patch: Annotated[int, Range(1)] = 4
    """Side of a ViT's patch in pixels."""
    width: Annotated[int, Range(1)] = 192
    """Width of the ViT."""
    depth: Annotated[int, Range(1)] = 12
    """Blocks of the ViT."""
    heads: Annotated[int, Range(1)] = 3
    """Attention heads of the ViT."""
    stem: Stem = "patch"
    """How a ViT sees pixels: one linear projection per patch, or a few convolutions."""
    frozen_patch: bool = True
    """Leave the ViT's random patch projection untrained, which makes training stable."""
    position: Position = "sincos"
    """A ViT's position embedding."""
    token: Token = "class"
    """What a ViT's image vector is: the class token, or the mean of the patches."""
    mlp_norm: MLPNorm = "layer"
    """Norm in a ViT's MLP blocks; with batch it is the paper's ViT-BN."""
    conv_width: Annotated[int, Range(1)] = 64
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


class Place(NamedTuple):
    """Where features are read; the fields are those of :class:`workbench.methods.base.Layer`."""

    space: str
    name: str
    depth: int
    reading: str = "mean"


def encoder(options: EncoderOptions, channels: int, size: int) -> tuple[nn.Module, int]:
    """The network and the width of its output: normalised images (B, channels, size, size) -> (B, width).

    Raises:
        WorkbenchError: sizes that do not fit.
    """
    if options.backbone == "conv":
        outputs = 4 * options.conv_width
        return ConvEncoder(channels, size, options.conv_width, outputs, flag="--conv-width"), outputs
    if not options.is_vit:
        return resnet("resnet50" if options.backbone == "resnet50" else "resnet18", channels, size)
    width, depth, heads = options.vit_size
    if options.stem == "patch" and options.frozen_patch and channels * options.patch**2 > width:
        warnings.warn(
            f"The frozen random projection maps {channels * options.patch**2} values of a patch to "
            f"{width}, which loses information; a larger --width or a smaller --patch keeps it.",
            stacklevel=4,
        )
    what = (options.stem, options.frozen_patch, options.position, options.token, options.mlp_norm)
    return ViT(size, channels, options.patch, width, depth, heads, *what), width


def fitting_patch(size: int) -> int:
    """The side of a patch that cuts images of ``size`` pixels into at least 4 x 4 of them, a power of two."""
    return max(p for p in (1, 2, 4, 8, 16, 32) if size % p == 0 and 4 * p <= max(size, 4))


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


def published_vit(size: int) -> dict[str, Any]:
    """Options of the ViT of published presets: ViT-S (MoCo v3, table 2) with patches that fit small images, too."""
    return {"patch": published_patch(size), "width": 384, "depth": 12, "heads": 12}


def published_patch(size: int) -> int:
    """The side of a patch in published presets: 16 pixels, or less for images of at most 64."""
    return min(fitting_patch(size), 4 if size <= 32 else 8 if size <= 64 else 16)


def normalisation(channels: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (channels, 1, 1) of pixels in [0, 1]: ImageNet's for colour."""
    mean, std = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) if channels == 3 else ((0.5,), (0.25,))
    return torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]


def features(network: Any, images: Tensor) -> dict[str, Tensor]:
    """``class_token``, if there is one, and ``pooled_patches`` (B, width) of a ViT, ``pooled`` (B, 512 or 2048) of a
    ResNet, ``embedding`` (B, 4 conv_width) of convolutions, for normalised images."""
    if isinstance(network, ConvEncoder):
        return {"embedding": network(images)}
    if not isinstance(network, ViT):
        return {"pooled": network(images)}
    return _readings(network, network.forward_features(images), ("class_token", "pooled_patches"))


def places(network: Any, images: Tensor) -> dict[Place, Tensor]:
    """Features at every depth, those of :func:`features` last, for normalised images.

    They are the pooled patches of a ViT's stem and class token and pooled patches of each block (the last one read
    after the final norm), or a ResNet's stem and stages, pooled, or the maps after each halving of the side by
    convolutions, pooled, and their output.
    """
    if isinstance(network, ConvEncoder):
        stages, output = network.stages(images)
        values = {
            Place(f"stage_{depth}", f"stage_{depth}", depth - 1): stage.mean(dim=(2, 3))
            for depth, stage in enumerate(stages, start=1)
        }
        return values | {Place("embedding", "embedding", len(stages), "vector"): output}
    return _blocks(network, images) if isinstance(network, ViT) else _stages(network, images)


def _readings(network: ViT, tokens: Tensor, names: tuple[str, str]) -> dict[str, Tensor]:
    """The class token, if there is one, and the mean of the patches, of tokens (B, N, width)."""
    if network.cls_token is None:
        return {names[1]: tokens.mean(dim=1)}
    return {names[0]: tokens[:, 0], names[1]: tokens[:, 1:].mean(dim=1)}


def _blocks(network: Any, images: Tensor) -> dict[Place, Tensor]:
    tokens = network.embed(images)
    stem = _readings(network, tokens, ("", "stem"))["stem"]  # the class token is the same for all images here
    values = {Place("stem", "stem", 0): stem}
    for depth, block in enumerate(network.blocks, start=1):
        tokens, name, spaces = block(tokens), f"block_{depth}", (f"block_{depth}", f"block_{depth} patches")
        if depth == len(network.blocks):
            tokens, spaces = network.norm(tokens), ("class_token", "pooled_patches")
        for space, value in _readings(network, tokens, spaces).items():
            values[Place(space, name, depth, "class token" if space == spaces[0] else "mean")] = value
    return values


def _stages(network: Any, images: Tensor) -> dict[Place, Tensor]:
    x = network.maxpool(network.relu(network.bn1(network.conv1(images))))
    values = {Place("stem", "stem", 0): x.mean(dim=(2, 3))}
    for depth in (1, 2, 3, 4):
        x = getattr(network, f"layer{depth}")(x)
        values[Place("pooled" if depth == 4 else f"stage_{depth}", f"stage_{depth}", depth)] = x.mean(dim=(2, 3))
    return values
