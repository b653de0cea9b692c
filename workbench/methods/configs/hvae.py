"""The configuration of ``hvae``."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from workbench.config import AUGMENTATION, MODEL, Probability, Range, TrainConfig
from workbench.probability.names import ObservationName


@dataclass(frozen=True, kw_only=True)
class HVAEConfig(TrainConfig):
    """The hierarchical VAE's own options."""

    groups: Annotated[int, MODEL, Range(1)] = 4
    """Groups of latent variables, at the side of the images halved once, twice, and so on."""
    latent_channels: Annotated[int, MODEL, Range(1)] = 8
    """Latent variables at each position of a group."""
    width: Annotated[int, MODEL, Range(1)] = 64
    """Channels of the networks, a multiple of 8."""
    blocks: Annotated[int, MODEL, Range(1)] = 2
    """Residual blocks at each resolution, on the way up and on the way down."""
    observation: ObservationName = "logistic"
    """Distribution of a pixel given the decoder's output; bernoulli takes grey images of at most 17 levels."""
    kl_warmup: Probability = 0.2
    """Part of the training in which the weight of the KL terms rises from 0 to 1."""
    free_bits: Annotated[float, Range(0)] = 2.0
    """Nats of KL that each group costs at least in training, below which nothing pulls it to the prior."""
    flip: Annotated[Probability, AUGMENTATION] = 0.0
    """Probability of a horizontal flip."""

    @classmethod
    def presets(cls, size: int) -> dict[str, dict[str, Any]]:
        groups = min(3 if size < 64 else 4, int(math.log2(size)))
        common = {"optim.scale_lr": False, "optim.weight_decay": 0.0, "optim.clip": 100.0}
        return {
            "cpu": {
                **common,
                "groups": groups,
                "latent_channels": 4,
                "width": 32 if size <= 16 else 16,
                "blocks": 1,
                "epochs": 60 if size <= 16 else 10,
                "batch_size": 128,
                "optim.lr": 2e-3,
                "optim.warmup_epochs": 0.5,
            },
            "published": {
                **common,
                "groups": min(groups + 1, int(math.log2(size))),
                "width": 128,
                "epochs": 400,
                "batch_size": 128,
                "optim.lr": 1e-3,
                "optim.warmup_epochs": 5.0,
            },
        }
