"""What `vdm` and `score` have in common: a U-Net that is told the noise level gamma and predicts the noise.

Noise levels that people choose (``feature_steps``) are named after DDPM's: t is the step of 1000 of its linear schedule
with the same signal-to-noise ratio, so that equal names mean equal noise in these models and in a DDPM with that
schedule, and with no other.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor, nn

from workbench.config import Probability, Range, TrainConfig
from workbench.errors import WorkbenchError
from workbench.networks.momentum import MomentumCopy
from workbench.networks.unet import UNetOptions, unet, unet_presets
from workbench.networks.unet_features import pooled_outputs
from workbench.probability import diffusion

NAMED_STEPS = 1000
LAYER_STEPS = (10, 100, 250, 500)  # where all layers are read, beside ``feature_steps``
RECONSTRUCTION_STRIDE = 50  # of the named steps


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig(UNetOptions, TrainConfig):
    """Options of a U-Net that removes noise, and of what is read and drawn with it."""

    ema: Probability = 0.9999
    """Decay of the averaged weights; it is smaller in the first steps."""
    feature_steps: Annotated[tuple[int, ...], Range(1, NAMED_STEPS)] = (100, 10, 300)
    """Noise levels at which features are read: steps t of DDPM's linear schedule with as much noise."""
    reconstruct_steps: Annotated[tuple[int, ...], Range(1, NAMED_STEPS)] = (100, 250, 500, 750)
    """Noise levels from which images are drawn again, named in the same way."""
    flip: Probability = 0.5
    """Probability of a horizontal flip."""

    @classmethod
    def presets(cls, size: int) -> dict[str, dict[str, Any]]:
        return unet_presets(size)


def gamma_of_step(step: int) -> float:
    """The noise level gamma at a step from 1 to 1000 of DDPM's linear schedule, in its continuous limit."""
    return float(diffusion.gamma_linear_beta(torch.tensor(step / NAMED_STEPS, dtype=torch.float64, device="cpu")))


class Denoiser(nn.Module):
    """eps (B, C, H, W) in x_t = a x0 + s eps, of variance about 1, at noise levels gamma (B,).

    The U-Net's output is added to x_t (Kingma et al. 2021, published code), the best guess at pure noise.

    Args:
        low, high: noise levels between which it is used: the embedding of gamma is that of steps 0 … 1000 between them.
        frequencies: f of what the U-Net sees of x_t beside it: sin and cos of 2 pi f x_t (Kingma et al. 2021,
            appendix C, with f = 2^n). Weights on them start at 0: they make eps a steep function of x_t.
    """

    def __init__(
        self,
        config: DenoiserConfig,
        size: int,
        channels: int,
        low: float,
        high: float,
        frequencies: tuple[float, ...] = (),
    ) -> None:
        super().__init__()
        self.low, self.high, self.frequencies = low, high, frequencies
        self.unet = unet(size, channels, tuple(config.widths), config.layers, config.attention_size, config.dropout)
        if frequencies:
            inputs = channels * (1 + 2 * len(frequencies))
            network = UNet2DModel.from_config(dict(self.unet.config) | {"in_channels": inputs})
            assert isinstance(network, UNet2DModel)
            self.unet = network
            torch.nn.init.zeros_(network.conv_in.weight[:, channels:])

    def forward(self, x: Tensor, gamma: Tensor) -> Tensor:
        angles = [2 * math.pi * frequency * x for frequency in self.frequencies]
        seen = torch.cat([x, *(angle.sin() for angle in angles), *(angle.cos() for angle in angles)], dim=1)
        steps = 1000 * (gamma - self.low) / (self.high - self.low)
        return x + self.unet(seen, steps.expand(len(x))).sample.to(x.dtype)

    def features(self, x: Tensor, gamma: Tensor) -> dict[str, Tensor]:
        """Pooled outputs (B, width) of the U-Net's blocks, in order through it, for x_t at gamma, a scalar."""
        return pooled_outputs(self.unet, lambda: self(x, gamma))


class AveragedCopy(MomentumCopy):
    """Exponentially averaged weights, for drawing, reading and evaluating.

    Args:
        decay: at most ``(1 + n) / (10 + n)`` after n updates, so that the random start is soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        super().__init__(module)
        self.decay, self._updates = decay, 0
        self.updates: Tensor
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_load_state_dict_post_hook(AveragedCopy._resume)  # not self's, which a copy would keep

    def _resume(self, _keys: object) -> None:
        self._updates = int(self.updates)

    def follow(self, module: nn.Module) -> None:
        """One update towards ``module``."""
        self._updates += 1
        self.updates += 1
        self.update(module, min(self.decay, (1 + self._updates) / (10 + self._updates)))


def reconstruction_levels(step: int, low: float, high: float) -> list[float]:
    """Noise levels from a named step, ``high`` at most, down to ``low``, evenly spread in gamma."""
    start, n = min(max(gamma_of_step(step), low), high), -(-step // RECONSTRUCTION_STRIDE) + 1
    return torch.linspace(start, low, n + 1, dtype=torch.float64).tolist()


def check_steps(steps: int) -> None:
    """Raises a WorkbenchError for a number of sampling steps below 1."""
    if steps < 1:
        raise WorkbenchError(f"The number of sampling steps must be at least 1, not {steps}.")


def check_drawn(x: Tensor, sampler: str) -> None:
    """Raises a WorkbenchError where a sampler ended in numbers that are not finite; call it once, after the loop."""
    broken = int((~torch.isfinite(x)).flatten(1).any(dim=1).sum())
    if broken:
        raise WorkbenchError(
            f"The sampler {sampler} ended in NaN or infinity in {broken} of {len(x)} images; the run's weights have "
            "diverged, so take an earlier checkpoint (--checkpoint best) or train with a smaller --optim.lr."
        )
