"""Supervised classification: the baseline that labels give the encoders of MoCo v3.

Touvron, Cord, Douze, Massa, Sablayrolles and Jegou, "Training data-efficient image transformers and distillation
through attention", ICML 2021 (arXiv 2012.12877), which MoCo v3 compares itself with (its table 5). An augmented image x
of class c gives logits z = W encoder(x) + b over C classes, trained by cross-entropy with smoothed labels (Szegedy et
al. 2016):

    L = -sum_k y_k log softmax(z)_k,   y_k = (1 - s) [k = c] + s / C

Of DeiT's recipe the optimiser, schedule, weight decay and smoothing are kept; mixup, CutMix, RandAugment, random
erasing, repeated augmentation and stochastic depth are left out, so its accuracies are not to be expected.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.data.augment import Augmentation, View
from workbench.errors import WorkbenchError
from workbench.methods._recognition import Recognition
from workbench.methods.base import Batch, ImageSpec, Step
from workbench.methods.configs.supervised import UNLABELLED, SupervisedConfig


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
