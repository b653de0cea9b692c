"""Score matching: its processes, samplers and likelihood, where the score is known."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.methods.continuous import IMAGES, KEYS, check_moments, gaussian_noise, pictures, put_nan, set_image, settings
from workbench.data import keyed
from workbench.errors import WorkbenchError
from workbench.methods.base import Batch, ImageSpec, evaluation_mode
from workbench.methods.score import VE, VP, Score, ScoreConfig, flow, langevin, rademacher, solve
from workbench.probability import diffusion

SDES = [VP(), VE(0.01, 8.0)]
both = pytest.mark.parametrize("sde", ["vp", "ve"])


def small(images: ImageSpec = IMAGES, **changes: Any) -> Score:
    torch.manual_seed(0)
    return Score(ScoreConfig(**settings(images, **changes)), images)


@pytest.mark.parametrize("sde", SDES, ids=["vp", "ve"])
def test_marginals_solve_the_moment_equations_of_the_sde(sde: VP | VE) -> None:
    """d ln a / dt = f and d s^2 / dt = 2 f s^2 + g^2 (Särkkä and Solin 2019, equation 5.51)."""
    t = torch.linspace(0.05, 1, 20, dtype=torch.float64, requires_grad=True)
    gamma = sde.gamma(t)
    a, s = (part * sde.scale(gamma) for part in diffusion.amplitudes(gamma))
    drift, square = sde.rates(t)
    (log_signal,) = torch.autograd.grad(a.log().sum(), t, retain_graph=True)
    (noise,) = torch.autograd.grad(s.square().sum(), t)
    torch.testing.assert_close(log_signal, drift, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(noise, 2 * drift * s.square() + square, rtol=1e-9, atol=1e-12)
    assert float(gamma[-1].detach().sigmoid()) > 0.98  # almost pure noise at the end


@pytest.mark.parametrize("sde", SDES, ids=["vp", "ve"])
def test_the_flow_is_that_of_the_sde(sde: VP | VE) -> None:
    """dy/dt = f y - g^2 / 2 score (equation 13), in the units and the time of the SDE."""
    t = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    y, eps = (torch.randn(5, generator=torch.Generator().manual_seed(i), dtype=torch.float64) for i in (0, 1))
    gamma = sde.gamma(t)
    scale = sde.scale(gamma) + 0 * gamma  # that of vp is a constant
    s = diffusion.amplitudes(gamma)[1] * scale
    drift, square = sde.rates(t)
    expected = drift * y + 0.5 * square * eps / s
    (gamma_rate,) = torch.autograd.grad(gamma, t, retain_graph=True)
    (scale_rate,) = torch.autograd.grad(scale, t, retain_graph=True)
    moved = scale * flow(y / scale, eps, gamma) * gamma_rate + scale_rate * y / scale
    torch.testing.assert_close(moved, expected)


@pytest.mark.parametrize("deviation", [0.3, 1.0, 1.7])
def test_the_likelihood_of_gaussian_data_is_the_closed_form(deviation: float) -> None:
    """The divergence of a linear flow is what the signs of Rademacher see exactly."""
    x = deviation * torch.randn(4, 1, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low, high = -13.3, 12.0
    signs = rademacher(torch.arange(4), 1, 3, 3).double()
    last, divergence = solve(lambda x, gamma: gaussian_noise(x, gamma, deviation), x, low, high, 1e-8, signs)
    a, s = diffusion.amplitudes(torch.tensor([low, high], dtype=torch.float64))
    spread = (a.square() * deviation**2 + s.square()).sqrt()  # the data's deviation with the noise of either end
    log_density = torch.distributions.Normal(0.0, spread[1]).log_prob(last).flatten(1).sum(dim=1) + divergence
    expected = torch.distributions.Normal(0.0, spread[0]).log_prob(x).flatten(1).sum(dim=1)
    torch.testing.assert_close(log_density, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(last, x * spread[1] / spread[0], rtol=1e-5, atol=1e-6)


@both
def test_the_mass_of_gaussian_data_is_told_per_discrete_pixel(sde: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fine bins: -ln of the density at the pixel, times the bin's width, with the noise of the process's beginning."""
    model = small(ImageSpec(1, 8), sde=sde, ode_tolerance=1e-6, sigma_min=0.2, sigma_max=100.0)
    deviation = 0.4
    monkeypatch.setattr(model.ema, "forward", lambda x, gamma: gaussian_noise(x, gamma, deviation))
    images = (255 * model.pictures(deviation * keyed.normal(KEYS, 1, 8, 8)).clamp(0.02, 0.98)).round() / 255
    with evaluation_mode(model):
        terms = model.nats_terms(images, KEYS)
        nats = model.nats_per_image(images, KEYS)
    noisy = math.hypot(deviation, 0.2) if sde == "ve" else deviation
    density = torch.distributions.Normal(0.0, noisy).log_prob(model.dequantised(images, KEYS))
    expected = -(density + math.log(2 / 256)).flatten(1).sum(dim=1)
    torch.testing.assert_close(nats, expected, rtol=1e-3, atol=0.05)
    torch.testing.assert_close(terms["dequantisation"], torch.full((6,), 64 * math.log(128)))


