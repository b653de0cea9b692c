"""The configuration of ``supervised``."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

from cyclopts import Parameter

from workbench.config import AUGMENTATION, Probability, Range, TrainConfig
from workbench.errors import WorkbenchError
from workbench.networks.options import (
    EncoderOptions,
    recognition_presets,
)

UNLABELLED = "choose images with classes, such as a folder with one folder per class, or another method"


@dataclass(frozen=True, kw_only=True)
class SupervisedConfig(EncoderOptions, TrainConfig):
    """The classifier's own options."""

    classes: Annotated[int, Range(1), Parameter(show=False)] = 1000
    """Classes to tell apart; always those of the data."""
    smoothing: Annotated[float, Range(0, below=1)] = 0.1
    """Part of a label that is spread evenly over all classes."""
    crop_min: Annotated[float, AUGMENTATION, Range(above=0, high=1)] = 0.08
    """Smallest part of the image's area that a crop may have."""
    flip: Annotated[Probability, AUGMENTATION] = 0.5
    """Probability of a horizontal flip."""
    jitter: Annotated[Probability, AUGMENTATION] = 0.8
    """Probability of colour jitter (brightness and contrast .4, saturation .2, hue .1)."""
    grey: Annotated[Probability, AUGMENTATION] = 0.0
    """Probability of turning grey."""

    def for_classes(self, classes: int | None, data: str) -> Self:
        if classes is None:
            raise WorkbenchError(f"The training images of {data} have no labels to learn from; {UNLABELLED}.")
        return replace(self, classes=classes)

    @classmethod
    def presets(cls, size: int) -> dict[str, dict[str, Any]]:
        presets = recognition_presets(size)
        common = {"frozen_patch": False, "optim.weight_decay": 0.05, "optim.decay_vectors": False}
        optim = {"optim.lr": 2.5e-4, "optim.warmup_epochs": 5.0}  # DeiT's table 9: 5e-4 for a batch of 512
        return {
            "cpu": presets["cpu"] | common | {"batch_size": 128},
            "published": presets["published"] | common | optim,
        }
