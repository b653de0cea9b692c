"""The configuration of ``mocov3``."""

from dataclasses import dataclass
from typing import Annotated, Any

from workbench.config import AUGMENTATION, MODEL, Probability, Range
from workbench.data.options import TwoViewConfig
from workbench.networks.options import EncoderOptions, recognition_presets


@dataclass(frozen=True, kw_only=True)
class MoCoV3Config(EncoderOptions, TwoViewConfig):
    """MoCo v3's own options."""

    hidden: Annotated[int, MODEL, Range(1)] = 4096
    """Hidden width of projector and predictor."""
    out_dim: Annotated[int, MODEL, Range(1)] = 256
    """Width of the space in which views are compared."""
    head_norm: Annotated[bool, MODEL] = True
    """BatchNorm in projector and predictor."""
    predictor: Annotated[bool, MODEL] = True
    """Predict keys from queries by a head of their own."""
    temperature: Annotated[float, Range(above=0)] = 0.2
    """Softmax temperature tau."""
    momentum: Probability = 0.99
    """Momentum of the key encoder at the start; it rises to 1 by a cosine."""
    crop_min: Annotated[float, AUGMENTATION, Range(above=0, high=1)] = 0.08
    """Smallest part of the image's area that a crop may have."""
    flip: Annotated[Probability, AUGMENTATION] = 0.5
    """Probability of a horizontal flip."""
    jitter: Annotated[Probability, AUGMENTATION] = 0.8
    """Probability of colour jitter (brightness and contrast .4, saturation .2, hue .1)."""
    grey: Annotated[Probability, AUGMENTATION] = 0.2
    """Probability of turning grey."""
    blur: Annotated[tuple[float, float], AUGMENTATION, Range(0, 1)] = (1.0, 0.1)
    """Probability of Gaussian blur in each of the two views."""
    solarise: Annotated[tuple[float, float], AUGMENTATION, Range(0, 1)] = (0.0, 0.2)
    """Probability of solarisation in each of the two views."""

    @classmethod
    def presets(cls, size: int) -> dict[str, dict[str, Any]]:
        presets = recognition_presets(size)
        blur = {"blur": (0.0, 0.0) if size <= 64 else (1.0, 0.1)}
        heads = {"hidden": 512, "out_dim": 128, "batch_size": 256}
        optim = {"optim.lr": 1.5e-4, "optim.warmup_epochs": 40.0}
        return {"cpu": presets["cpu"] | blur | heads, "published": presets["published"] | blur | optim}
