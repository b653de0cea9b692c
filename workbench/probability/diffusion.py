"""The mathematics of Gaussian diffusion: one process, four predictions, the terms of its bound.

The variance-preserving process is x_t = a x0 + s eps with eps ~ N(0, 1), a^2 = abar, s^2 = 1 - abar; its noise level is
gamma = -ln SNR = ln(s^2 / a^2), which grows with t. All is a function of gamma: a^2 = sigmoid(-gamma),
s^2 = sigmoid(gamma). Networks may predict

    eps     the noise;                      x0 = (x_t - s eps) / a
    x0      the image
    v       a eps - s x0;                   x0 = a x_t - s v,   eps = s x_t + a v
    score   grad ln q(x_t) = -eps / s;      x0 = (x_t + s^2 score) / a

and one bound on the likelihood is the same through each of them (Kingma et al. 2021, arXiv 2107.00630; Salimans and Ho
2022, arXiv 2202.00512; Luo 2022, arXiv 2208.11970).

Shapes: images (B, C, H, W) or any (B, …); gamma, a, s and weights are scalars or (B,), and are spread over the
dimensions of an image by :func:`spread`. Sums over dimensions are (B,), in nats. All keeps its input's precision.
"""

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.errors import WorkbenchError

Prediction = Literal["eps", "x0", "v", "score"]
PREDICTIONS: tuple[Prediction, ...] = get_args(Prediction)
Schedule = Literal["linear", "cosine", "zero-terminal"]


def spread(value: Tensor, like: Tensor) -> Tensor:
    """A scalar or (B,) as something that multiplies ``like`` (B, …): a view (B, 1, …)."""
    return value.reshape(-1, *(1,) * (like.ndim - 1)) if value.ndim else value


# Schedules -----------------------------------------------------------------------------------------------------------


