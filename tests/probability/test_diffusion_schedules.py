"""Learned noise schedules and evenly spread times."""

import math

import pytest
import torch

from workbench.data import keyed
from workbench.probability.noise_schedule import LOW_MARGIN, NoiseSchedule, antithetic_times, gradient_of_variance


def schedule(learned: bool = True, learn_ends: bool = True, seed: int = 0) -> NoiseSchedule:
    torch.manual_seed(seed)
    made = NoiseSchedule(-13.3, 5.0, learned, learn_ends)
    if made.shape is not None:  # as after a long training, far from the line
        with torch.no_grad():
            made.shape.outer.mul_(200)
            made.shape.inner.mul_(5)
    return made


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("learn_ends", [False, True])
def test_a_schedule_grows_between_pinned_ends(learned: bool, learn_ends: bool) -> None:
    made = schedule(learned, learn_ends)
    with torch.no_grad():
        gamma, slope = made(torch.linspace(0, 1, 501))
    assert float(gamma[0]) == pytest.approx(-13.3, abs=1e-4) and float(gamma[-1]) == pytest.approx(5.0, abs=1e-4)
    assert (gamma.diff() > 0).all() and (slope > 0).all()
    bent = (gamma - torch.linspace(-13.3, 5, 501)).abs().max()
    assert bent > 1 if learned else bent < 1e-4


def test_the_slope_is_that_of_autograd() -> None:
    made = schedule().double()
    t = torch.linspace(0.01, 0.99, 50, dtype=torch.float64, requires_grad=True)
    gamma, slope = made(t)
    (expected,) = torch.autograd.grad(gamma.sum(), t)
    torch.testing.assert_close(slope, expected, rtol=1e-9, atol=0)


def test_what_is_fixed_gets_no_gradient_and_what_is_learned_does() -> None:
    made = schedule(learned=True, learn_ends=True)
    made(torch.rand(8))[0].sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in made.parameters())
    assert not any(parameter.requires_grad for parameter in schedule(False, False).parameters())


def test_the_low_end_cannot_leave_the_window_in_which_levels_are_summed() -> None:
    made = schedule()
    with torch.no_grad():
        made.margin.fill_(-100.0)
    assert made.ends()[0].item() <= -13.3 + LOW_MARGIN == made.highest_low


def test_autocast_leaves_the_schedule_alone() -> None:
    made, t = schedule(), torch.rand(16)
    with torch.autocast("cpu", torch.bfloat16):
        half = made(t)
    for ours, theirs in zip(half, made(t), strict=True):
        assert torch.equal(ours, theirs)


def test_the_variance_gradient_is_that_of_the_squared_loss_and_the_ends_keep_the_bounds() -> None:
    made, t, error = schedule(), torch.rand(32), torch.rand(32)

    def losses(n: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        gamma, rate = made.scaled(n, slope)
        return rate * (error + gamma.sigmoid())

    loss = losses(*made.between(t))
    names = dict(made.named_parameters())
    bound = dict(zip(names, torch.autograd.grad(loss.mean(), list(names.values())), strict=True))
    loss = losses(*made.between(t))
    squared = loss.square().mean() / loss.mean().detach()
    square = dict(zip(names, torch.autograd.grad(squared, list(names.values())), strict=True))

    n, slope = made.between(t)
    loss = losses(n, slope)
    for each in (n, slope):
        gradient_of_variance(each, loss)
    gradients = dict(zip(names, torch.autograd.grad(loss.mean(), list(names.values())), strict=True))
    for name in names:
        expected = square if name.startswith("shape.") else bound
        torch.testing.assert_close(gradients[name], expected[name], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(square["width"], bound["width"], rtol=1e-2)


def test_times_are_one_in_every_part_whatever_the_order() -> None:
    keys = keyed.sample_keys(0, 3, torch.arange(64))
    times = antithetic_times(keys)
    assert torch.equal((times * 64).long().sort().values, torch.arange(64))
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(antithetic_times(keys[order]), times[order])
    later = antithetic_times(keyed.sample_keys(0, 4, torch.arange(64)))
    assert not torch.equal(later.sort().values, times.sort().values)


def test_evenly_spread_times_lower_the_variance_and_keep_the_mean() -> None:
    """Of a mean over 64 samples of a smooth function of time, over 400 batches."""
    spread, independent = [], []
    for epoch in range(400):
        keys = keyed.sample_keys(0, epoch, torch.arange(64))
        for means, times in ((spread, antithetic_times(keys)), (independent, keyed.uniform(keyed.fork(keys, "free")))):
            means.append((3 * times).exp().mean())
    even, free = torch.stack(spread), torch.stack(independent)
    exact = (math.exp(3) - 1) / 3
    assert float(even.mean()) == pytest.approx(exact, abs=0.02) and float(free.mean()) == pytest.approx(exact, abs=0.2)
    assert even.var() < free.var() / 50
