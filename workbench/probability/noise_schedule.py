"""Noise schedules that are learned: gamma(t) = -ln SNR at times t in [0, 1].

Kingma et al., "Variational Diffusion Models", NeurIPS 2021 (arXiv 2107.00630), section 3.2 and appendix H:

    gamma(t) = gamma_0 + (gamma_1 - gamma_0) n(t),   n(0) = 0,  n(1) = 1,  n grows.

Their monotone network gives n after its values at 0 and 1 are taken out, which pins the ends (equation 44; their code
leaves that out). The ends alone change the continuous bound; n changes the variance of its estimate.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.data import keyed

LOW_MARGIN = 4.0  # a learned gamma_0 stays below its start plus this


def antithetic_times(keys: Tensor) -> Tensor:
    """Times (B,) float32 in [0, 1), evenly spread from one random start: (u + i / B) mod 1.

    The start depends on all keys, and a sample's place i on the order of the keys, so that the order of the samples
    changes nothing. Source: Kingma et al. 2021, appendix I.1.

    Args:
        keys: (B,) int64.
    """
    keys = keyed.fork(keys, "time")
    start = keyed.uniform(keyed.mix(keys.sum()[None]))
    place = torch.argsort(torch.argsort(keys, stable=True), stable=True)
    return (start + place / len(keys)) % 1.0


class MonotoneNetwork(nn.Module):
    """n(t) and dn/dt, from the paper's network with its ends pinned.

    g(t) = |w_1| t + sum_j |w_3j| (2 sigmoid(|w_2j| (2 t - 1) + b_j) - 1) / units, n(t) = (g(t) - g(0)) / (g(1) - g(0)).
    It starts near the line, with bends all over the interval. Products and sums are what autocast leaves alone.

    Args:
        units: of the hidden layer; the paper has 1024.
    """

    def __init__(self, units: int = 1024) -> None:
        super().__init__()
        self.line = nn.Parameter(torch.ones(()))
        self.inner = nn.Parameter(torch.randn(units).mul_(2.0))
        self.bias = nn.Parameter(torch.randn(units))
        self.outer = nn.Parameter(torch.randn(units).mul_(0.1))

    def _raw(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """g(t) and dg/dt, (B,) each."""
        inner, outer = self.inner.abs(), self.outer.abs() / self.outer.numel()
        bent = torch.sigmoid(inner * (2 * t[:, None] - 1) + self.bias)
        value = self.line.abs() * t + (outer * (2 * bent - 1)).sum(dim=1)
        slope = self.line.abs() + (outer * 4 * inner * bent * (1 - bent)).sum(dim=1)
        return value, slope

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """n(t) and dn/dt (B,) at times (B,)."""
        value, slope = self._raw(t)
        first, last = self._raw(torch.stack((torch.zeros_like(t[0]), torch.ones_like(t[0]))))[0]
        return (value - first) / (last - first), slope / (last - first)


class NoiseSchedule(nn.Module):
    """gamma(t) and its slope.

    Args:
        low, high: gamma at t = 0 and t = 1, where the ends are learned to begin with.
        learned: n(t) is a monotone network; otherwise a line.
        learn_ends: both ends are parameters. The lower one stays below ``low`` + 4, so that it is known how many levels
            a pixel at t = 0 can be taken for.
    """

    def __init__(self, low: float, high: float, learned: bool, learn_ends: bool) -> None:
        super().__init__()
        self.highest_low = low + (LOW_MARGIN if learn_ends else 0.0)
        self.low, self.learn_ends = low, learn_ends
        self.shape = MonotoneNetwork() if learned else None
        self.margin = nn.Parameter(torch.tensor(math.log(math.expm1(LOW_MARGIN))), requires_grad=learn_ends)
        self.width = nn.Parameter(torch.tensor(high - low), requires_grad=learn_ends)

    def ends(self) -> tuple[Tensor, Tensor]:
        """gamma_0 and gamma_1, scalars."""
        first = self.highest_low - F.softplus(self.margin) if self.learn_ends else torch.full_like(self.width, self.low)
        return first, first + self.width.abs()

    def between(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """n(t) and dn/dt (B,) at times (B,)."""
        return (t, torch.ones_like(t)) if self.shape is None else self.shape(t)

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """gamma and dgamma/dt (B,) at times (B,)."""
        return self.scaled(*self.between(t))

    def scaled(self, n: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """gamma and dgamma/dt (B,) of n and dn/dt (B,), those of :meth:`between`."""
        first, last = self.ends()
        return first + (last - first) * n, (last - first) * slope


def gradient_of_variance(n: Tensor, loss: Tensor) -> None:
    """Give what computed ``n`` (B,) the gradient of the loss's variance instead of its mean's, up to a factor.

    The mean of the continuous bound does not depend on n(t), so that of its square has its variance's gradient:
    d loss^2 = 2 loss d loss (Kingma et al. 2021, appendix I.2). Dividing by the mean keeps it in the loss's units. Call
    it before the backward pass, once for each tensor through which n reaches the loss.

    Args:
        loss: (B,), each sample's own part of the loss whose mean is minimised.
    """
    if n.requires_grad:
        by = (2 * loss / loss.mean()).detach()
        n.register_hook(lambda gradient: gradient * by)
