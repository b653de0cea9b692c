"""The configuration of an imported encoder."""

from dataclasses import dataclass

from workbench.config import TrainConfig
from workbench.networks.options import (
    EncoderOptions,
)


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(EncoderOptions, TrainConfig):
    """An imported encoder's architecture and normalisation."""

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    """Mean of each channel that is subtracted from pixels in [0, 1]."""
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    """Standard deviation of each channel by which they are then divided."""
