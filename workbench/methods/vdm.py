"""Variational diffusion: a diffusion model trained on its bound on the likelihood, in continuous time.

Kingma, Salimans, Poole and Ho, "Variational Diffusion Models", NeurIPS 2021 (arXiv 2107.00630). A pixel's level k of L
is x = 2 (k + 1/2) / L - 1, and x_t = a x + s eps with gamma(t) = -ln SNR from gamma_0 to gamma_1. The loss is the
negative bound in bits per dimension, its terms in nats

    prior            KL(q(x_1 | x) || N(0, 1))
    reconstruction   E -ln p(x | x_0), a softmax over the levels                                   (section 3.3)
    diffusion        1/2 E_{t, eps} gamma'(t) | eps - eps_theta(x_t, gamma(t)) |^2                 (equation 17)

with times spread evenly over a batch, and Fourier features of x_t whose periods are one and two levels (their n = 7 and
6 for L = 256). The schedule is a line or a monotone network, and its ends can be learned from the bound. Averaged
weights draw, reconstruct and encode. Our U-Net halves the images, as DDPM's does; theirs keeps their side.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor

from workbench.config import Range
from workbench.data import keyed
from workbench.data.augment import Augmentation, plain
from workbench.errors import WorkbenchError, unknown
from workbench.methods.base import Batch, ImageSpec, Layer, Step
from workbench.methods.capabilities import Denoises, Likelihood, ReadsAtNoiseLevels, Reconstructs, Samples
from workbench.networks.denoiser import (
    LAYER_STEPS,
    AveragedCopy,
    Denoiser,
    DenoiserConfig,
    check_drawn,
    check_steps,
    gamma_of_step,
    reconstruction_levels,
)
from workbench.probability import diffusion
from workbench.probability.noise_schedule import NoiseSchedule, antithetic_times, gradient_of_variance
from workbench.probability.observation import level_index

DEFAULT_STEPS = {"ancestral": 250, "ddim": 50}
FULL_DRAWS = 128  # noise levels that stand for all in continuous time


@dataclass(frozen=True, kw_only=True)
class VDMConfig(DenoiserConfig):
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
    """Default way of drawing samples."""

    @classmethod
    def presets(cls, size: int) -> dict[str, dict[str, Any]]:
        presets = super().presets(size)
        cpu = {"learn_ends": False}
        published = {"optim.weight_decay": 0.01, "optim.decay_vectors": False, "optim.warmup_epochs": 0.0}
        return {"cpu": presets["cpu"] | cpu, "published": presets["published"] | published}


class VDM(ReadsAtNoiseLevels, Reconstructs, Samples, Denoises, Likelihood):
    """Denoising U-Net, noise schedule and averaged weights of the U-Net.

    Pixels are scaled to x = 2 (k + 1/2) / L - 1 for level k of L, without dequantisation: each level gets a mass.

    Features: as DDPM's, pooled outputs (B, width) of the middle and of each upward block at each of ``feature_steps``,
    such as ``up_1@t=100``, where t names the noise of DDPM's step; noise depends on the image alone.
    """

    weights = "EMA weights"
    prediction: diffusion.Prediction = "eps"
    likelihood_kind: ClassVar[str] = "lower bound"

    def __init__(self, config: VDMConfig, images: ImageSpec) -> None:
        super().__init__(config, images)
        self.config, self.images = config, images
        self.low = -2 * math.log(3 * images.levels) if config.gamma_low is None else config.gamma_low
        self.high = config.gamma_high
        if self.low >= self.high:
            raise WorkbenchError(
                f"--gamma-low must be below --gamma-high, not {self.low:g} and {self.high:g}: noise grows with time."
            )
        frequencies = (images.levels / 4, images.levels / 2)
        self.denoiser = Denoiser(config, images.size, images.channels, self.low, self.high, frequencies)
        self.ema = AveragedCopy(self.denoiser, config.ema)
        self.schedule = NoiseSchedule(self.low, self.high, config.schedule == "learned", config.learn_ends)
        self.window = diffusion.level_window(self.schedule.highest_low, images.levels)
        self.first_block, self.last_block = "denoiser.unet.conv_in", "denoiser.unet.up_blocks.-1"
        self.default_feature = f"up_{min(1, len(config.widths) - 1)}@t={config.feature_steps[0]}"
        self.levels = tuple(sorted({*LAYER_STEPS, *config.feature_steps}))
        steps, draws = config.likelihood_steps, config.likelihood_draws
        self.likelihood_note = (
            "Variational bound on the mass of each pixel's level, without dequantisation, "
            f"{'in continuous time' if steps is None else f'of {steps:,} steps'}."
        )
        self.likelihood_sampled = draws < (FULL_DRAWS if steps is None else steps)
        self.likelihood_drawn = f"The diffusion term is estimated without bias from {draws} noise levels per image."
        if steps is None:
            self.likelihood_in_full = (
                f"The diffusion term, an integral, is estimated without bias from {FULL_DRAWS} evenly spread noise "
                "levels per image."
            )
        else:
            self.likelihood_in_full = f"The diffusion term is the sum over all {steps:,} steps."
            if not self.likelihood_sampled:
                self.likelihood_drawn = self.likelihood_in_full

    @classmethod
    def augmentations(cls, config: VDMConfig, images: ImageSpec) -> tuple[Augmentation, ...]:
        return (plain(images.size, config.flip),)

    def scaled(self, images: Tensor) -> Tensor:
        """x (B, C, H, W) in (-1, 1) of images in [0, 1], which may lie between the levels."""
        return diffusion.bin_middles(images, self.images.levels)

    def pictures(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] of x, the inverse of :meth:`scaled`; not rounded to levels."""
        return diffusion.pictures(x, self.images.levels)

    def ends(self, index: Tensor, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The prior's and the reconstruction's nats (B,) of levels, their values x and noise at t = 0, (B, C, H, W)."""
        first, last = self.schedule.ends()
        return diffusion.prior_kl(x, last), diffusion.level_nll(index, noise, first, self.images.levels, self.window)

    def forward(self, batch: Batch, progress: float) -> Step:
        index = level_index(batch.views[0], self.images.levels)
        x = diffusion.level_values(self.images.levels, index.device)[index]
        first_noise, noise = (
            keyed.normal(keyed.fork(batch.keys, stream), *x.shape[1:]) for stream in ("first noise", "noise")
        )
        n, n_slope = self.schedule.between(antithetic_times(batch.keys))
        gamma, slope = self.schedule.scaled(n, n_slope)
        predicted = self.denoiser(diffusion.noised(x, noise, gamma), gamma).float()
        squared = (noise - predicted).square().flatten(1).sum(dim=1)
        diffused = diffusion.rate_weight(gamma, slope, "eps") * squared
        if self.config.variance_gradient:
            for made in (n, n_slope):
                gradient_of_variance(made, diffused)
        prior, reconstruction = self.ends(index, x, first_noise)
        unit = 1 / (x[0].numel() * math.log(2))  # nats to bits per dimension
        bound = unit * (prior + reconstruction + diffused)
        with torch.no_grad():
            first, last = self.schedule.ends()
            terms = {"prior": prior, "reconstruction": reconstruction, "diffusion": diffused}
            logs = {f"{name}_bits_per_dim": unit * term.mean().detach() for name, term in terms.items()}
            logs["bound_variance"] = bound.detach().var(correction=0)
            logs |= {"gamma_low": first.clone(), "gamma_high": last.clone()}
            logs["mse"] = squared.detach().mean() / x[0].numel()
        return Step(bound.mean(), logs)

    def after_step(self, progress: float) -> None:
        self.ema.follow(self.denoiser)

    # Features

    def _read(self, images: Tensor, step: int, noise: Tensor) -> dict[Layer, Tensor]:
        """Features at every depth of images (B, C, H, W) in [0, 1] under this noise at one named level."""
        gamma = self._known(torch.full((), gamma_of_step(step), device=images.device))
        x = diffusion.noised(self.scaled(images), noise, gamma)
        network = self.ema.module
        assert isinstance(network, Denoiser)
        found = network.features(x, gamma)
        return {Layer(f"{name}@t={step}", name, depth, t=step): found[name] for depth, name in enumerate(found)}

    def _known(self, gamma: Tensor) -> Tensor:
        """Noise levels, any shape, brought between the ends that are learned: the network knows no others."""
        first, last = (end.detach() for end in self.schedule.ends())
        return gamma.float().clamp(first, last)

    # Drawing

    def reconstruct(self, images: Tensor, keys: Tensor, default_only: bool = False) -> dict[str, Tensor]:
        noise = keyed.normal(keyed.fork(keys, "reconstruct"), *images.shape[1:])
        drawn = {}
        for step in self.config.reconstruct_steps[: 1 if default_only else None]:
            levels = self._known(torch.tensor(reconstruction_levels(step, self.low, self.high), device=images.device))
            x = diffusion.noised(self.scaled(images), noise, levels[0])
            drawn[f"t={step}"] = self._drawn(self._ddim(x, levels), levels[-1], "ddim")
        return drawn

    def sample(self, n: int, seed: int, steps: int | None = None, sampler: str | None = None) -> Tensor:
        name = sampler or self.config.sampler
        if name not in DEFAULT_STEPS:
            raise unknown("sampler", name, DEFAULT_STEPS)
        steps = DEFAULT_STEPS[name] if steps is None else steps
        check_steps(steps)
        device = self.schedule.width.device
        keys = keyed.sample_keys(seed, 0, torch.arange(n, device=device))
        shape = (self.images.channels, self.images.size, self.images.size)
        levels = self.schedule(torch.linspace(1, 0, steps + 1, device=device))[0]
        x = keyed.normal(keys, *shape)
        if name == "ddim":
            x = self._ddim(x, levels)
        else:
            for index in range(steps):
                noise = keyed.normal(keyed.fork(keys, index), *shape)
                eps = self.ema(x, levels[index]).float()
                x = diffusion.ancestral_step(x, eps, levels[index + 1], levels[index], noise)
        return self._drawn(x, levels[-1], name)

    def _ddim(self, x: Tensor, levels: Tensor) -> Tensor:
        """x at the last of falling noise levels (N,) from x at the first, without noise (Song et al. 2021)."""
        for now, after in pairwise(levels):
            eps = self.ema(x, now).float()
            x = diffusion.noised(diffusion.convert(eps, x, now, "eps", "x0"), eps, after)
        return x

    def _drawn(self, x: Tensor, gamma: Tensor, sampler: str) -> Tensor:
        """Images of x at the last noise level: its most likely level is the nearest one."""
        check_drawn(x, sampler)
        return self.pictures(x / diffusion.amplitudes(gamma)[0])

    # Denoising

    def log_snr(self, t: Tensor) -> Tensor:
        return -self.schedule(t.float())[0].cpu().double()

    def denoise(self, x: Tensor, t: Tensor) -> Tensor:
        return self.ema(x, self.schedule(t.float())[0]).float()

    # Likelihood

    def nats_terms(self, images: Tensor, keys: Tensor) -> dict[str, Tensor]:
        """``prior``, ``reconstruction`` and ``diffusion``, (B,) each; the last from ``likelihood_draws`` levels."""
        return self._bound(images, keys, self.config.likelihood_draws)

    def full_nats_terms(self, images: Tensor, keys: Tensor) -> dict[str, Tensor]:
        """The same from all steps of a bound of T steps, and in continuous time from :data:`FULL_DRAWS` levels."""
        return self._bound(images, keys, self.config.likelihood_steps or FULL_DRAWS)

    def _bound(self, images: Tensor, keys: Tensor, draws: int) -> dict[str, Tensor]:
        """The bound's terms, from at most ``draws`` noise levels per image, evenly spread from a start of its own."""
        index = level_index(images, self.images.levels)
        x = diffusion.level_values(self.images.levels, index.device)[index]
        prior, reconstruction = self.ends(index, x, keyed.normal(keyed.fork(keys, "first noise"), *x.shape[1:]))
        steps = self.config.likelihood_steps
        draws = draws if steps is None else min(draws, steps)
        start = keyed.uniform(keyed.fork(keys, "time"))
        total = torch.zeros_like(prior)
        for draw in range(draws):
            noise = keyed.normal(keyed.fork(keyed.fork(keys, "noise"), draw), *x.shape[1:])
            t = (start + draw) / draws
            if steps is None:
                gamma, slope = self.schedule(t)
                weight = diffusion.rate_weight(gamma, slope, "eps")
            else:
                step = (t * steps).floor().clamp_max(steps - 1)
                before, gamma = (self.schedule(at / steps)[0] for at in (step, step + 1))
                weight = steps * diffusion.step_weight(before, gamma, "eps")
            predicted = self.ema(diffusion.noised(x, noise, gamma), gamma).float()
            total += weight * (noise - predicted).square().flatten(1).sum(dim=1) / draws
        return {"prior": prior, "reconstruction": reconstruction, "diffusion": total}
