"""Noise schedules and a divergence by their formulas, in double precision."""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

Schedule = Literal["linear", "cosine", "zero-terminal"]


def schedule(name: Schedule, steps: int) -> Tensor:
    """abar (T,) after 1, 2 … T steps of noising: Ho et al. 2020, section 4; Nichol and Dhariwal 2021, equation 17; the
    first rescaled so that the last is 0 and the first is kept (Lin et al. 2024, algorithm 1)."""
    if name == "cosine":
        whole = ((torch.arange(steps + 1).double() / steps + 0.008) / 1.008 * math.pi / 2).cos().square()
        return (1 - (1 - whole[1:] / whole[:-1]).clamp_max(0.999)).cumprod(0)
    signal = (1 - torch.linspace(1e-4, 0.02, steps, dtype=torch.float64)).cumprod(0)
    root = signal.sqrt()
    return ((root - root[-1]) * (root[0] / (root[0] - root[-1]))).square() if name == "zero-terminal" else signal


def normal_kl(mean: Tensor, log_variance: Tensor, other_mean: Tensor, other_log_variance: Tensor) -> Tensor:
    """KL(N(mean, e^log_variance) || N(other_mean, e^other_log_variance)) in nats (B,) of means (B, …)."""
    pairs = ((mean, log_variance), (other_mean, other_log_variance))
    one, other = (Independent(Normal(m, (0.5 * v).exp().expand_as(m)), m.ndim - 1) for m, v in pairs)
    return kl_divergence(one, other)
