"""What `vdm` and `score` share: a U-Net that is given the noise level gamma = -ln SNR and predicts the noise.

Their noise schedules, losses, samplers and likelihoods are their own. Noise levels that people choose
(``feature_steps``) are named after DDPM's: t is the step of 1000 of its linear schedule with the same signal-to-noise
ratio, so that equal names mean equal noise in these models and in a DDPM with that schedule, and with no other.
"""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from workbench.data import keyed
from workbench.errors import WorkbenchError, unknown
from workbench.methods.base import ImageSpec
from workbench.methods.capabilities import Denoises, Likelihood, ReadsAtNoiseLevels, Reconstructs, Samples
from workbench.methods.configs._continuous import NAMED_STEPS
from workbench.networks.denoiser import Denoiser
from workbench.networks.momentum import AveragedCopy
from workbench.probability import diffusion
from workbench.probability.fixed_schedules import gamma_linear_beta
from workbench.probability.observation import bin_middles, from_bin_middles

LAYER_STEPS = (10, 100, 250, 500)  # at which all layers are read, beside ``feature_steps``
RECONSTRUCTION_STRIDE = 50  # of the named steps


def gamma_of_step(step: int) -> float:
    """gamma at a step from 1 to 1000 of DDPM's linear schedule, in its continuous limit."""
    return float(gamma_linear_beta(torch.tensor(step / NAMED_STEPS, dtype=torch.float64, device="cpu")))


class ContinuousDiffusion(ReadsAtNoiseLevels, Reconstructs, Samples, Denoises, Likelihood):
    """Denoising U-Net and its averaged weights, which sample, reconstruct, encode and evaluate.

    Features: pooled outputs (B, width) of the middle and of each upward block at each of ``feature_steps``, such as
    ``up_1@t=100``, as DDPM's; noise depends on the image alone.

    Args:
        low, high: gamma at the clean and at the noisy end.
        frequencies: of Fourier features of x_t (:class:`Denoiser`).

    Attributes:
        default_steps: steps of each sampler, None where it chooses them itself.
        noiseless: the sampler without noise, by which :meth:`solve` reconstructs.
    """

    weights = "EMA weights"
    prediction: diffusion.Prediction = "eps"
    first_block, last_block = "denoiser.unet.conv_in", "denoiser.unet.up_blocks.-1"
    default_steps: ClassVar[dict[str, int | None]]
    noiseless: ClassVar[str]

    def __init__(
        self, config: Any, images: ImageSpec, low: float, high: float, frequencies: tuple[float, ...] = ()
    ) -> None:
        super().__init__(config, images)
        self.config, self.images, self.low, self.high = config, images, low, high
        self.denoiser = Denoiser(config, images.size, images.channels, low, high, frequencies)
        self.ema = AveragedCopy(self.denoiser, config.ema)
        self.default_feature = f"up_{min(1, len(config.widths) - 1)}@t={config.feature_steps[0]}"
        self.levels = tuple(sorted({*LAYER_STEPS, *config.feature_steps}))

    def after_step(self, progress: float) -> None:
        self.ema.follow(self.denoiser)

    def scaled(self, images: Tensor) -> Tensor:
        """x0 (B, C, H, W) of images in [0, 1], which may lie between the levels: middles of equal bins of [-1, 1]."""
        return bin_middles(images, self.images.levels)

    def pictures(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] of x0, the inverse of :meth:`scaled`; not rounded to levels."""
        return from_bin_middles(x, self.images.levels)

    def eps(self, x: Tensor, gamma: Tensor) -> Tensor:
        """The averaged weights' prediction of the noise in x_t (B, C, H, W) at gamma, a scalar or (B,)."""
        return self.ema(x, gamma).float()

    def trained_range(self, gamma: Tensor) -> Tensor:
        """gamma, any shape, clamped to the levels that the network was trained at."""
        return gamma.float().clamp(self.low, self.high)

    def block_features(self, images: Tensor, step: int, noise: Tensor) -> dict[str, Tensor]:
        gamma = self.trained_range(torch.full((), gamma_of_step(step), device=images.device))
        network = self.ema.module
        assert isinstance(network, Denoiser)
        return network.features(diffusion.noised(self.scaled(images), noise, gamma), gamma)

    def reconstruct(self, images: Tensor, keys: Tensor, default_only: bool = False) -> dict[str, Tensor]:
        noise = keyed.normal(keyed.fork(keys, "reconstruct"), *images.shape[1:])
        reconstructions = {}
        for step in self.config.reconstruct_steps[: 1 if default_only else None]:
            first, n = min(max(gamma_of_step(step), self.low), self.high), -(-step // RECONSTRUCTION_STRIDE) + 1
            levels = torch.linspace(first, self.low, n + 1, dtype=torch.float64, device="cpu")
            levels = self.trained_range(levels.float().to(images.device))
            x = self.solve(diffusion.noised(self.scaled(images), noise, levels[0]), levels)
            check_finite(x, self.noiseless)
            reconstructions[f"t={step}"] = self.pictures(x / diffusion.amplitudes(levels[-1])[0])
        return reconstructions

    @abstractmethod
    def solve(self, x: Tensor, levels: Tensor) -> Tensor:
        """x (B, C, H, W) at the last of falling noise levels (N,) from x at the first, without noise."""

    def sample(self, n: int, seed: int, steps: int | None = None, sampler: str | None = None) -> Tensor:
        """As in :class:`Samples`; without a number of steps it is that of :attr:`default_steps`."""
        name = sampler or self.config.sampler
        if name not in self.default_steps:
            raise unknown("sampler", name, self.default_steps)
        steps = self.default_steps[name] if steps is None else steps
        if steps is not None and steps < 1:
            raise WorkbenchError(f"The number of sampling steps must be at least 1, not {steps}.")
        keys = keyed.sample_keys(seed, 0, torch.arange(n, device=self.ema.updates.device))
        x = keyed.normal(keys, self.images.channels, self.images.size, self.images.size)
        x = self.sample_from(x, keys, name, steps)
        check_finite(x, name)
        return self.pictures(x)

    @abstractmethod
    def sample_from(self, x: Tensor, keys: Tensor, sampler: str, steps: int | None) -> Tensor:
        """x0 (B, C, H, W) in the units of :meth:`scaled`, by a sampler from x ~ N(0, 1) at the highest noise level."""


def check_finite(x: Tensor, sampler: str) -> None:
    """Raises a WorkbenchError where a sampler ended in numbers that are not finite; call it once, after the loop."""
    broken = int((~torch.isfinite(x)).flatten(1).any(dim=1).sum())
    if broken:
        raise WorkbenchError(
            f"The sampler {sampler} ended in NaN or infinity in {broken} of {len(x)} images; the run's weights have "
            "diverged, so take an earlier checkpoint (--checkpoint best) or train with a smaller --optim.lr."
        )
