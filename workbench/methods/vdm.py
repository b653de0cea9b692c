"""Variational diffusion: a diffusion model trained on its bound on the likelihood, in continuous time.

Kingma, Salimans, Poole and Ho, "Variational Diffusion Models", NeurIPS 2021 (arXiv 2107.00630). A pixel's level k of L
is x = 2 (k + 1/2) / L - 1, and x_t = a x + s eps with gamma(t) = -ln SNR from gamma_0 to gamma_1. The loss is the
negative bound in bits per dimension, its terms in nats

    prior            KL(q(x_1 | x) || N(0, 1))
    reconstruction   E -ln p(x | x_0), a softmax over the levels                                   (section 3.3)
    diffusion        1/2 E_{t, eps} gamma'(t) | eps - eps_theta(x_t, gamma(t)) |^2                 (equation 17)

with times spread evenly over a batch, and Fourier features of x_t whose periods are one and two levels (their n = 7 and
6 for L = 256). The schedule is a line or a monotone network, and its ends can be learned from the bound. Averaged
weights sample, reconstruct and encode. Our U-Net halves the images, as DDPM's does; theirs keeps their side.
"""

import math
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from workbench.data import keyed
from workbench.errors import WorkbenchError
from workbench.methods._continuous import ContinuousDiffusion
from workbench.methods.base import Batch, ImageSpec, Step
from workbench.methods.configs.vdm import VDMConfig
from workbench.probability import diffusion
from workbench.probability.noise_schedule import NoiseSchedule, antithetic_times, gradient_of_variance
from workbench.probability.observation import level_index, level_nll, level_values, level_window

DEFAULT_STEPS: dict[str, int | None] = {"ancestral": 250, "ddim": 50}
FULL_DRAWS = 128  # noise levels that stand for the whole integral in continuous time


class VDM(ContinuousDiffusion):
    """Denoising U-Net, its averaged weights and the noise schedule.

    Pixels are scaled to x = 2 (k + 1/2) / L - 1 for level k of L, without dequantisation: each level gets a mass.
    Features are those of :class:`ContinuousDiffusion`.
    """

    likelihood_kind: ClassVar[str] = "lower bound"
    default_steps, noiseless = DEFAULT_STEPS, "ddim"
    config: VDMConfig

    def __init__(self, config: VDMConfig, images: ImageSpec) -> None:
        low = -2 * math.log(3 * images.levels) if config.gamma_low is None else config.gamma_low
        high = config.gamma_high
        if low >= high:
            raise WorkbenchError(
                f"--gamma-low must be below --gamma-high, not {low:g} and {high:g}: noise grows with time."
            )
        super().__init__(config, images, low, high, frequencies=(images.levels / 4, images.levels / 2))
        self.schedule = NoiseSchedule(low, high, config.schedule == "learned", config.learn_ends)
        self.window = level_window(self.schedule.highest_low, images.levels)
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

    def forward(self, batch: Batch, progress: float) -> Step:
        index = level_index(batch.views[0], self.images.levels)  # (B, C, H, W)
        x = level_values(self.images.levels, index.device)[index]
        streams = [keyed.fork(batch.keys, name) for name in ("first noise", "noise")]
        first_noise, noise = (keyed.normal(keys, *x.shape[1:]) for keys in streams)
        # 1, 2. Prior and reconstruction (B,), at the ends of the schedule.
        prior, reconstruction = self._end_terms(index, x, first_noise)
        # 3. Diffusion (B,), at one time per image.
        n, n_slope = self.schedule.between(antithetic_times(batch.keys))
        gamma, slope = self.schedule.scaled(n, n_slope)
        predicted = self.denoiser(diffusion.noised(x, noise, gamma), gamma).float()
        squared = (noise - predicted).square().flatten(1).sum(dim=1)
        diffused = diffusion.rate_weight(gamma, slope, "eps") * squared
        if self.config.variance_gradient:
            for value in (n, n_slope):
                gradient_of_variance(value, diffused)
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

    def _end_terms(self, index: Tensor, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Prior and reconstruction in nats (B,) of levels, their values x and noise at t = 0, (B, C, H, W)."""
        first, last = self.schedule.ends()
        return diffusion.prior_kl(x, last), level_nll(index, noise, first, self.images.levels, self.window)

    def trained_range(self, gamma: Tensor) -> Tensor:
        first, last = (end.detach() for end in self.schedule.ends())
        return gamma.float().clamp(first, last)

    def log_snr(self, t: Tensor) -> Tensor:
        return -self.schedule(t.float())[0].cpu().double()

    def denoise(self, x: Tensor, t: Tensor) -> Tensor:
        return self.eps(x, self.schedule(t.float())[0])

    # Sampling

    def sample_from(self, x: Tensor, keys: Tensor, sampler: str, steps: int | None) -> Tensor:
        assert steps is not None
        levels = self.schedule(torch.linspace(1, 0, steps + 1, device=x.device))[0]
        if sampler == "ddim":
            x = self.solve(x, levels)
        else:
            for index in range(steps):
                noise = keyed.normal(keyed.fork(keys, index), *x.shape[1:])
                eps = self.eps(x, levels[index])
                x = diffusion.ancestral_step(x, eps, levels[index + 1], levels[index], noise)
        return x / diffusion.amplitudes(levels[-1])[0]  # whose nearest level is the most likely one

    def solve(self, x: Tensor, levels: Tensor) -> Tensor:
        """DDIM without noise (Song et al. 2021, arXiv 2010.02502, equation 12 with sigma = 0)."""
        for gamma_t, gamma_u in pairwise(levels):
            eps = self.eps(x, gamma_t)
            x = diffusion.noised(diffusion.convert(eps, x, gamma_t, "eps", "x0"), eps, gamma_u)
        return x

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
        x = level_values(self.images.levels, index.device)[index]
        prior, reconstruction = self._end_terms(index, x, keyed.normal(keyed.fork(keys, "first noise"), *x.shape[1:]))
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
            predicted = self.eps(diffusion.noised(x, noise, gamma), gamma)
            total += weight * (noise - predicted).square().flatten(1).sum(dim=1) / draws
        return {"prior": prior, "reconstruction": reconstruction, "diffusion": total}
