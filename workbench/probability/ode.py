"""Ordinary differential equations of a batch, each image with steps of its own.

Dormand and Prince's embedded Runge-Kutta pair of order 5(4) (1980; tableau as in :class:`scipy.integrate.RK45`), whose
step sizes follow Hairer, Nørsett and Wanner, "Solving Ordinary Differential Equations I" (1993), section II.4. scipy
takes one step size for all of its state, so that an image's result would depend on the batch that it is in; here time,
step size and acceptance are each image's own.
"""

from collections.abc import Callable, Iterable

import torch
from scipy.integrate import RK45
from torch import Tensor

from workbench.errors import WorkbenchError

MAX_STEPS = 2000  # of each image, rejected ones included
FIRST_STEP = 0.01  # of the interval; one that is too long is rejected
SAFETY, SHRINK, GROW = 0.9, 0.2, 10.0  # as scipy's

Slope = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def integrate(slope: Slope, x: Tensor, start: float, end: float, tolerance: float) -> tuple[Tensor, Tensor]:
    """Solve dx/dt = v(t, x) from ``start`` to ``end``, and integrate a number along the way.

    A step is accepted where both errors are at most 1: the root mean square over an image of its error relative to
    ``tolerance`` (1 + |x|), and the integral's relative to ``tolerance`` (sqrt(D) + |integral|): that of a sum over an
    image's D dimensions, of which each has an error of its own.

    Args:
        slope: v (b, …) and the number's rate (b,) at times (b,), for the images (b, …) in the rows (b,) of ``x``;
            images that are done are left out.
        x: images (B, …) at the start, whose precision the slope is given; the solver's own is double, where the device
            has it.
        tolerance: absolute and relative error of a step.

    Returns:
        x at the end (B, …), and the integral (B,).

    Raises:
        WorkbenchError: more than :data:`MAX_STEPS` steps are needed.
    """
    precision = torch.float32 if x.device.type == "mps" else torch.float64

    def slopes_at(time: Tensor, state: Tensor) -> Tensor:
        velocity, rate = slope(time.to(x.dtype), state[:, :-1].to(x.dtype).reshape(-1, *x.shape[1:]), rows)
        return torch.cat([velocity.flatten(1), rate[:, None]], dim=1).to(precision)

    rows = torch.arange(len(x), device=x.device)
    time = torch.full((len(x),), start, device=x.device, dtype=precision)
    step = torch.full_like(time, FIRST_STEP * (end - start))
    state = torch.cat([x.flatten(1).to(precision), torch.zeros_like(time)[:, None]], dim=1)
    final, unit = torch.empty_like(state), torch.ones_like(state[0])
    unit[-1] = x[0].numel() ** 0.5
    first = slopes_at(time, state)
    may_grow = torch.ones_like(time, dtype=torch.bool)
    for _ in range(MAX_STEPS):
        last = step.abs() >= (end - time).abs()
        step = torch.where(last, end - time, step)
        slopes = [first]
        for weights, part in zip(RK45.A[1:], RK45.C[1:], strict=True):
            slopes.append(slopes_at(time + part * step, state + step[:, None] * _mixed(weights, slopes)))
        after, moved = state + step[:, None] * _mixed(RK45.B, slopes), torch.where(last, end, time + step)
        slopes.append(slopes_at(moved, after))
        error = step[:, None] * _mixed(RK45.E, slopes)
        error = error / (tolerance * (unit + torch.maximum(state.abs(), after.abs())))
        norm = torch.maximum(error[:, :-1].square().mean(dim=1).sqrt(), error[:, -1].abs())
        accepted = norm <= 1
        change = (SAFETY * norm.clamp_min(1e-10) ** -0.2).clamp(SHRINK, GROW)
        # On a grid, since rounding, which is the batch's own, would grow from step to step into other steps.
        change = torch.exp2((4 * change.log2()).floor() / 4)
        step = step * torch.where(accepted & may_grow, change, change.clamp_max(1.0))
        may_grow = accepted
        time = torch.where(accepted, moved, time)
        state, first = (torch.where(accepted[:, None], *pair) for pair in ((after, state), (slopes[-1], first)))
        done = accepted & last
        if done.any():
            final[rows[done]] = state[done]
            rows, time, step, state, first, may_grow = (
                part[~done] for part in (rows, time, step, state, first, may_grow)
            )
        if not len(rows):
            return final[:, :-1].to(x.dtype).reshape(x.shape), final[:, -1].to(x.dtype)
    raise WorkbenchError(
        f"The probability-flow ODE was not solved in {MAX_STEPS:,} steps for {len(rows)} of {len(x)} images; raise "
        "--ode-tolerance."
    )


def _mixed(weights: Iterable[float], slopes: list[Tensor]) -> Tensor:
    """The slopes (b, n), as many as there are, in a linear combination."""
    total = torch.zeros_like(slopes[0])
    for weight, slope in zip(weights, slopes, strict=False):
        total.add_(slope, alpha=float(weight))
    return total
