"""What methods that train an encoder of :mod:`workbench.networks.encoder` share: all but their heads and losses."""

from typing import Any, ClassVar

from torch import Tensor

from workbench.methods.base import ImageSpec, Layer, Method
from workbench.networks.encoder import encoder, features, normalisation, places


class Recognition(Method):
    """An encoder of normalised images, to whose output a method may add a head.

    Features: for a ViT ``class_token`` and ``pooled_patches`` (B, width), for a ResNet ``pooled`` (B, 512 or 2048), for
    convolutions ``embedding`` (B, 4 conv_width), and those of :meth:`heads`. All layers are these and, before them, the
    pooled patches of the stem, class token and pooled patches of each block (the last one read after the final norm, as
    above), or a ResNet's stem and stages, pooled, or the stages of convolutions.

    Args:
        statistics: mean and standard deviation (C, 1, 1) of pixels in [0, 1]; by default ImageNet's.

    Attributes:
        width: of the encoder's output.
        head_reading: :attr:`Layer.reading` of :meth:`heads`; by default that of the encoder's output.
    """

    head_reading: ClassVar[str | None] = None
    mean: Tensor
    std: Tensor

    def __init__(self, config: Any, images: ImageSpec, statistics: tuple[Tensor, Tensor] | None = None) -> None:
        super().__init__(config, images)
        self.backbone, self.width = encoder(config, images.channels, images.size)
        self.default_feature = config.default_feature
        self.first_block, self.last_block = (f"backbone.{part}" for part in config.ends)
        mean, std = normalisation(images.channels) if statistics is None else statistics
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std

    def heads(self, output: Tensor) -> dict[str, Tensor]:
        """Further features (B, D) by name, from the encoder's output (B, width)."""
        return {}

    def encode(self, images: Tensor, keys: Tensor | None = None) -> dict[str, Tensor]:
        values = features(self.backbone, self.normalise(images))
        return values | self.heads(values[self.default_feature])

    def layers(self, images: Tensor, level: int | None = None) -> dict[Layer, Tensor]:
        values = {Layer(*place): value for place, value in places(self.backbone, self.normalise(images)).items()}
        last = next(layer for layer in values if layer.space == self.default_feature)
        reading = self.head_reading or last.reading
        heads = self.heads(values[last]).items()
        return values | {Layer(name, name, last.depth + 1, reading): value for name, value in heads}
