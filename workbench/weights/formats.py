"""Published files of weights, translated to the workbench's names.

Four kinds are recognised by their keys: MoCo v3's checkpoints of training (``state_dict`` with ``base_encoder.``,
``momentum_encoder.`` and ``predictor.``, under ``module.``) and of its linear probe (``state_dict`` of the encoder
under ``module.``), DeiT's (``model``), and plain mappings of an encoder, as timm and torchvision write them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.networks.options import SIZES

State = dict[str, Tensor]
CLASSIFIERS = ("head.", "head_dist.", "fc.")


@dataclass(frozen=True)
class Weights:
    """The parts of a file, each with its names within the part; a part that the file lacks is empty.

    Attributes:
        kind: of the file, in words.
        encoder: the network that is trained, in timm's names for a ViT and torchvision's for a ResNet.
        projector, predictor, momentum_encoder, momentum_projector: MoCo v3's other parts.
        heads: attention heads, if the file states them.
        classes: outputs of a classifier, which is left out.
    """

    kind: str
    encoder: State
    projector: State = field(default_factory=dict)
    predictor: State = field(default_factory=dict)
    momentum_encoder: State = field(default_factory=dict)
    momentum_projector: State = field(default_factory=dict)
    heads: int | None = None
    classes: int = 0

    @property
    def complete(self) -> bool:
        """Whether all parts of MoCo v3 are there."""
        return bool(self.projector and self.predictor and self.momentum_encoder and self.momentum_projector)


def recognise(content: Mapping[str, Any], where: str) -> Weights:
    """The parts of a file.

    Args:
        content: as read by :func:`workbench.weights.files.read`.
        where: the file, for error messages.

    Raises:
        WorkbenchError: it has no tensors.
    """
    key = next((key for key in ("state_dict", "model") if isinstance(content.get(key), Mapping)), None)
    arch = content.get("arch")
    state = {str(name): value for name, value in (content[key] if key else content).items()}
    state = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    if not state:
        raise WorkbenchError(
            f"The file {where} holds no named tensors, only: {', '.join(map(str, content))[:80]}; give a state_dict."
        )
    if all(name.startswith("module.") for name in state):
        state = _under("module.", state)
    heads = SIZES[size][2] if isinstance(arch, str) and (size := arch.replace("_conv", "")) in SIZES else None
    if any(name.startswith("base_encoder.") for name in state):
        encoder, projector = _headed(_under("base_encoder.", state))
        momentum_encoder, momentum_projector = _headed(_under("momentum_encoder.", state))
        predictor = _under("predictor.", state)
        parts = (encoder, projector, predictor, momentum_encoder, momentum_projector)
        return Weights("MoCo v3's checkpoint", *parts, heads=heads)
    encoder = {name: value for name, value in state.items() if not name.startswith(CLASSIFIERS)}
    classifier = next((state[key] for key in ("head.weight", "fc.weight") if key in state), None)
    kind = "DeiT's checkpoint" if key == "model" else "MoCo v3's linear probe" if key and heads else "state_dict"
    return Weights(kind, _workbench_stem(encoder), heads=heads, classes=0 if classifier is None else len(classifier))


def _under(prefix: str, state: State) -> State:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _headed(state: State) -> tuple[State, State]:
    """An encoder, and the projector in place of its classifier."""
    head = "head." if any(name.startswith("head.") for name in state) else "fc."
    return {name: value for name, value in state.items() if not name.startswith(head)}, _under(head, state)


def _workbench_stem(state: State) -> State:
    """A convolutional stem's names changed from timm's to the workbench's."""

    def name(match: re.Match[str]) -> str:
        return f"patch_embed.proj.{3 * int(match[1]) + (match[2] == 'bn')}."

    pattern = r"^patch_embed\.backbone\.(\d+)\.(conv|bn)\."
    return {re.sub(pattern, name, key): value for key, value in state.items()}


def timm_stem(state: State) -> State:
    """A convolutional stem's names changed from the workbench's to timm's (``HybridEmbed`` of ``ConvStem``)."""

    def name(match: re.Match[str]) -> str:
        stage, place = divmod(int(match[1]), 3)  # convolution, norm, ReLU; the last stage is a convolution
        return f"patch_embed.backbone.{stage}.{('conv', 'bn')[place]}."

    return {re.sub(r"^patch_embed\.proj\.(\d+)\.", name, key): value for key, value in state.items()}
