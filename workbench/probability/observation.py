"""Observation models p(x|z): the probability mass of each level of a pixel, given a decoder's output.

A pixel is one of L levels k = 0 … L - 1, which the models see at y_k = 2 k / (L - 1) - 1 in [-1, 1]. A continuous
distribution F gives level k the mass F(y_k + h) - F(y_k - h) with h = 1 / (L - 1), and the outer bins are open, so that
the masses of all levels add up to one (Ho et al. 2020, equation 13; Salimans et al. 2017, section 2.1). Channels and
pixels are independent given z.

Legend: images (B, C, H, W) in [0, 1], outputs (B, C per_channel, H, W), log_sigma a scalar.
"""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.probability.names import ObservationName

LOG_2PI = math.log(2 * math.pi)
MIXED = 5  # components of the mixture
LEAST_LOG_SCALE = -7.0  # of a logistic, between an eighth and a ninth of a bin of 256
BINOMIAL_LEVELS = 17  # with more, a binomial is narrower than what decoders are unsure of: 1/8 of the range at 17

LIKELIHOOD_NOTE = (
    "Pixels are scaled to [-1, 1]; the mass of a level is the observation model's integral over its bin, the outer "
    "bins being open; nothing is dequantised."
)
SIGMA_SPEED = 20.0  # Adam moves a parameter by about the learning rate a step: too slow for one that spans decades


def full(values: Tensor) -> Tensor:
    """In single precision at least, whatever the networks computed in."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def level_index(images: Tensor, levels: int) -> Tensor:
    """Levels k (B, C, H, W) int64 of images in [0, 1]; exact for what was stored as round(255 k / (levels - 1))."""
    return (images * (levels - 1)).round().long()


def on_grid(images: Tensor, levels: int) -> Tensor:
    """The levels' values y_k (B, C, H, W) in [-1, 1] of images in [0, 1]."""
    return 2 * ((images * (levels - 1)).round() / (levels - 1)) - 1


def bin_middles(images: Tensor, levels: int) -> Tensor:
    """Pixels in [0, 1], which may lie between the levels, as the middles of ``levels`` equal bins of [-1, 1]."""
    return (2 * images * (levels - 1) + 1) / levels - 1


def from_bin_middles(x: Tensor, levels: int) -> Tensor:
    """The inverse of :func:`bin_middles`, clipped to [0, 1]; not rounded to levels."""
    return (((x + 1) * levels - 1) / (2 * (levels - 1))).clamp(0, 1)


def gaussian_nll(x: Tensor, mean: Tensor, log_sigma: Tensor) -> Tensor:
    """-ln N(x; mean, sigma^2) in nats, summed over all dimensions but the first: (B, …) -> (B,)."""
    return (0.5 * ((x - mean) / log_sigma.exp()).square() + log_sigma + 0.5 * LOG_2PI).flatten(1).sum(dim=1)


