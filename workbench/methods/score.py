"""Score matching through a stochastic differential equation, variance-preserving or -exploding.

Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations", ICLR 2021 (arXiv 2011.13456).
Images y in [-1, 1] are noised by dy = f(t) y dt + g(t) dw for t in (0, 1]:

    vp    f = -beta(t) / 2, g^2 = beta(t), beta from 0.1 to 20    y_t = a y + s eps, a^2 = exp(-int beta) = 1 - s^2
    ve    f = 0, g^2 = d sigma^2 / dt, sigma geometric            y_t = y + sigma eps              (equations 11, 9)

A network learns the noise, and with it the score grad ln p_t = -eps_theta / s, by denoising (equation 7, weighted by
s^2). In units in which y_t / sqrt(a^2 + s^2) has variance about 1 both are the variance-preserving process of
workbench/probability/diffusion.py and differ in gamma(t) = ln (s^2 / a^2) alone, so that everything but the marginals
is written once. Samples come from a predictor (ancestral, appendix F) with Langevin steps as corrector (algorithms 4
and 5), or from the probability-flow ODE (equation 13), which with gamma in the place of time is

    dx / dgamma = -1/2 (s^2 x - s eps_theta(x, gamma)),   whose divergence gives the density of an image (equation 39).

Averaged weights sample, reconstruct, encode and evaluate.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from workbench.data import keyed
from workbench.errors import WorkbenchError
from workbench.methods._continuous import ContinuousDiffusion
from workbench.methods.base import Batch, ImageSpec, Step
from workbench.methods.configs.score import ScoreConfig
from workbench.probability import diffusion
from workbench.probability.fixed_schedules import gamma_linear_beta
from workbench.probability.noise_schedule import antithetic_times
from workbench.probability.observation import level_index
from workbench.probability.ode import integrate

FIRST_TIME = 1e-5  # where training and the ODE begin, as published
FIRST_SAMPLED = 1e-3  # where the predictor-corrector ends, as published
DEFAULT_STEPS: dict[str, int | None] = {"pc": 200, "ode": None}  # the ODE's are those of its tolerance
BETA_MIN, BETA_MAX = 0.1, 20.0
LOG_2PI = math.log(2 * math.pi)

Noise = Callable[[Tensor, Tensor], Tensor]


class VP:
    """The variance-preserving SDE; t (B,) or a scalar in (0, 1]."""

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """f(t) and g(t)^2."""
        beta = BETA_MIN + (BETA_MAX - BETA_MIN) * t
        return -0.5 * beta, beta

    def gamma(self, t: Tensor) -> Tensor:
        """ln (s^2 / a^2)."""
        return gamma_linear_beta(t, BETA_MIN, BETA_MAX)

    def scale(self, gamma: Tensor) -> Tensor:
        """sqrt(a^2 + s^2), the unit in which y_t has variance about 1."""
        return torch.ones_like(gamma)


class VE:
    """The variance-exploding SDE, between two standard deviations of the noise."""

    def __init__(self, sigma_min: float, sigma_max: float) -> None:
        self.sigma_min, self.sigma_max = sigma_min, sigma_max

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """f(t) and g(t)^2."""
        return torch.zeros_like(t), self.gamma(t).exp() * 2 * math.log(self.sigma_max / self.sigma_min)

    def gamma(self, t: Tensor) -> Tensor:
        """ln (s^2 / a^2) = 2 ln sigma."""
        return 2 * (math.log(self.sigma_min) + t * math.log(self.sigma_max / self.sigma_min))

    def scale(self, gamma: Tensor) -> Tensor:
        """sqrt(a^2 + s^2), the unit in which y_t has variance about 1."""
        return (1 + gamma.exp()).sqrt()


def flow(x: Tensor, eps: Tensor, gamma: Tensor) -> Tensor:
    """dx/dgamma (B, …) of the probability-flow ODE, for x of variance about 1 and the noise predicted in it at gamma, a
    scalar or (B,)."""
    s = diffusion.amplitudes(diffusion.spread(gamma, x))[1]
    return -0.5 * (s.square() * x - s * eps)


def langevin(x: Tensor, eps: Tensor, gamma: Tensor, noise: Tensor, snr: float) -> Tensor:
    """One corrector step (algorithm 5): x + h score + sqrt(2 h) noise, h = 2 (snr |noise| / |score|)^2.

    Norms are an image's own, not their mean over the batch as in the published code. Its factor 1 - beta of one step,
    which is 1 where the steps are many, is left out.
    """
    score = -eps / diffusion.amplitudes(gamma)[1]
    norms = [part.flatten(1).norm(dim=1) for part in (noise, score)]
    size = diffusion.spread(2 * (snr * norms[0] / norms[1].clamp_min(1e-12)).square(), x)
    return x + size * score + (2 * size).sqrt() * noise


def rademacher(keys: Tensor, *shape: int) -> Tensor:
    """Signs +1 or -1 (B, *shape), of equal probability."""
    return 2.0 * (keyed.uniform(keys, *shape) < 0.5) - 1.0


@contextmanager
def _gradients() -> Iterator[None]:
    """Context: gradients are kept, in inference mode, too."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def solve(
    noise_of: Noise, x: Tensor, start: float, end: float, tolerance: float, probe: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The probability-flow ODE from x (B, …) at one gamma to another, by Runge and Kutta's method of order 5(4).

    Each image has steps of its own (:func:`workbench.probability.ode.integrate`), so that it does not depend on the
    batch.

    Args:
        noise_of: eps (b, …) of some of the images x (b, …) at their gamma (b,).
        start, end: the first and last gamma.
        tolerance: absolute and relative, of an image's root mean square error and, by itself, the divergence's.
        probe: Rademacher signs (B, …), with which the divergence's integral is estimated (Hutchinson).

    Returns:
        x at the end (B, …), the integral of the divergence (B,), which is 0 without a probe.

    Raises:
        WorkbenchError: the numbers became NaN, or too many steps are needed.
    """

    def slope(gamma: Tensor, now: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        if probe is None:
            velocity, divergence = flow(now, noise_of(now, gamma), gamma), torch.zeros_like(gamma)
        else:
            with _gradients():
                now, signs, level = now.clone().requires_grad_(), probe[rows], gamma.clone()
                velocity = flow(now, noise_of(now, level), level)
                (pulled,) = torch.autograd.grad((velocity * signs).sum(), now)
                divergence = (pulled * signs).flatten(1).sum(dim=1)
        broken = ~(torch.isfinite(velocity).flatten(1).all(dim=1) & torch.isfinite(divergence))
        if broken.any():  # else the step would be shortened for ever
            raise WorkbenchError(
                f"The probability-flow ODE met NaN or infinity at gamma = {gamma[broken][0]:.3g}; the run's weights "
                "have diverged, so take an earlier checkpoint (--checkpoint best) or train with a smaller --optim.lr."
            )
        return velocity.detach(), divergence.detach()

    return integrate(slope, x, start, end, tolerance)


class Score(ContinuousDiffusion):
    """Denoising U-Net, its averaged weights and the noising process.

    Pixels are scaled to y = 2 (k + u) / L - 1 for level k of L: u is uniform in [0, 1) in training and in the
    likelihood (uniform dequantisation), and 1/2 elsewhere. The likelihood is the density by the probability-flow ODE
    times the bin's volume (2 / L)^D. The mean of its logarithm over u bounds that of the discrete likelihood from below
    (Jensen); but one u is drawn, the divergence is estimated without bias by one Rademacher vector, and the data are
    taken for y_t at the first time: an estimate of a bound, which single images can exceed.

    Features are those of :class:`ContinuousDiffusion`.
    """

    likelihood_kind: ClassVar[str] = "estimate"
    default_steps, noiseless = DEFAULT_STEPS, "ode"
    config: ScoreConfig

    def __init__(self, config: ScoreConfig, images: ImageSpec) -> None:
        sigma_max = math.sqrt(images.channels) * images.size if config.sigma_max is None else config.sigma_max
        if config.sigma_min >= sigma_max:
            raise WorkbenchError(f"--sigma-min must be below --sigma-max, not {config.sigma_min:g} and {sigma_max:g}.")
        sde = VP() if config.sde == "vp" else VE(config.sigma_min, sigma_max)
        ends = torch.tensor((FIRST_TIME if config.sde == "vp" else 0.0, 1.0), dtype=torch.float64, device="cpu")
        super().__init__(config, images, *sde.gamma(ends).tolist())
        self.sde = sde
        self.likelihood_note = (
            "Density by the probability-flow ODE, solved to an absolute and relative tolerance of "
            f"{config.ode_tolerance:g} a step, with Hutchinson's trace of one Rademacher draw per image, of pixels "
            "dequantised uniformly, by one draw, times the volume of their bins: an estimate of a lower bound "
            "on the likelihood."
        )

    def dequantised(self, images: Tensor, keys: Tensor) -> Tensor:
        """y (B, C, H, W), uniform in the pixel's bin."""
        spot = keyed.uniform(keyed.fork(keys, "bin"), *images.shape[1:])
        return 2 * (level_index(images, self.images.levels) + spot) / self.images.levels - 1

    def forward(self, batch: Batch, progress: float) -> Step:
        (images,) = batch.views
        y = self.dequantised(images, batch.keys) if self.config.dequantise else self.scaled(images)
        noise = keyed.normal(keyed.fork(batch.keys, "noise"), *y.shape[1:])
        t = antithetic_times(batch.keys)
        if self.config.weighting == "likelihood":
            gamma = self.low + (self.high - self.low) * t
        else:
            gamma = self.sde.gamma(FIRST_TIME + (1 - FIRST_TIME) * t)
        predicted = self.denoiser(diffusion.noised(y, noise, gamma), gamma).float()
        squared = (noise - predicted).square().flatten(1).mean(dim=1)
        with torch.no_grad():
            early = gamma < 0
            logs = {"mse_low_noise": (squared * early).sum() / early.sum().clamp_min(1)}
            if self.config.weighting == "likelihood":  # the integral of 1/2 |eps - eps_theta|^2 over gamma
                logs["diffusion_bits_per_dim"] = 0.5 * (self.high - self.low) * squared.mean() / math.log(2)
        return Step(squared.mean(), logs)

    def log_snr(self, t: Tensor) -> Tensor:
        first = FIRST_TIME if self.config.sde == "vp" else 0.0
        return -self.sde.gamma(first + (1 - first) * t.cpu().double())

    def denoise(self, x: Tensor, t: Tensor) -> Tensor:
        return self.eps(x, -self.log_snr(t).float().to(x.device))

    # Sampling

    def sample_from(self, x: Tensor, keys: Tensor, sampler: str, steps: int | None) -> Tensor:
        """``ode`` with a number of steps takes them in equal parts of gamma, by Heun's method."""
        if sampler == "pc":
            assert steps is not None
            levels = self.sde.gamma(torch.linspace(1, FIRST_SAMPLED, steps + 1, device=x.device))
            x = self._predict_and_correct(x, keys, levels)
        elif steps is None:
            levels = torch.tensor((self.high, self.low), device=x.device)
            x = solve(self.eps, x, self.high, self.low, self.config.ode_tolerance)[0]
        else:
            levels = torch.linspace(self.high, self.low, steps + 1, device=x.device)
            x = self.solve(x, levels)
        return diffusion.convert(self.eps(x, levels[-1]), x, levels[-1], "eps", "x0")

    def _predict_and_correct(self, x: Tensor, keys: Tensor, levels: Tensor) -> Tensor:
        """x at the last of falling noise levels (N,): an ancestral step to each, then Langevin steps at it."""
        for index, (gamma_t, gamma_u) in enumerate(pairwise(levels)):
            streams = keyed.fork(keys, index)
            noise = keyed.normal(keyed.fork(streams, "predictor"), *x.shape[1:])
            x = diffusion.ancestral_step(x, self.eps(x, gamma_t), gamma_u, gamma_t, noise)
            for corrector in range(self.config.corrector_steps):
                noise = keyed.normal(keyed.fork(streams, corrector), *x.shape[1:])
                x = langevin(x, self.eps(x, gamma_u), gamma_u, noise, self.config.corrector_snr)
        return x

    def solve(self, x: Tensor, levels: Tensor) -> Tensor:
        """The probability-flow ODE by Heun's method in DDIM's variables: x / a grows by eps times the growth of s / a,
        which is exact where the predicted noise stays the same."""
        for gamma_t, gamma_u in pairwise(levels):
            (a_t, s_t), (a_u, s_u) = diffusion.amplitudes(gamma_t), diffusion.amplitudes(gamma_u)
            growth, first = s_u / a_u - s_t / a_t, self.eps(x, gamma_t)
            second = self.eps(a_u * (x / a_t + growth * first), gamma_u)
            x = a_u * (x / a_t + growth * 0.5 * (first + second))
        return x

    # Likelihood

    def nats_terms(self, images: Tensor, keys: Tensor) -> dict[str, Tensor]:
        first = torch.tensor(self.low, device=images.device, dtype=torch.float32)
        scale = self.sde.scale(first)
        x = self.dequantised(images, keys) / scale
        probe = rademacher(keyed.fork(keys, "trace"), *images.shape[1:])
        last, divergence = solve(self.eps, x, self.low, self.high, self.config.ode_tolerance, probe)
        dimensions = images[0].numel()
        bins = torch.full_like(divergence, dimensions * math.log(self.images.levels / 2))
        prior = 0.5 * (last.square() + LOG_2PI).flatten(1).sum(dim=1)
        return {"prior": prior, "diffusion": dimensions * scale.log() - divergence, "dequantisation": bins}