def schedule(name: Schedule, steps: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """abar (T,) after 1, 2 … T steps of noising.

    ``linear``: beta from 1e-4 to 0.02 (Ho et al. 2020, section 4). ``cosine``: Nichol and Dhariwal 2021, equation 17,
    beta at most 0.999. ``zero-terminal``: the linear one, rescaled by :func:`zero_terminal` to end in pure noise.
    """
    if steps < 1:
        raise WorkbenchError(f"A noise schedule needs at least 1 step, not {steps}.")
    if name == "cosine":
        whole = ((torch.arange(steps + 1, dtype=dtype) / steps + 0.008) / 1.008 * math.pi / 2).cos().square()
        return (1 - (1 - whole[1:] / whole[:-1]).clamp_max(0.999)).cumprod(0)
    signal = (1 - torch.linspace(1e-4, 0.02, steps, dtype=dtype)).cumprod(0)
    return zero_terminal(signal) if name == "zero-terminal" else signal


def zero_terminal(signal: Tensor) -> Tensor:
    """abar (T,) rescaled so that the last is 0 and the first is kept (Lin et al. 2024, algorithm 1)."""
    if len(signal) < 2:
        raise WorkbenchError("A schedule of 1 step cannot be rescaled to end in pure noise; take 2 or more.")
    root = signal.sqrt()
    return ((root - root[-1]) * (root[0] / (root[0] - root[-1]))).square()


def gamma_of(signal: Tensor) -> Tensor:
    """gamma = -ln SNR of abar, any shape; infinite where abar is 0 (pure noise)."""
    return torch.log1p(-signal) - signal.log()


def signal_of(gamma: Tensor) -> Tensor:
    """abar of gamma, any shape."""
    return torch.sigmoid(-gamma)


def amplitudes(gamma: Tensor) -> tuple[Tensor, Tensor]:
    """(a, s) of gamma, any shape: x_t = a x0 + s eps."""
    return torch.sigmoid(-gamma).sqrt(), torch.sigmoid(gamma).sqrt()


def gamma_linear_beta(t: Tensor, beta_min: float = 0.1, beta_max: float = 20.0) -> Tensor:
    """gamma at times t in (0, 1] of the VP SDE, whose beta grows linearly (Song et al. 2021, equation 33)."""
    return torch.expm1(beta_min * t + 0.5 * (beta_max - beta_min) * t.square()).log()


def gamma_cosine(t: Tensor) -> Tensor:
    """gamma at times t in (0, 1) of abar = cos^2(pi t / 2): 2 ln tan(pi t / 2)."""
    return 2 * (0.5 * math.pi * t).tan().log()


def min_snr_weight(gamma: Tensor, prediction: Prediction, cap: float = 5.0) -> Tensor:
    """Weight of the squared error of a prediction, min-SNR (Hang et al. 2023, section 3.4): min(SNR, cap), which is the
    weight on x0, times what turns an error of x0 into one of this prediction. Same shape as gamma."""
    snr = (-gamma).exp()
    of_noise = (gamma.exp() * cap).clamp_max(1.0)  # min(SNR, cap) / SNR, which 0 / 0 is not at the end of all noise
    if prediction == "x0":
        return snr.clamp_max(cap)
    if prediction == "v":
        return torch.sigmoid(-gamma) * of_noise  # min(SNR, cap) / (SNR + 1)
    return of_noise if prediction == "eps" else of_noise * torch.sigmoid(gamma)


# Conversions ---------------------------------------------------------------------------------------------------------


def noised(x0: Tensor, noise: Tensor, gamma: Tensor) -> Tensor:
    """x_t (B, …) = a x0 + s eps."""
    a, s = amplitudes(spread(gamma, x0))
    return a * x0 + s * noise


def convert(value: Tensor, x_t: Tensor, gamma: Tensor, source: Prediction, target: Prediction) -> Tensor:
    """What a network says in one prediction, in another; (B, …).

    Args:
        value: the prediction called ``source`` at x_t.
        x_t: the noised images (B, …).
        gamma: its noise level, a scalar or (B,). At pure noise (infinite gamma) x0 and v are exchangeable, but nothing
            follows from eps or score but themselves: :func:`check_terminal`.
    """
    if source == target:
        return value
    a, s = amplitudes(spread(gamma, x_t))
    if source == "score":
        value, source = -s * value, "eps"
    if target == "score":
        return -convert(value, x_t, gamma, source, "eps") / s
    match source, target:
        case "eps", "x0":
            return (x_t - s * value) / a
        case "eps", "v":
            return (value - s * x_t) / a
        case "x0", "eps":
            return (x_t - a * value) / s
        case "x0", "v":
            return (a * x_t - value) / s
        case "v", "x0":
            return a * x_t - s * value
        case "v", "eps":
            return s * x_t + a * value
        case _:
            return value  # a score as eps


def target_of(x0: Tensor, noise: Tensor, gamma: Tensor, prediction: Prediction) -> Tensor:
    """What a network of this prediction is asked for at x_t = a x0 + s eps; (B, …)."""
    a, s = amplitudes(spread(gamma, x0))
    match prediction:
        case "eps":
            return noise
        case "x0":
            return x0
        case "v":
            return a * noise - s * x0
        case "score":
            return -noise / s


def check_terminal(signal: Tensor, prediction: Prediction) -> None:
    """A schedule (T,) that ends in pure noise needs a network that predicts something of the image.

    Raises:
        WorkbenchError: the last abar is 0 and the prediction is eps or score.
    """
    if prediction in ("eps", "score") and float(signal[-1]) <= 0:
        raise WorkbenchError(
            f"A schedule that ends in pure noise (zero terminal SNR) says nothing of the image through {prediction}; "
            "predict v or x0."
        )


# Steps of the reverse process ----------------------------------------------------------------------------------------


def posterior(x_t: Tensor, x0: Tensor, gamma_u: Tensor, gamma_t: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (B, …) and log-variance, shaped as :func:`spread` makes it, of q(x_u | x_t, x0) for u < t.

    Source: Kingma et al. 2021, appendix A, equations 26-28; Ho et al. 2020, equation 7.
    """
    gamma_u, gamma_t = spread(gamma_u, x_t), spread(gamma_t, x_t)
    (a_u, s_u), (a_t, s_t) = amplitudes(gamma_u), amplitudes(gamma_t)
    new = -torch.expm1(gamma_u - gamma_t)  # the part of the noise at t that came after u
    mean = (a_t / a_u) * (s_u / s_t).square() * x_t + a_u * new * x0
    return mean, F.logsigmoid(gamma_u) + new.log()


def ancestral_step(x_t: Tensor, eps: Tensor, gamma_u: Tensor, gamma_t: Tensor, noise: Tensor) -> Tensor:
    """x_u (B, …) drawn from q(x_u | x_t, x0 = what eps says), by standard normal ``noise``.

    Source: Kingma et al. 2021, equations 33-34: x_u = a_u / a_t (x_t - s_t c eps) + s_u sqrt(c) noise with
    c = -expm1(gamma_u - gamma_t).
    """
    gamma_u, gamma_t = spread(gamma_u, x_t), spread(gamma_t, x_t)
    (a_u, s_u), (a_t, s_t) = amplitudes(gamma_u), amplitudes(gamma_t)
    new = -torch.expm1(gamma_u - gamma_t)
    return a_u / a_t * (x_t - s_t * new * eps) + s_u * new.sqrt() * noise


def normal_kl(mean: Tensor, log_variance: Tensor, other_mean: Tensor, other_log_variance: Tensor) -> Tensor:
    """KL(N(mean, e^log_variance) || N(other_mean, e^other_log_variance)), summed over all dimensions but the first.

    Means (B, …); log-variances of any shape that spreads over them. Returns (B,) nats.
    """
    gap = log_variance - other_log_variance
    terms = (mean - other_mean).square() * (-other_log_variance).exp() + torch.expm1(gap) - gap
    return 0.5 * terms.flatten(1).sum(dim=1)


# Terms of the bound --------------------------------------------------------------------------------------------------


def step_weight(gamma_u: Tensor, gamma_t: Tensor, prediction: Prediction) -> Tensor:
    """w in KL(q(x_u | x_t, x0) || p(x_u | x_t)) = w |prediction - target|^2, for u < t; same shape as gamma.

    Both have the posterior's variance. x0: (SNR_u - SNR_t) / 2, and eps: expm1(gamma_t - gamma_u) / 2 (Kingma et al.
    2021, equations 13 and 14); the others follow by the conversions.
    """
    if prediction in ("eps", "score"):
        weight = 0.5 * torch.expm1(gamma_t - gamma_u)
        return weight if prediction == "eps" else weight * torch.sigmoid(gamma_t)
    weight = -0.5 * (-gamma_u).exp() * torch.expm1(gamma_u - gamma_t)
    return weight if prediction == "x0" else weight * torch.sigmoid(gamma_t)


def rate_weight(gamma: Tensor, slope: Tensor, prediction: Prediction) -> Tensor:
    """The limit of :func:`step_weight` per unit of time where gamma grows by ``slope`` = dgamma/dt.

    eps: slope / 2 (Kingma et al. 2021, equation 17).
    """
    match prediction:
        case "eps":
            return 0.5 * slope
        case "x0":
            return 0.5 * slope * (-gamma).exp()
        case "v":
            return 0.5 * slope * torch.sigmoid(-gamma)
        case "score":
            return 0.5 * slope * torch.sigmoid(gamma)


def step_kl(target: Tensor, predicted: Tensor, gamma_u: Tensor, gamma_t: Tensor, prediction: Prediction) -> Tensor:
    """KL of one step from t to u < t in nats (B,), for a target and a prediction (B, …) of the same kind."""
    return step_weight(gamma_u, gamma_t, prediction) * (target - predicted).square().flatten(1).sum(dim=1)


def prior_kl(x0: Tensor, gamma: Tensor) -> Tensor:
    """KL(q(x_T | x0) || N(0, 1)) in nats (B,): 1/2 sum [a^2 x0^2 + s^2 - ln s^2 - 1], gamma that of the last level."""
    signal = spread(signal_of(gamma), x0)
    terms = signal * (x0.square() - 1) - spread(F.logsigmoid(gamma), x0)
    return 0.5 * terms.flatten(1).sum(dim=1)


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
    kept = torch.promote_types(x0.dtype, mean.dtype)
    x0, mean, half = x0.double(), mean.double(), 1.0 / (levels - 1)
    scale = (-log_sigma.double()).exp()
    upper = torch.where(x0 > 1 - half, torch.inf, (x0 + half - mean) * scale)
    lower = torch.where(x0 < -1 + half, -torch.inf, (x0 - half - mean) * scale)
    # The tail that is the smaller one, where logarithms of the distribution function keep their precision.
    flip = lower + upper > 0
    upper, lower = torch.where(flip, -lower, upper), torch.where(flip, -upper, lower)
    top = torch.special.log_ndtr(upper)
    log_mass = top + torch.log(-torch.expm1(torch.special.log_ndtr(lower) - top))
    return -log_mass.flatten(1).sum(dim=1).to(kept).to(device)


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


def bin_middles(images: Tensor, levels: int) -> Tensor:
    """Pixels in [0, 1], which may lie between the levels, as the middles of ``levels`` equal bins of [-1, 1]."""
    return (2 * images * (levels - 1) + 1) / levels - 1


def pictures(x: Tensor, levels: int) -> Tensor:
    """The inverse of :func:`bin_middles`, kept in [0, 1]; not rounded to levels."""
    return (((x + 1) * levels - 1) / (2 * (levels - 1))).clamp(0, 1)