def test_the_trace_of_hutchinson_is_without_bias() -> None:
    """For a network whose Jacobian is not diagonal; over many signs, against the trace itself."""
    matrix = torch.randn(9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 3

    def noise_of(x: Tensor, gamma: Tensor) -> Tensor:
        return torch.tanh(x.flatten(1) @ matrix.T).reshape(x.shape)

    x = torch.randn(1, 1, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    low, high, many = -1.0, -0.99, 4000
    signs = rademacher(torch.arange(many), 1, 3, 3).double()
    assert float(signs.mean()) == pytest.approx(0, abs=0.02) and torch.equal(signs.abs(), torch.ones_like(signs))
    divergences = solve(noise_of, x.expand(many, 1, 3, 3), low, high, 1e-6, signs)[1]
    gamma = torch.tensor(low, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: flow(x, noise_of(x, gamma), gamma).flatten(), x)
    assert isinstance(jacobian, Tensor)
    trace = float(jacobian.reshape(9, 9).trace())
    error = float(divergences.std()) / math.sqrt(many)
    assert float(divergences.std()) > 0
    assert float(divergences.mean()) == pytest.approx(0.01 * trace, abs=4 * error + 1e-4 * abs(trace))


@both
def test_likelihoods_and_samples_do_not_depend_on_what_else_is_in_the_batch(sde: str) -> None:
    model, images = small(sde=sde, ode_tolerance=1e-2), pictures(n=3)
    images[1] = 1.0  # one that takes other steps
    with evaluation_mode(model):
        whole, part = model.nats_per_image(images, KEYS[:3]), model.nats_per_image(images[:1], KEYS[:1])
        three, single = model.sample(3, seed=0, sampler="ode"), model.sample(1, seed=0, sampler="ode")
    torch.testing.assert_close(whole[:1], part, rtol=1e-5, atol=1e-5)
    assert (whole[1:] - part).abs().min() > 0.5
    torch.testing.assert_close(three[:1], single, rtol=1e-5, atol=5e-5)


def test_the_protocol_names_the_tolerance_and_the_probe() -> None:
    note = small(ode_tolerance=2e-3).likelihood_note
    assert "tolerance of 0.002 a step" in note and "one Rademacher draw per image" in note


@both
@pytest.mark.parametrize(("sampler", "steps"), [("pc", 400), ("ode", 40), ("ode", None)])
def test_samples_of_gaussian_data(sde: str, sampler: str, steps: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(ImageSpec(1, 32), sde=sde, ode_tolerance=1e-4, corrector_snr=0.05)
    monkeypatch.setattr(model.ema, "forward", lambda x, gamma: gaussian_noise(x, gamma, 0.3))
    samples = model.scaled(model.sample(8, seed=0, steps=steps, sampler=sampler))
    check_moments(samples, 0.3, 0.015)


@both
@pytest.mark.parametrize(("sampler", "steps"), [("pc", 50), ("ode", 20), ("ode", None)])
def test_samples_of_a_single_image(sde: str, sampler: str, steps: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    model, image = small(sde=sde, ode_tolerance=1e-4), pictures(n=1)
    set_image(model, model.scaled(image), monkeypatch)
    samples = model.sample(2, seed=0, steps=steps, sampler=sampler)
    torch.testing.assert_close(samples, image.expand(2, -1, -1, -1), rtol=0, atol=0.02)
    for variant in model.reconstruct(image, KEYS[:1]).values():
        torch.testing.assert_close(variant, image, rtol=0, atol=0.02)


def test_langevin_steps_keep_the_distribution_and_find_it() -> None:
    """From a wrong deviation to that of the data at this noise level."""
    gamma, deviation = torch.tensor(0.5), 0.4
    a, s = diffusion.amplitudes(gamma)
    target = float((a**2 * deviation**2 + s**2).sqrt())
    for start in (target, 2 * target):
        x = start * keyed.normal(torch.arange(16), 1, 16, 16)
        for step in range(400):
            noise = keyed.normal(keyed.fork(torch.arange(16), step), 1, 16, 16)
            x = langevin(x, gaussian_noise(x, gamma, deviation), gamma, noise, 0.1)
        assert float(x.std()) == pytest.approx(target, rel=0.04)


@both
def test_denoising_learns_the_score_of_gaussian_data(sde: str) -> None:
    """The loss of the best denoiser, a^2 c^2 / (a^2 c^2 + s^2) averaged over times, is its least."""
    model = small(ImageSpec(1, 16), sde=sde, dequantise=False, flip=0.0)
    images = model.pictures(0.3 * keyed.normal(torch.arange(64), 1, 16, 16))
    batch = Batch((images,), keyed.sample_keys(0, 0, torch.arange(64)))
    losses = {}
    for name, deviation in (("best", 0.3), ("narrow", 0.15), ("wide", 0.6)):
        model.denoiser.forward = lambda x, gamma, d=deviation: gaussian_noise(x, diffusion.spread(gamma, x), d)
        losses[name] = model(batch, 0.0).loss.item()
    t = (torch.arange(4096, dtype=torch.float64) + 0.5) / 4096
    signal, noise = (part.square() for part in diffusion.amplitudes(model.sde.gamma(t)))
    expected = (signal * 0.09 / (signal * 0.09 + noise)).mean().item()
    assert losses["best"] == pytest.approx(expected, rel=0.03)
    assert losses["best"] < losses["narrow"] and losses["best"] < losses["wide"]


@both
def test_reconstruction_begins_at_no_more_noise_than_there_is(sde: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, levels = small(sde=sde, reconstruct_steps=(1000,)), []
    monkeypatch.setattr(model.ema, "forward", lambda x, gamma: levels.append(float(gamma)) or 0 * x)
    model.reconstruct(pictures(), KEYS)
    assert max(levels) == pytest.approx(model.high, abs=1e-5) and min(levels) == pytest.approx(model.low, abs=1e-5)


def test_the_likelihood_weighting_logs_the_integral_over_gamma() -> None:
    """1/2 int |eps - eps_theta|^2 dgamma in bits, from the loss, the mean over uniform gamma."""
    model = small(weighting="likelihood", flip=0.0)
    step = model(Batch((pictures(),), KEYS), 0.0)
    expected = step.loss.detach() * (model.high - model.low) / (2 * math.log(2))
    torch.testing.assert_close(step.logs["diffusion_bits_per_dim"], expected)
    assert "diffusion_bits_per_dim" not in small()(Batch((pictures(),), KEYS), 0.0).logs


@pytest.mark.parametrize(
    ("sampler", "steps", "words"),
    [("pc", 2, "pc ended in NaN or infinity in 2 of 2"), ("ode", 2, "ode ended in NaN"), ("ode", None, "ODE met NaN")],
)
def test_nan_in_a_sampler_is_told_in_one_sentence(sampler: str, steps: int | None, words: str) -> None:
    model = small()
    put_nan(model)
    with evaluation_mode(model), pytest.raises(WorkbenchError, match=words):
        model.sample(2, seed=0, steps=steps, sampler=sampler)
    with evaluation_mode(model), pytest.raises(WorkbenchError, match="ODE met NaN"):
        model.nats_per_image(pictures(), KEYS)


def test_bad_options_are_told() -> None:
    with pytest.raises(WorkbenchError, match="at least 1, not 0"):
        small().sample(1, seed=0, steps=0)
    with pytest.raises(WorkbenchError, match="Unknown sampler"):
        small().sample(1, seed=0, sampler="rk45")
    with pytest.raises(WorkbenchError, match="--sigma-min must be below"):
        small(sde="ve", sigma_max=0.01)
    with pytest.raises(WorkbenchError, match="cannot halve"):
        small(ImageSpec(1, 9))
