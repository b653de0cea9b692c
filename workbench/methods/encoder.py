"""An encoder that was trained elsewhere: it can be read, measured and fine-tuned, and has no loss of its own.

``workbench import`` makes runs of it. Weights that are all of MoCo v3's become a run of that method instead; to call
any other network one would give it heads that it never had.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from workbench.config import TrainConfig
from workbench.data.augment import View, plain
from workbench.errors import WorkbenchError
from workbench.methods.base import Batch, ImageSpec, Layer, Method, Step
from workbench.networks.encoder import EncoderOptions, encoder, features, places

NO_LOSS = (
    "An imported encoder has no loss to train by; start a method from its weights, such as "
    "`workbench train supervised --init RUN`, or fine-tune it with `workbench evaluate RUN --only finetune`."
)


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(EncoderOptions, TrainConfig):
    """What an imported encoder is."""

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    """Mean of each channel that is subtracted from pixels in [0, 1]."""
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    """Standard deviation of each channel by which they are then divided."""


class Encoder(Method):
    """The network alone.

    Features: for a ViT ``class_token`` and ``pooled_patches`` (B, width), for a ResNet ``pooled`` (B, 512 or 2048);
    all layers are these and the stem and blocks or stages before them.
    """

    weights: ClassVar[str] = "imported weights"

    def __init__(self, config: EncoderConfig, images: ImageSpec) -> None:
        super().__init__(config, images)
        self.config = config
        self.backbone, _ = encoder(config, images.channels, images.size)
        self.default_feature = config.default_feature
        self.first_block, self.last_block = (f"backbone.{part}" for part in config.ends)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(config.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(config.std)[:, None, None], persistent=False)

    @classmethod
    def augmentations(cls, config: EncoderConfig, images: ImageSpec) -> tuple[View, ...]:
        return (plain(images.size),)

    def forward(self, batch: Batch, progress: float) -> Step:
        raise WorkbenchError(NO_LOSS)

    def encode(self, images: Tensor, keys: Tensor | None = None) -> dict[str, Tensor]:
        return features(self.backbone, (images - self.mean) / self.std)

    def layers(self, images: Tensor, level: int | None = None) -> dict[Layer, Tensor]:
        found = places(self.backbone, (images - self.mean) / self.std)
        return {Layer(*place): value for place, value in found.items()}
