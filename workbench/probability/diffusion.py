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

import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.probability.names import Prediction


def spread(value: Tensor, like: Tensor) -> Tensor:
    """A scalar or (B,) as something that multiplies ``like`` (B, …): a view (B, 1, …)."""
    return value.reshape(-1, *(1,) * (like.ndim - 1)) if value.ndim else value


# Noise levels --------------------------------------------------------------------------------------------------------


def gamma_of(signal: Tensor) -> Tensor:
    """gamma = -ln SNR of abar, any shape; infinite where abar is 0 (pure noise)."""
    return torch.log1p(-signal) - signal.log()


def signal_of(gamma: Tensor) -> Tensor:
    """abar of gamma, any shape."""
    return torch.sigmoid(-gamma)


def amplitudes(gamma: Tensor) -> tuple[Tensor, Tensor]:
    """(a, s) of gamma, any shape: x_t = a x0 + s eps."""
    return torch.sigmoid(-gamma).sqrt(), torch.sigmoid(gamma).sqrt()


# Conversions ---------------------------------------------------------------------------------------------------------


def noised(x0: Tensor, noise: Tensor, gamma: Tensor) -> Tensor:
    """x_t (B, …) = a x0 + s eps."""
    a, s = amplitudes(spread(gamma, x0))
    return a * x0 + s * noise


def convert(value: Tensor, x_t: Tensor, gamma: Tensor, source: Prediction, target: Prediction) -> Tensor:
    """A network's prediction (B, …) of one kind as one of another.

    Args:
        value: the prediction called ``source`` at x_t.
        x_t: the noised images (B, …).
        gamma: its noise level, a scalar or (B,). At pure noise (infinite gamma) x0 and v are exchangeable, but nothing
            follows from eps or score but themselves.
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
    """The target (B, …) of a network of this prediction at x_t = a x0 + s eps."""
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
    """x_u (B, …) sampled from q(x_u | x_t, x0 as eps has it), by standard normal ``noise``.

    Source: Kingma et al. 2021, equations 33-34: x_u = a_u / a_t (x_t - s_t c eps) + s_u sqrt(c) noise with
    c = -expm1(gamma_u - gamma_t).
    """
    gamma_u, gamma_t = spread(gamma_u, x_t), spread(gamma_t, x_t)
    (a_u, s_u), (a_t, s_t) = amplitudes(gamma_u), amplitudes(gamma_t)
    new = -torch.expm1(gamma_u - gamma_t)
    return a_u / a_t * (x_t - s_t * new * eps) + s_u * new.sqrt() * noise


# Weights, and terms of the bound -------------------------------------------------------------------------------------


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
