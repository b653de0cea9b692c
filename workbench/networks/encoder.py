"""The encoders of recognition methods: a ViT, a ResNet or the VAE's convolutions, their options, and where features are
read."""

import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from workbench.networks.autoencoder import ConvEncoder
from workbench.networks.options import EncoderOptions
from workbench.networks.resnet import resnet
from workbench.networks.vit import ViT


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
