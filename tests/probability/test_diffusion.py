"""The mathematics of diffusion against closed forms, torch.distributions, diffusers and itself through other ways."""

import itertools
import math

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from tests.probability.formulas import Schedule, normal_kl, schedule
from workbench.probability import diffusion
from workbench.probability.diffusion import Prediction
from workbench.probability.names import PREDICTIONS

DOUBLE = torch.float64
PAIRS = list(itertools.permutations(PREDICTIONS, 2))


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=DOUBLE)


def test_gamma_and_abar_are_one_another_inverse_at_both_ends() -> None:
    signal = torch.tensor([1 - 1e-9, 0.5, 1e-9, 0.0], dtype=DOUBLE)
    gamma = diffusion.gamma_of(signal)
    torch.testing.assert_close(diffusion.signal_of(gamma), signal, rtol=1e-7, atol=0)
    assert gamma[1] == 0 and gamma[3] == torch.inf
    a, s = diffusion.amplitudes(gamma)
    torch.testing.assert_close(a.square() + s.square(), torch.ones(4, dtype=DOUBLE))


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("gamma", [-13.3, -2.0, 0.0, 5.0])
def test_every_target_converts_into_every_other(source: Prediction, target: Prediction, gamma: float) -> None:
    x0, noise, level = draws(3, 2, 4, 4), draws(3, 2, 4, 4, seed=1), number(gamma)
    x_t = diffusion.noised(x0, noise, level)
    value, expected = (diffusion.target_of(x0, noise, level, kind) for kind in (source, target))
    torch.testing.assert_close(diffusion.convert(value, x_t, level, source, target), expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_conversions_undo_one_another_for_what_is_no_target(source: Prediction, target: Prediction) -> None:
    x_t, value, gamma = draws(3, 5), draws(3, 5, seed=1), torch.tensor([-4.0, 0.3, 3.0], dtype=DOUBLE)
    there = diffusion.convert(value, x_t, gamma, source, target)
    torch.testing.assert_close(diffusion.convert(there, x_t, gamma, target, source), value, rtol=1e-9, atol=1e-9)


def one_step(name: Schedule, t: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """x0, another x0, noise, and the levels at u = t - 1 (before any step: almost no noise) and t."""
    gamma = diffusion.gamma_of(schedule(name, 1000))
    return draws(2, 3, 4, 4), draws(2, 3, 4, 4, seed=1), draws(2, 3, 4, 4, seed=2), gamma[t - 1], gamma[t]


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize("t", [1, 10, 500, 999])
def test_the_kl_of_a_step_is_the_same_through_every_prediction(name: Schedule, t: int) -> None:
    x0, guess, noise, gamma_u, gamma_t = one_step(name, t)
    x_t = diffusion.noised(x0, noise, gamma_t)
    mean, log_variance = diffusion.posterior(x_t, x0, gamma_u, gamma_t)
    direct = normal_kl(mean, log_variance, *diffusion.posterior(x_t, guess, gamma_u, gamma_t))
    for kind in PREDICTIONS:
        target, predicted = (diffusion.convert(x, x_t, gamma_t, "x0", kind) for x in (x0, guess))
        through = diffusion.step_kl(target, predicted, gamma_u, gamma_t, kind)
        torch.testing.assert_close(through, direct, rtol=1e-9, atol=0)


def test_the_kl_of_a_step_from_pure_noise_is_finite_through_what_is_predicted_of_the_image() -> None:
    x0, guess, noise, gamma_u, gamma_t = one_step("zero-terminal", 999)
    assert gamma_t == torch.inf
    direct = 0.5 * (-gamma_u).exp() * (x0 - guess).square().flatten(1).sum(dim=1)
    for kind in ("x0", "v"):
        target, predicted = (diffusion.convert(x, noise, gamma_t, "x0", kind) for x in (x0, guess))
        torch.testing.assert_close(diffusion.step_kl(target, predicted, gamma_u, gamma_t, kind), direct)


def test_the_posterior_is_bayes() -> None:
    """q(x_u | x_t, x0) is proportional to q(x_t | x_u) q(x_u | x0), whose precisions add up."""
    x0, _, noise, gamma_u, gamma_t = one_step("cosine", 500)
    (a_u, s_u), (a_t, s_t) = diffusion.amplitudes(gamma_u), diffusion.amplitudes(gamma_t)
    x_t, ratio = diffusion.noised(x0, noise, gamma_t), a_t / a_u
    added = s_t.square() - ratio.square() * s_u.square()
    precision = ratio.square() / added + 1 / s_u.square()
    expected = (ratio * x_t / added + a_u * x0 / s_u.square()) / precision
    mean, log_variance = diffusion.posterior(x_t, x0, gamma_u, gamma_t)
    torch.testing.assert_close(mean, expected)
    torch.testing.assert_close(log_variance.exp().squeeze(), 1 / precision)


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("t", [0, 1, 10, 500, 999])
def test_steps_are_those_of_diffusers(prediction: str, t: int) -> None:
    kind: Prediction = {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}[prediction]  # type: ignore[assignment]
    signal = schedule("linear", 1000)
    gamma_t = diffusion.gamma_of(signal[t])
    # Before the first step abar is 1, where gamma is -inf; a step of theirs to there is x0 itself.
    gamma_u = diffusion.gamma_of(signal[t - 1]) if t else number(-80.0)
    x_t, value, noise = draws(2, 3, 4, 4), draws(2, 3, 4, 4, seed=1), draws(2, 3, 4, 4, seed=5)
    eps = diffusion.convert(value, x_t, gamma_t, kind, "eps")
    x0 = diffusion.convert(value, x_t, gamma_t, kind, "x0")

    options = {"prediction_type": prediction, "clip_sample": False}
    ancestral = DDPMScheduler(**options)  # type: ignore[arg-type]
    ancestral.alphas_cumprod, ancestral.one = signal, number(1.0)
    theirs = ancestral.step(value, t, x_t, generator=torch.Generator().manual_seed(5), return_dict=False)
    ours = diffusion.ancestral_step(x_t, eps, gamma_u, gamma_t, noise if t else torch.zeros_like(noise))
    torch.testing.assert_close(ours, theirs[0], rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(x0, theirs[1], rtol=1e-7, atol=1e-7)
    mean, log_variance = diffusion.posterior(x_t, x0, gamma_u, gamma_t)
    again = mean + (0.5 * log_variance).exp() * (noise if t else 0.0)
    torch.testing.assert_close(again, theirs[0], rtol=1e-7, atol=1e-7)

    ddim = DDIMScheduler(**options)  # type: ignore[arg-type]
    ddim.set_timesteps(1000)
    ddim.alphas_cumprod, ddim.final_alpha_cumprod = signal, number(1.0)
    a_u, s_u = diffusion.amplitudes(gamma_u)
    theirs = ddim.step(value, t, x_t, return_dict=False)
    torch.testing.assert_close(a_u * x0 + s_u * eps, theirs[0], rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(("steps", "expected"), [(10, 52.3), (100, 20.1), (1000, 18.47)])
def test_coarse_time_costs_what_is_known(steps: int, expected: float) -> None:
    """For gamma from -13.3 to 5, T expm1(18.3 / T) is what T steps weigh an error of 1 by; its limit is 18.3."""
    line = torch.linspace(-13.3, 5, steps + 1, dtype=DOUBLE)
    weight = 2 * diffusion.step_weight(line[:-1], line[1:], "eps").sum()
    assert float(weight) == pytest.approx(expected, abs=0.05 if steps < 1000 else 0.005)
    limit = 2 * diffusion.rate_weight(number(0.0), number(18.3), "eps")
    assert float(limit) == pytest.approx(18.3) and weight > limit


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_many_small_steps_weigh_what_the_rate_says(kind: Prediction) -> None:
    gamma, small = torch.linspace(-8, 5, 20, dtype=DOUBLE), 1e-6
    steps = diffusion.step_weight(gamma - small, gamma, kind) / small
    torch.testing.assert_close(steps, diffusion.rate_weight(gamma, torch.ones_like(gamma), kind), rtol=2e-6, atol=0)


def test_min_snr_weighs_an_error_alike_through_every_prediction() -> None:
    gamma = torch.tensor([-9.0, -1.609, 0.0, 4.0], dtype=DOUBLE)
    x_t, x0, guess = draws(4, 6), draws(4, 6, seed=1), draws(4, 6, seed=2)
    snr = (-gamma).exp()
    known = {"eps": snr.clamp_max(5) / snr, "x0": snr.clamp_max(5), "v": snr.clamp_max(5) / (snr + 1)}
    losses = []
    for kind in PREDICTIONS:
        weight = diffusion.min_snr_weight(gamma, kind)
        if kind != "score":
            torch.testing.assert_close(weight, known[kind])
        target, predicted = (diffusion.convert(x, x_t, gamma, "x0", kind) for x in (x0, guess))
        losses.append(weight * (target - predicted).square().sum(dim=1))
    for loss in losses[1:]:
        torch.testing.assert_close(loss, losses[0])
    assert diffusion.min_snr_weight(number(math.inf), "v") == 0


def test_the_prior_term_is_the_kl_of_torch() -> None:
    x0, gamma = draws(3, 2, 4, 4), number(5.0)
    a, s = diffusion.amplitudes(gamma)
    last = Independent(Normal(a * x0, s.expand_as(x0)), 3)
    standard = Independent(Normal(torch.zeros_like(x0), torch.ones_like(x0)), 3)
    torch.testing.assert_close(diffusion.prior_kl(x0, gamma), kl_divergence(last, standard))


@pytest.mark.parametrize("power", [1, 3], ids=["linear", "cubic"])
@pytest.mark.parametrize("kind", PREDICTIONS)
def test_the_bound_of_gaussian_data_is_its_entropy_whatever_the_schedule(power: int, kind: Prediction) -> None:
    """With the best denoiser, known here, and exact integrals over time, image and noise the bound is tight."""
    deviation, centre, low, high = 0.4, 0.2, -13.3, 9.0
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(4))
    weights = weights / weights.sum()
    x0 = (centre + deviation * nodes)[:, None].expand(4, 4).reshape(-1, 1)  # (16, 1): every image with every noise
    noise, joint = nodes.repeat(4)[:, None], (weights[:, None] * weights).flatten()

    points, masses = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(200))
    diffused = number(0.0)
    for t, mass in zip((points + 1) / 2, masses / 2, strict=True):
        gamma = low + (high - low) * t**power
        slope = (high - low) * power * t ** (power - 1)
        a, s = diffusion.amplitudes(gamma)
        x_t = diffusion.noised(x0, noise, gamma)
        best = centre + a * deviation**2 / (a**2 * deviation**2 + s**2) * (x_t - a * centre)
        error = diffusion.target_of(x0, noise, gamma, kind) - diffusion.convert(best, x_t, gamma, "x0", kind)
        diffused += mass * diffusion.rate_weight(gamma, slope, kind) * (joint * error.square().sum(dim=1)).sum()
    prior = (joint * diffusion.prior_kl(x0, number(high))).sum()
    a, s = diffusion.amplitudes(number(low))
    decoder = 0.5 * torch.log(2 * math.pi * math.e * deviation**2 * s**2 / (a**2 * deviation**2 + s**2))
    entropy = 0.5 * math.log(2 * math.pi * math.e * deviation**2)
    # What is left is the KL of the last level's distribution from the prior, below 1e-7 at gamma = 9.
    assert float(prior + diffused + decoder) == pytest.approx(entropy, abs=1e-4)