def discretised_logistic_log_mass(x: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """ln of the mass that the logistic distribution gives to the pixel's bin, element by element.

    With a = (x + h - mean) / scale and b = (x - h - mean) / scale the mass is sigmoid(a) sigmoid(-b) (1 - e^(b - a)),
    a product in which nothing cancels.
    """
    half, scale = 1.0 / (levels - 1), log_scale.exp()
    upper, lower = F.logsigmoid((x + half - mean) / scale), F.logsigmoid(-(x - half - mean) / scale)
    inside = upper + lower + torch.log(-torch.expm1(-2 * half / scale))
    return torch.where(x < -1 + half, upper, torch.where(x > 1 - half, lower, inside))


def gaussian_decoder_nll(x0: Tensor, mean: Tensor, log_sigma: Tensor, levels: int = 256) -> Tensor:
    """-ln of the mass that N(mean, sigma^2) gives to each pixel's bin, summed: (B, …) -> (B,) nats.

    The last step of Ho et al. (2020, equation 13): ``x0`` are 2 k / (levels - 1) - 1, k = 0 … levels - 1; a bin reaches
    1 / (levels - 1) to either side, and the outer two are open. Computed in double precision.

    Args:
        log_sigma: of any shape that spreads over x0.
    """
    device = x0.device
    if device.type == "mps":  # has no double precision
        x0, mean, log_sigma = x0.cpu(), mean.cpu(), log_sigma.cpu()
    dtype = torch.promote_types(x0.dtype, mean.dtype)
    x0, mean, half = x0.double(), mean.double(), 1.0 / (levels - 1)
    scale = (-log_sigma.double()).exp()
    upper = torch.where(x0 > 1 - half, torch.inf, (x0 + half - mean) * scale)
    lower = torch.where(x0 < -1 + half, -torch.inf, (x0 - half - mean) * scale)
    # The tail that is the smaller one, where logarithms of the distribution function keep their precision.
    flip = lower + upper > 0
    upper, lower = torch.where(flip, -lower, upper), torch.where(flip, -upper, lower)
    top = torch.special.log_ndtr(upper)
    log_mass = top + torch.log(-torch.expm1(torch.special.log_ndtr(lower) - top))
    return -log_mass.flatten(1).sum(dim=1).to(dtype).to(device)


def level_values(levels: int, device: torch.device | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
    """VDM's pixel values (levels,): 2 (k + 1/2) / levels - 1, k = 0 … levels - 1, middles of equal bins of [-1, 1]."""
    return 2 * (torch.arange(levels, device=device, dtype=dtype) + 0.5) / levels - 1


def level_nll(index: Tensor, noise: Tensor, gamma: Tensor, levels: int = 256, window: int | None = None) -> Tensor:
    """-ln p(x | x_0) of VDM's last step in nats (B,): which of the levels a pixel has, given itself with noise.

    p is a softmax over k of -e^-gamma / 2 (z / a - x_k)^2 with z / a = x + e^(gamma / 2) noise (Kingma et al. 2021,
    section 3.3). The difference x - x_k is taken between whole numbers, so that single precision does.

    Args:
        index: k of the true levels (B, …), whole numbers.
        noise: eps (B, …).
        gamma: of the first noise level, a scalar.
        window: levels to either side to sum over, if not all; :func:`level_window` says how many do.
    """
    step = 2.0 / levels * (-0.5 * gamma).exp()
    reach = levels - 1 if window is None else min(window, levels - 1)
    total = torch.full_like(noise, -torch.inf)
    for offset in range(-reach, reach + 1):
        term = -0.5 * (noise - offset * step).square()
        other = index + offset
        total = torch.logaddexp(total, torch.where((other >= 0) & (other < levels), term, -torch.inf))
    return (total + 0.5 * noise.square()).flatten(1).sum(dim=1)


def level_window(gamma: float, levels: int = 256) -> int:
    """How many levels to either side :func:`level_nll` needs at a noise level: farther ones weigh less than 1e-15.

    The noise of workbench/data/keyed.py is at most 6.7.
    """
    return min(levels - 1, math.ceil((6.7 + 10.7) * levels / 2 * math.exp(0.5 * gamma)))


class Observation(ABC):
    """p(x|z) for a decoder with ``per_channel`` outputs for each channel of a pixel.

    Args:
        channels, levels: of the images.
    """

    per_channel = 1
    has_sigma = False
    """Whether it has one standard deviation for all pixels, which its methods are given as ``log_sigma``."""

    def __init__(self, channels: int, levels: int) -> None:
        self.channels, self.levels = channels, levels

    @property
    def outputs(self) -> int:
        """Channels of the decoder's output."""
        return self.channels * self.per_channel

    @abstractmethod
    def mass_nats(self, images: Tensor, outputs: Tensor, log_sigma: Tensor) -> Tensor:
        """-ln of the mass of the images' levels (B,) in nats, summed over pixels and channels."""

    def training_nats(self, images: Tensor, outputs: Tensor, log_sigma: Tensor) -> Tensor:
        """The training loss (B,) in its place; by default the same."""
        return self.mass_nats(images, outputs, log_sigma)

    @abstractmethod
    def mean(self, outputs: Tensor) -> Tensor:
        """The images' expectation (B, C, H, W) in [0, 1], that of the continuous distribution cut off there."""


class Gaussian(Observation):
    """N(output, sigma^2) with one sigma; training takes the density at the pixel, which is smooth."""

    has_sigma = True

    def mass_nats(self, images: Tensor, outputs: Tensor, log_sigma: Tensor) -> Tensor:
        return gaussian_decoder_nll(on_grid(images, self.levels), full(outputs), log_sigma, self.levels)

    def training_nats(self, images: Tensor, outputs: Tensor, log_sigma: Tensor) -> Tensor:
        return gaussian_nll(2 * images - 1, full(outputs), log_sigma)

    def mean(self, outputs: Tensor) -> Tensor:
        return (full(outputs) / 2 + 0.5).clamp(0, 1)


class Bernoulli(Observation):
    """A pixel of L levels as the number of heads in L - 1 throws of a coin, of which the output is the logit.

    With two levels this is the Bernoulli model; with more, the binomial, whose -ln mass is L - 1 times the
    cross-entropy with the grey value read as a probability, less the ln of the number of orders.

    Raises:
        WorkbenchError: colour, or more than :data:`BINOMIAL_LEVELS` levels.
    """

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__(channels, levels)
        if channels != 1 or levels > BINOMIAL_LEVELS:
            raise WorkbenchError(
                f"--observation bernoulli gives a mass to each level of grey pixels with 2 to {BINOMIAL_LEVELS}, not "
                f"to {'colour' if channels > 1 else 'grey'} images with {levels} levels; choose gaussian or logistic."
            )

    def mass_nats(self, images: Tensor, outputs: Tensor, log_sigma: Tensor) -> Tensor:
        logits, throws = full(outputs), self.levels - 1
        heads = level_index(images, self.levels).to(logits.dtype)
        tails = throws - heads
        orders = torch.lgamma(heads.new_tensor(throws + 1.0)) - torch.lgamma(heads + 1) - torch.lgamma(tails + 1)
        log_mass = orders + heads * F.logsigmoid(logits) + tails * F.logsigmoid(-logits)
        return -log_mass.flatten(1).sum(dim=1)

    def mean(self, outputs: Tensor) -> Tensor:
        return full(outputs).sigmoid()


class Logistic(Observation):
    """A mixture of logistic distributions, or one, whose means, scales and weights are the decoder's output.

    Source: Salimans et al. 2017 (arXiv 1701.05517), section 2.1, without their dependence between channels.
    """

    def __init__(self, channels: int, levels: int, components: int = 1) -> None:
        super().__init__(channels, levels)
        self.components, self.per_channel = components, 2 if components == 1 else 3 * components

    def _parts(self, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """ln weights, means and ln scales, (B, C, components, H, W) each."""
        parts = full(outputs).unflatten(1, (self.channels, self.per_channel // self.components, self.components))
        means, log_scales = parts[:, :, 0], parts[:, :, 1].clamp_min(LEAST_LOG_SCALE)
        weights = torch.zeros_like(means) if self.components == 1 else parts[:, :, 2].log_softmax(dim=2)
        return weights, means, log_scales

    def mass_nats(self, images: Tensor, outputs: Tensor, log_sigma: Tensor) -> Tensor:
        weights, means, log_scales = self._parts(outputs)
        x = on_grid(images, self.levels)[:, :, None]
        log_masses = weights + discretised_logistic_log_mass(x, means, log_scales, self.levels)
        return -log_masses.logsumexp(dim=2).flatten(1).sum(dim=1)

    def mean(self, outputs: Tensor) -> Tensor:
        weights, means, _ = self._parts(outputs)
        return ((weights.exp() * means).sum(dim=2) / 2 + 0.5).clamp(0, 1)


def observation(name: ObservationName, channels: int, levels: int) -> Observation:
    """An observation model by its name.

    Raises:
        WorkbenchError: it gives no mass to such pixels.
    """
    if name == "gaussian":
        return Gaussian(channels, levels)
    if name == "bernoulli":
        return Bernoulli(channels, levels)
    return Logistic(channels, levels, MIXED if name == "logistic_mixture" else 1)
