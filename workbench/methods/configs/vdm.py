"""The configuration of ``vdm``."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from workbench.config import Range
from workbench.methods.configs._continuous import ContinuousConfig


@dataclass(frozen=True, kw_only=True)
class VDMConfig(ContinuousConfig):
    """VDM's own options."""

    schedule: Literal["linear", "learned"] = "linear"
    """gamma(t): a line, or a monotone network that is trained."""
    learn_ends: bool = True
    """Train the noise levels at both ends on the bound."""
    variance_gradient: bool = True
    """Train the learned schedule between its ends to lower the variance of the bound, which does not depend on it."""
    gamma_low: float | None = None
    """-ln SNR at t = 0, to begin with; by default -2 ln(3 levels), -13.3 for 256 levels."""
    gamma_high: float = 5.0
    """-ln SNR at t = 1, to begin with."""
    likelihood_steps: Annotated[int | None, Range(1)] = None
    """Steps T of the bound that is evaluated; by default continuous time."""
    likelihood_draws: Annotated[int, Range(1)] = 16
    """Noise levels per image at which the diffusion term is evaluated; T of T steps is all of them."""
    sampler: Literal["ancestral", "ddim"] = "ancestral"
    """Default sampler."""

    @classmethod
    def presets(cls, size: int) -> dict[str, dict[str, Any]]:
        presets = super().presets(size)
        cpu = {"learn_ends": False}
        published = {"optim.weight_decay": 0.01, "optim.decay_vectors": False, "optim.warmup_epochs": 0.0}
        return {"cpu": presets["cpu"] | cpu, "published": presets["published"] | published}
