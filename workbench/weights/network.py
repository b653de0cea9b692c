"""Infer an encoder's architecture from the names and shapes of its tensors."""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.methods.base import ImageSpec
from workbench.networks.resnet import SMALL
from workbench.networks.vit import sincos_position
from workbench.weights.formats import State

RESNETS: dict[tuple[int, ...], str] = {(2, 2, 2, 2, False): "resnet18", (3, 4, 6, 3, True): "resnet50"}
PUBLISHED_SIZE, SMALL_SIZE = 224, 32  # px, if the network takes any: with the published stem, with the small one
NAMED = 3  # tensors that a message names


class Architecture(NamedTuple):
    """The settings of :class:`~workbench.networks.encoder.EncoderOptions` by name, and the images."""

    settings: dict[str, Any]
    images: ImageSpec


def infer(state: Mapping[str, Tensor], heads: int | None, size: int | None, where: str) -> Architecture:
    """The encoder that tensors belong to.

    Args:
        state: with timm's names for a ViT and torchvision's for a ResNet, without classifier.
        heads: attention heads of a ViT, which no tensor reveals.
        size: side of the images in pixels, if the network accepts any.
        where: the file, for error messages.

    Raises:
        WorkbenchError: they belong to another kind of network, or heads or size are missing or wrong.
    """
    if "conv1.weight" in state and "layer1.0.conv1.weight" in state:
        return _resnet(state, size, where)
    if "blocks.0.attn.qkv.weight" in state and any(name.startswith("patch_embed.proj.") for name in state):
        return _vit(state, heads, size, where)
    names = ", ".join(list(state)[:NAMED]) + (", …" if len(state) > NAMED else "")
    raise WorkbenchError(
        f"The tensors in {where} ({names}) belong to neither a ViT nor a ResNet with the names of "
        "timm and torchvision; other networks cannot be imported."
    )


def _vit(state: Mapping[str, Tensor], heads: int | None, size: int | None, where: str) -> Architecture:
    width = state["blocks.0.attn.qkv.weight"].shape[1]
    depth = 1 + max(int(match[1]) for name in state if (match := re.match(r"blocks\.(\d+)\.", name)))
    convolutions = [value for name, value in state.items() if name.startswith("patch_embed.proj.") and value.ndim == 4]
    if not convolutions:
        raise WorkbenchError(f"The patch projection in {where} is not a convolution; such a ViT cannot be imported.")
    single = "patch_embed.proj.weight" in state  # else a stem of convolutions
    patch = convolutions[0].shape[-1] if single else 2 ** (len(convolutions) - 1)
    token, table = "class" if "cls_token" in state else "mean", state.get("pos_embed")
    if table is None:
        position, side = "none", (size or PUBLISHED_SIZE) // patch
    else:
        places = table.shape[1] - (token == "class")
        side = math.isqrt(places)
        if side**2 != places:
            raise WorkbenchError(
                f"The position table in {where} has {places} patches, not a square number; networks with a "
                "distillation token, with registers or of oblong images cannot be imported."
            )
        fixed = sincos_position(side, side, width)[:, int(token == "mean") :] if width % 4 == 0 else None
        same = fixed is not None and fixed.shape == table.shape and torch.allclose(table.float(), fixed, atol=1e-4)
        position = "sincos" if same else "learned"
    if size not in (None, side * patch):
        raise WorkbenchError(f"The network in {where} takes images of {side * patch} px; leave out --image-size.")
    if heads is None:
        raise WorkbenchError(
            f"The number of attention heads of the ViT in {where} does not follow from its tensors; give --heads "
            f"(at width {width} DeiT has {max(width // 64, 1)}, MoCo v3 12)."
        )
    if heads < 1 or width % heads:
        raise WorkbenchError(f"--heads {heads} does not divide the width {width} of the ViT in {where}; give another.")
    settings = {
        "backbone": "vit",
        "patch": patch,
        "width": width,
        "depth": depth,
        "heads": heads,
        "stem": "patch" if single else "conv",
        "position": position,
        "token": token,
        "mlp_norm": "batch" if "blocks.0.norm2.running_mean" in state else "layer",
    }
    return Architecture(settings, ImageSpec(convolutions[0].shape[1], side * patch))


def _resnet(state: Mapping[str, Tensor], size: int | None, where: str) -> Architecture:
    stages = [[name for name in state if re.match(rf"layer{n}\.\d+\.conv1\.weight", name)] for n in (1, 2, 3, 4)]
    blocks, deep = tuple(map(len, stages)), "layer1.0.conv3.weight" in state
    name = RESNETS.get((*blocks, deep))
    if name is None:
        kind = "bottleneck" if deep else "basic"
        raise WorkbenchError(
            f"The ResNet in {where} has {', '.join(map(str, blocks))} {kind} blocks; ResNet-18 and ResNet-50 "
            "can be imported."
        )
    stem = state["conv1.weight"]
    small = stem.shape[-1] == 3  # the workbench's stem for images of at most SMALL pixels
    size = size or (SMALL_SIZE if small else PUBLISHED_SIZE)
    if small != (size <= SMALL):
        raise WorkbenchError(
            f"The ResNet in {where} has the stem for images of {'at most' if small else 'more than'} {SMALL} px; "
            f"give another --image-size than {size}."
        )
    return Architecture({"backbone": name}, ImageSpec(stem.shape[1], size))


def fitted(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], where: str, what: str) -> State:
    """The tensors as float32, if they are exactly those of a network.

    BatchNorm's counters, which older files lack and nothing reads, become 0.

    Args:
        expected: the network's own tensors; only their shapes matter.
        where, what: the file and the network, for error messages.

    Raises:
        WorkbenchError: names or shapes differ; the message names the first.
    """
    state = dict(state)
    for name in expected:
        if name.endswith("num_batches_tracked"):
            state.setdefault(name, torch.zeros((), dtype=torch.int64))
    wrong = []
    for name in [*expected, *(name for name in state if name not in expected)]:
        if name not in state:
            wrong.append(f"{name} {tuple(expected[name].shape)} is missing")
        elif name not in expected:
            wrong.append(f"{name} {tuple(state[name].shape)} has no place")
        elif state[name].shape != expected[name].shape:
            wrong.append(f"{name} is {tuple(state[name].shape)}, not {tuple(expected[name].shape)}")
    if wrong:
        more = f", and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        raise WorkbenchError(
            f"The weights in {where} are not those of {what}: {'; '.join(wrong[:NAMED])}{more}; such a network cannot "
            "be imported."
        )
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
