"""Supervised classification: the baseline that labels give the encoders of MoCo v3.

Touvron, Cord, Douze, Massa, Sablayrolles and Jegou, "Training data-efficient image transformers and distillation
through attention", ICML 2021 (arXiv 2012.12877), which MoCo v3 compares itself with (its table 5). An augmented image x
of class c gives logits z = W encoder(x) + b over C classes, trained by cross-entropy with smoothed labels (Szegedy et
al. 2016):

    L = -sum_k y_k log softmax(z)_k,   y_k = (1 - s) [k = c] + s / C

Of DeiT's recipe the optimiser, schedule, weight decay and smoothing are kept; mixup, CutMix, RandAugment, random
erasing, repeated augmentation and stochastic depth are left out, so its accuracies are not to be expected.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Self

import torch
import torch.nn.functional as F
from cyclopts import Parameter
from torch import Tensor, nn

from workbench.config import Probability, Range, TrainConfig
from workbench.data.augment import Augmentation, View
from workbench.errors import WorkbenchError
from workbench.methods._recognition import Recognition
from workbench.methods.base import Batch, ImageSpec, Step
from workbench.networks.encoder import EncoderOptions, recognition_presets

UNLABELLED = "choose images with classes, such as a folder with one folder per class, or another method"


@dataclass(frozen=True, kw_only=True)
class SupervisedConfig(EncoderOptions, TrainConfig):
    """The classifier's own options."""

    classes: Annotated[int, Range(1), Parameter(show=False)] = 1000
    """Classes to tell apart; always those of the data."""
    smoothing: Annotated[float, Range(0, below=1)] = 0.1
    """Part of a label that is spread evenly over all classes."""
    crop_min: Annotated[float, Range(above=0, high=1)] = 0.08
    """Smallest part of the image's area that a crop may have."""
    flip: Probability = 0.5
    """Probability of a horizontal flip."""
    jitter: Probability = 0.8
    """Probability of colour jitter (brightness and contrast .4, saturation .2, hue .1)."""
    grey: Probability = 0.0
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


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy in nats with smoothed labels, the mean over images.

    Args:
        logits: (B, C).
        labels: (B,) int64.
        smoothing: part of a label that is spread evenly over all classes, its own included.
    """
    with torch.autocast(logits.device.type, enabled=False):
        dtype = torch.promote_types(logits.dtype, torch.float32)  # at least
        return F.cross_entropy(logits.to(dtype), labels, label_smoothing=smoothing)


class Supervised(Recognition):
    """Encoder and linear classifier.

    Features: the encoder's, as in :class:`Recognition`, and ``logits`` (B, classes).
    """

    head_reading = "vector"

    def __init__(self, config: SupervisedConfig, images: ImageSpec) -> None:
        super().__init__(config, images)
        self.config = config
        self.classifier = nn.Linear(self.width, config.classes)
        nn.init.trunc_normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)

    @classmethod
    def augmentations(cls, config: SupervisedConfig, images: ImageSpec) -> tuple[View, ...]:
        colour = partial(Augmentation, jitter=config.jitter, grey=config.grey)
        return (colour(size=images.size, crop_min=config.crop_min, flip=config.flip),)

    def forward(self, batch: Batch, progress: float) -> Step:
        if batch.labels is None:
            raise WorkbenchError(f"The images of this batch have no labels to learn from; {UNLABELLED}.")
        (images,) = batch.views
        logits = self.classifier(self.backbone(self.normalise(images)))  # (B, classes)
        loss = smoothed_cross_entropy(logits, batch.labels, self.config.smoothing)
        correct = (logits.detach().argmax(dim=1) == batch.labels).float().mean()
        return Step(loss, {"training_top1": 100 * correct})

    def heads(self, output: Tensor) -> dict[str, Tensor]:
        return {"logits": self.classifier(output)}
