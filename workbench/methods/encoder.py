"""An encoder that was trained elsewhere: it can be read, measured and fine-tuned, and has no loss of its own.

``workbench import`` makes runs of it. Weights that are all of MoCo v3's become a run of that method instead; to call
any other network one would add heads that it never had.
"""

from typing import ClassVar

import torch

from workbench.data.augment import View, plain
from workbench.errors import WorkbenchError
from workbench.methods._recognition import Recognition
from workbench.methods.base import Batch, ImageSpec, Step
from workbench.methods.configs.encoder import EncoderConfig

NO_LOSS = (
    "An imported encoder has no loss to train by; start a method from its weights, such as supervised with --init, or "
    "evaluate it with --only finetune."
)


class Encoder(Recognition):
    """The network alone."""

    weights: ClassVar[str] = "imported weights"

    def __init__(self, config: EncoderConfig, images: ImageSpec) -> None:
        mean, std = (torch.tensor(values)[:, None, None] for values in (config.mean, config.std))
        super().__init__(config, images, (mean, std))
        self.config = config

    @classmethod
    def augmentations(cls, config: EncoderConfig, images: ImageSpec) -> tuple[View, ...]:
        return (plain(images.size),)

    def forward(self, batch: Batch, progress: float) -> Step:
        raise WorkbenchError(NO_LOSS)
