"""Samplers of a discrete diffusion, each step a linear combination whose factors the schedule gives.

With x0^ the estimate of the image at x_t, a step to the next level u < t is

    x_u = keep x_t + start x0^ + former x0^_before + noise eps,   eps ~ N(0, 1)

where x0^_before is the last step's estimate. The factors are numbers of the schedule, known before sampling starts, so
that nothing waits for the device between steps; what a network predicts enters only where x0^ is read from it. All
factors are finite, too, where the first level is pure noise (zero terminal SNR).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.probability.diffusion import amplitudes, posterior
from workbench.probability.names import Sampler


class Move(NamedTuple):
    """One step of a sampler.

    Attributes:
        keep, start, former: factors of x_t, of the estimate of x_0 and of the estimate one step before.
        noise: standard deviation of the noise that is added, 0 for none; that of the posterior q(x_u | x_t, x_0).
        log_ratio: ln of the largest variance that the noise can have instead, beta, over the posterior's.
    """

    keep: float
    start: float
    former: float = 0.0
    noise: float = 0.0
    log_ratio: float = 0.0


def sampling_steps(noise_steps: int, n: int) -> list[int]:
    """``n`` noise levels from ``noise_steps - 1`` down, evenly spread; the first is pure noise, whatever ``n``."""
    return [(2 * (n - i) * noise_steps + n) // (2 * n) - 1 for i in range(n)]


def moves(sampler: Sampler, gamma: Tensor) -> list[Move]:
    """The steps of a sampler through the levels (n,) of gamma, in the order of sampling, and on to the clean image.

    ``ancestral``: q(x_u | x_t, x0^) of Ho et al. 2020, equations 6-7 and algorithm 2, whose levels may be apart (Nichol
    and Dhariwal 2021, section 4). ``ddim``: Song et al. 2021, equation 12 with sigma = 0. ``dpm-solver++``: the
    multistep method of second order of Lu et al. 2022 (arXiv 2211.01095, algorithm 2), the first and the last step of
    first order.
    """
    gamma = gamma.double()
    after = torch.cat([gamma[1:], gamma.new_full((1,), -torch.inf)])
    (a_t, s_t), (a_u, s_u) = amplitudes(gamma), amplitudes(after)
    if sampler == "ancestral":
        ones, zeros = torch.ones_like(gamma), torch.zeros_like(gamma)
        keep, log_variance = posterior(ones, zeros, after, gamma)
        start, _ = posterior(zeros, ones, after, gamma)
        ratio = 2 * (s_t.log() - s_u.log())
        ratio[-1] = 0.0  # no noise is added
        columns = (keep, start, zeros, (0.5 * log_variance).exp(), ratio)
    elif sampler == "ddim":
        columns = (s_u / s_t, a_u - a_t * s_u / s_t)
    else:
        length = 0.5 * (gamma - after)
        first_order = -a_u * torch.expm1(-length)
        change = 0.5 * first_order[1:-1] * length[1:-1] / length[:-2]  # half of first_order / r
        change = torch.cat([change.new_zeros(1), change, change.new_zeros(1)])[: len(gamma)]
        columns = (s_u / s_t, first_order + change, -change)
    return [Move(*row) for row in torch.stack(columns, dim=1).tolist()]


def run(
    sampler: Sampler,
    gamma: Tensor,
    x: Tensor,
    estimate: Callable[[Tensor, int], tuple[Tensor, Tensor]],
    keys: Tensor | None = None,
) -> Tensor:
    """x_0 (B, …) by a sampler from x_t (B, …) at the first of the levels (n,) of gamma.

    Args:
        estimate: of x_t and the number of its level among the n, the estimate of x_0 (B, …), and how far ln of the
            noise's variance is from the posterior's (0) to beta's (1).
        keys: (B,) int64, each image's source of noise, so that it does not depend on the batch; for ``ancestral``.

    Raises:
        WorkbenchError: the images are not finite.
    """
    generators = [torch.Generator().manual_seed(int(key) & (2**63 - 1)) for key in keys] if keys is not None else []
    former = x
    for number, move in enumerate(moves(sampler, gamma)):
        start, fraction = estimate(x, number)
        x = move.keep * x + move.start * start + move.former * former
        if move.noise:
            x = x + move.noise * (0.5 * move.log_ratio * fraction).exp() * _normal(generators, x)
        former = start
    if not torch.isfinite(x).all():
        raise WorkbenchError(
            f"The {sampler} sampler gave images that are not finite after {len(gamma)} steps, so the weights are not; "
            "look at the run's loss, and train again with a lower --optim.lr or with --optim.clip."
        )
    return x


def _normal(generators: list[torch.Generator], like: Tensor) -> Tensor:
    """Standard normal numbers (B, …), each image's from its own generator, sent without waiting for the device."""
    noise = torch.stack([torch.randn(like.shape[1:], generator=generator) for generator in generators])
    return (noise.pin_memory() if like.is_cuda else noise).to(like.device, non_blocking=True)
