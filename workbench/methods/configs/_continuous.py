"""The options of diffusion in continuous time."""

from dataclasses import dataclass
from typing import Annotated, Any

from workbench.config import AUGMENTATION, Probability, Range, TrainConfig
from workbench.networks.options import UNetOptions, unet_presets

NAMED_STEPS = 1000


@dataclass(frozen=True, kw_only=True)
class ContinuousConfig(UNetOptions, TrainConfig):
    """Options of the U-Net, and of what is read and generated with it."""

    ema: Probability = 0.9999
    """Decay of the averaged weights; it is smaller in the first steps."""
    feature_steps: Annotated[tuple[int, ...], Range(1, NAMED_STEPS)] = (100, 10, 300)
    """Noise levels at which features are read: steps t of DDPM's linear schedule with as much noise."""
    reconstruct_steps: Annotated[tuple[int, ...], Range(1, NAMED_STEPS)] = (100, 250, 500, 750)
    """Noise levels from which images are reconstructed, named in the same way."""
    flip: Annotated[Probability, AUGMENTATION] = 0.5
    """Probability of a horizontal flip."""

    @classmethod
    def presets(cls, size: int) -> dict[str, dict[str, Any]]:
        return unet_presets(size)
