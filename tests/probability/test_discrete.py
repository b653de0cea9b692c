"""The bound of discrete diffusion against other ways to the same numbers."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.methods.ddpm_models import is_function, pixels_and_keys, small
from tests.probability.formulas import normal_kl
from workbench.data import keyed
from workbench.methods.base import ImageSpec, evaluation_mode
from workbench.probability.diffusion import convert, gamma_of, posterior


@pytest.mark.parametrize("variance", ["small", "large", "learned"])
@pytest.mark.parametrize("level", [1, 10, 500, 999])
def test_a_term_of_the_bound_is_the_kl_of_two_gaussians(variance: Any, level: int) -> None:
    """Of their means and variances in double precision, for training (unclipped) and for the likelihood."""
    model, steps = small(variance=variance, loss="variational"), torch.full((6,), level)
    images, keys = pixels_and_keys()
    images, noise = 2 * images - 1, keyed.normal(keys, 1, 8, 8)
    x = model.process.noised(images, steps, noise)
    output = model._output(model.network, x, steps, None)
    error = (output.prediction - noise).square()
    nats = model.process.step_nats(images, x, steps, output.prediction, output.fraction, error, 256)
    gamma = gamma_of(model.process.signal.double())
    mean, log_variance = posterior(x.double(), images.double(), gamma[level - 1], gamma[level])
    estimate = convert(output.prediction.double(), x.double(), gamma[level], "eps", "x0")
    other_mean, _ = posterior(x.double(), estimate, gamma[level - 1], gamma[level])
    log_beta = (1 - model.process.signal.double()[level] / model.process.signal.double()[level - 1]).log()
    other = log_variance + output.fraction.double() * (log_beta - log_variance)
    expected = normal_kl(mean, log_variance, other_mean, other)
    tolerance = 2e-3 if level < 10 else 1e-4
    torch.testing.assert_close(nats.double(), expected, rtol=tolerance, atol=1e-6)
    clipped, _ = posterior(x.double(), estimate.clamp(-1, 1), gamma[level - 1], gamma[level])
    squared = (images - estimate.float().clamp(-1, 1)).square()
    kl = model.process.kl(steps, model.process.image_weight, output.fraction, squared).double()
    torch.testing.assert_close(kl, normal_kl(mean, log_variance, clipped, other), rtol=tolerance, atol=1e-6)


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_the_bound_of_the_best_denoiser_is_the_entropy_of_the_levels(prediction: Any) -> None:
    """One pixel with 17 equally probable levels, whose posterior mean is known: ln 17 nats on average, above which the
    bound is by as much as a sum of 999 terms is above the integral, which quadrature tells."""
    levels, repeats = 17, 200
    model = small(ImageSpec(1, 8, levels), prediction=prediction)
    values = 2 * torch.arange(levels) / (levels - 1) - 1

    abar = model.process.signal

    def says(x: Tensor, steps: Tensor) -> Tensor:
        a, s = (root.sqrt()[:, None, None, None] for root in (abar[steps], 1 - abar[steps]))
        nearness = (-0.5 * ((x - a * values) / s).square()).softmax(dim=-1)  # (B, 1, 1, 17)
        mean = (nearness * values).sum(dim=-1, keepdim=True)
        return convert(mean, x, model.process.gamma[steps], "x0", prediction)

    images = (torch.arange(levels) / (levels - 1)).repeat(repeats)[:, None, None, None]
    terms = is_function(model, says).full_nats_terms(images, keyed.sample_keys(0, 0, torch.arange(len(images))))
    nats = sum(terms.values(), torch.zeros(len(images)))
    signal, grid = model.process.signal.double()[:, None], torch.linspace(-1, 1, 6001, dtype=torch.float64)
    x = grid * (1 + 8 * (1 - signal).sqrt())  # (T, 6001), values of x_t
    deviations = (x[..., None] - signal[..., None].sqrt() * values) / (1 - signal[..., None]).sqrt()
    density = (-0.5 * deviations.square()).exp()
    weight, posterior_of = density.sum(dim=2), density / density.sum(dim=2, keepdim=True).clamp_min(1e-300)
    spreads = (posterior_of * values.square()).sum(dim=2) - (posterior_of * values).sum(dim=2).square()
    errors = (weight * spreads).sum(dim=1) / weight.sum(dim=1)  # the best denoiser's mean squared error at each level
    snr = (signal / (1 - signal))[:, 0]
    expected = float((0.5 * (snr[:-1] - snr[1:]) * errors[1:]).sum())
    assert math.log(levels) < expected < math.log(levels) + 0.2
    assert nats.mean().item() == pytest.approx(expected, abs=4 * nats.std().item() / math.sqrt(len(nats)))
    by_level = nats.view(repeats, levels).mean(dim=0)
    assert (-by_level).exp().sum() < 1  # a bound on probabilities that add up to one
    assert terms["reconstruction"].max() < 1e-3 and 0 < terms["prior"].mean() < 1e-4


def test_the_bound_from_a_few_levels_is_that_of_all_on_average() -> None:
    model = small(noise_steps=24, likelihood_steps=3, feature_steps=(1,), reconstruct_steps=(2,), variance="learned")
    images = pixels_and_keys(1)[0].expand(500, -1, -1, -1)
    keys = keyed.sample_keys(4, 0, torch.arange(500))
    with evaluation_mode(model):
        few, whole = model.nats_terms(images, keys), model.full_nats_terms(images, keys)
        again = model.nats_terms(images[:3], keys[:3])
    difference = few["diffusion"] - whole["diffusion"]
    assert difference.std() > 0
    assert abs(difference.mean()) < 4 * difference.std() / math.sqrt(500)
    for name in ("prior", "reconstruction"):
        assert torch.equal(few[name], whole[name])
    for name, term in again.items():
        torch.testing.assert_close(term, few[name][:3])
    model = small(noise_steps=24, likelihood_steps=23, feature_steps=(1,), reconstruct_steps=(2,), variance="learned")
    with evaluation_mode(model):
        torch.testing.assert_close(model.nats_terms(images[:4], keys[:4])["diffusion"], whole["diffusion"][:4])
