"""The configuration of ``vae``."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from workbench.config import AUGMENTATION, MODEL, Probability, Range, TrainConfig
from workbench.errors import WorkbenchError
from workbench.networks.options import fitting_patch, published_patch
from workbench.probability.names import ObservationName


@dataclass(frozen=True, kw_only=True)
class VAEConfig(TrainConfig):
    """The VAE's own options."""

    latent_dim: Annotated[int, MODEL, Range(1)] = 128
    """Dimensions of the latent vector."""
    width: Annotated[int, MODEL, Range(1)] = 64
    """Channels of the first convolution, a multiple of 8; deeper ones have up to four times as many."""
    network: Annotated[Literal["conv", "vit"], MODEL] = "conv"
    """Encoder and decoder: convolutions, or the ViT that mocov3 trains and its mirror."""
    patch: Annotated[int, MODEL, Range(1)] = 4
    """Side of a ViT's patch in pixels."""
    vit_width: Annotated[int, MODEL, Range(1)] = 192
    """Width of the ViT."""
    depth: Annotated[int, MODEL, Range(1)] = 12
    """Blocks of the ViT, as many in the decoder."""
    heads: Annotated[int, MODEL, Range(1)] = 3
    """Attention heads of the ViT."""
    observation: ObservationName = "gaussian"
    """Distribution of a pixel given the decoder's output; bernoulli takes grey images of at most 17 levels."""
    beta: Annotated[float, Range(0)] = 1.0
    """Weight of the KL term in training; the bound on the likelihood that is evaluated has weight 1."""
    kl_warmup: Probability = 0.0
    """Part of the training in which the weight of the KL term rises from 0 to beta."""
    free_bits: Annotated[float, Range(0)] = 0.0
    """Nats of KL that each latent dimension costs at least, below which nothing pulls it to the prior."""
    noise: Annotated[float | None, Range(above=0)] = None
    """Standard deviation of a gaussian observation for pixels in [-1, 1]; learned by default."""
    conditional: bool = False
    """Give encoder and decoder the label; the model can then classify."""
    flip: Annotated[Probability, AUGMENTATION] = 0.0
    """Probability of a horizontal flip."""

    def for_classes(self, classes: int | None, data: str) -> Self:
        if self.conditional and classes is None:
            raise WorkbenchError(f"The training images of {data} have no labels; leave out --conditional.")
        return self

    @classmethod
    def presets(cls, size: int) -> dict[str, dict[str, Any]]:
        common = {"optim.lr": 1e-3, "optim.scale_lr": False, "optim.weight_decay": 0.0, "optim.clip": 100.0}
        return {
            "cpu": {
                **common,
                "latent_dim": 32 if size >= 16 else 8,
                "width": 16,
                "patch": fitting_patch(size),
                "vit_width": 128,
                "depth": 3,
                "heads": 4,
                "epochs": 20,
                "batch_size": 128,
                "optim.warmup_epochs": 0.5,
            },
            "published": {
                **common,
                "patch": published_patch(size),
                "vit_width": 384,
                "heads": 12,
                "epochs": 200,
                "batch_size": 256,
                "optim.warmup_epochs": 5.0,
            },
        }
