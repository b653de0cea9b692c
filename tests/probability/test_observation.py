"""Observation models: masses of levels add up to one, and are those of other implementations."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import binom, logistic, norm
from torch import Tensor

from workbench.data import datasets
from workbench.errors import WorkbenchError
from workbench.probability.observation import (
    Bernoulli,
    ObservationName,
    gaussian_decoder_nll,
    level_index,
    level_nll,
    level_values,
    level_window,
    observation,
    on_grid,
)

DOUBLE = torch.float64
CASES: list[tuple[ObservationName, int, int]] = [
    ("gaussian", 1, 2),
    ("gaussian", 1, 17),
    ("gaussian", 3, 256),
    ("bernoulli", 1, 2),
    ("bernoulli", 1, 17),
    ("logistic", 1, 17),
    ("logistic", 3, 256),
    ("logistic_mixture", 1, 2),
    ("logistic_mixture", 3, 256),
]


def outputs_for(name: ObservationName, channels: int, levels: int, scale: float) -> Tensor:
    torch.manual_seed(0)
    return scale * torch.randn(1, observation(name, channels, levels).outputs, 1, 1, dtype=torch.float64)


@pytest.mark.parametrize("scale", [0.1, 1.0, 6.0])
@pytest.mark.parametrize(("name", "channels", "levels"), CASES)
def test_masses_of_all_levels_add_up_to_one(name: ObservationName, channels: int, levels: int, scale: float) -> None:
    """In each channel; the other channels stay at one level, whose mass is divided out."""
    model, log_sigma = observation(name, channels, levels), torch.tensor(math.log(0.3), dtype=torch.float64)
    outputs = outputs_for(name, channels, levels, scale).expand(levels, -1, -1, -1)
    images = torch.zeros(levels, channels, 1, 1, dtype=torch.float64)
    images[:, 0, 0, 0] = torch.arange(levels) / (levels - 1)
    total = (-model.mass_nats(images, outputs, log_sigma)).logsumexp(dim=0)
    if channels > 1:  # what the others contribute, by a model of the first channel alone
        alone = observation(name, 1, levels)
        rest = outputs[:1].unflatten(1, (channels, -1))[0, 1:]
        total = total + alone.mass_nats(images[:1, 1:].flatten(0, 1)[:, None], rest, log_sigma).sum()
    assert total.exp().item() == pytest.approx(1.0, abs=1e-9)


def test_masses_are_those_of_scipy() -> None:
    levels, x = 17, np.arange(17) / 16
    images = torch.tensor(x)[:, None, None, None]
    edges = np.concatenate([[-np.inf], 2 * (x[:-1] + 1 / 32) - 1, [np.inf]])
    sigma, mean = 0.4, 0.37

    def masses(name: ObservationName, *numbers: float) -> np.ndarray:
        model = observation(name, 1, levels)
        outputs = torch.tensor(numbers, dtype=torch.float64)[None, :, None, None].expand(levels, -1, 1, 1)
        log_sigma = torch.tensor(math.log(sigma), dtype=torch.float64)
        return (-model.mass_nats(images, outputs, log_sigma)).exp().numpy()

    expected = np.diff(logistic.cdf(edges, mean, sigma))
    np.testing.assert_allclose(masses("gaussian", mean), np.diff(norm.cdf(edges, mean, sigma)), rtol=1e-9)
    np.testing.assert_allclose(masses("logistic", mean, math.log(sigma)), expected, rtol=1e-9)
    expected = binom.pmf(np.arange(levels), levels - 1, 1 / (1 + math.exp(-mean)))
    np.testing.assert_allclose(masses("bernoulli", mean), expected, rtol=1e-9)


def test_equal_components_are_one_logistic() -> None:
    images = (torch.rand(4, 3, 5, 5, dtype=torch.float64) * 255).round() / 255
    outputs = torch.randn(4, 3, 2, 1, 5, 5, dtype=torch.float64)
    weights = torch.randn(4, 3, 1, 5, 5, 5, dtype=torch.float64)
    mixed = torch.cat([outputs.expand(-1, -1, -1, 5, -1, -1), weights], dim=2)
    single, mixture = observation("logistic", 3, 256), observation("logistic_mixture", 3, 256)
    zero = torch.zeros(())
    mixed, outputs = mixed.flatten(1, 3), outputs.flatten(1, 3)
    torch.testing.assert_close(mixture.mass_nats(images, mixed, zero), single.mass_nats(images, outputs, zero))
    torch.testing.assert_close(mixture.mean(mixed), single.mean(outputs))


@pytest.mark.parametrize(("channels", "levels", "words"), [(3, 2, "colour"), (1, 256, "256 levels")])
def test_bernoulli_is_refused_where_it_gives_no_mass_to_a_level(channels: int, levels: int, words: str) -> None:
    with pytest.raises(WorkbenchError, match=words) as raised:
        Bernoulli(channels, levels)
    assert str(raised.value).count(".") == 1 and "choose gaussian or logistic" in str(raised.value)


def test_a_far_logistic_stays_finite_in_single_precision() -> None:
    images = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1).mul(255).round() / 255
    outputs = torch.tensor([40.0, -9.0], requires_grad=True).view(1, 2, 1, 1).expand(3, 2, 1, 1)
    nats = observation("logistic", 1, 256).mass_nats(images, outputs, torch.zeros(()))
    assert torch.isfinite(nats).all() and nats[2] < 1e-3 < nats[0]


def test_a_pixel_far_from_a_gaussian_costs_all_that_it_costs() -> None:
    """200 deviations out, where masses are below the smallest number, the tail's asymptote still tells them."""
    images, outputs = torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), -1.0)
    nats = observation("gaussian", 1, 256).mass_nats(images, outputs, torch.tensor(0.01).log())
    assert nats.item() == pytest.approx(-norm.logsf((2 - 1 / 255) / 0.01), rel=1e-5) and nats.item() > 19_000


def test_the_levels_of_digits_come_back_exactly() -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    known = dict(enumerate(bunch.images))  # type: ignore[attr-defined]
    data = datasets.load("digits")
    assert data.levels == 17
    for split in (data.train, data.val, data.test):
        images = torch.from_numpy(np.array(split.images)).permute(0, 3, 1, 2).float() / 255
        expected = np.stack([known[int(index)] for index in split.ids])
        assert (level_index(images, 17)[:, 0].numpy() == expected).all()
        np.testing.assert_allclose(on_grid(images, 17)[:, 0].numpy(), expected / 8 - 1, atol=1e-6)


def test_data_sets_know_their_levels() -> None:
    assert datasets.load("digits", datasets.DataOptions(image_size=16)).levels == 256
    split = datasets.load("digits").test
    white = np.full_like(split.images, 255)
    white[0, 0, 0] = 0
    assert datasets._binary({"test": datasets.Split(white, None, None, split.ids)})
    assert not datasets._binary({"test": split})


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("log_sigma", [-6.0, -2.0, 1.0])
@pytest.mark.parametrize("centre", [-1.4, 0.003, 0.9])
def test_the_gaussian_decoders_masses_add_up_to_one(levels: int, log_sigma: float, centre: float) -> None:
    values = (2 * torch.arange(levels, dtype=DOUBLE) / (levels - 1) - 1)[:, None]
    nats = gaussian_decoder_nll(values, torch.full_like(values, centre), torch.tensor(log_sigma, dtype=DOUBLE), levels)
    assert float((-nats).exp().sum()) == pytest.approx(1.0, abs=1e-12)


def test_the_gaussian_decoder_is_finite_far_out_and_so_is_its_gradient() -> None:
    values = torch.tensor([[-1.0], [0.2], [1.0]])
    mean = torch.tensor([[3.0], [-1.0], [-1.0]], requires_grad=True)
    nats = gaussian_decoder_nll(values, mean, torch.tensor(-4.5))
    # The log-density of the nearer edge, up to the logarithm of the tail's ratio.
    edge = torch.tensor([4.0 - 1 / 255, 1.2 - 1 / 255, 2.0 - 1 / 255]) * math.exp(4.5)
    torch.testing.assert_close(nats, 0.5 * edge.square(), rtol=2e-3, atol=0)
    nats.sum().backward()
    assert mean.grad is not None and torch.isfinite(mean.grad).all() and (mean.grad != 0).all()


@pytest.mark.parametrize(("levels", "gamma"), [(256, -13.3), (256, -6.0), (17, -7.9), (2, 0.0)])
def test_the_level_term_is_the_softmax_of_the_paper(levels: int, gamma: float) -> None:
    rng = torch.Generator().manual_seed(0)
    index = torch.randint(levels, (3, 2, 4, 4), generator=rng)
    noise = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    values = level_values(levels, dtype=DOUBLE)
    assert values.mean().abs() < 1e-12 and float(values[-1]) == pytest.approx(1 - 1 / levels)
    noisy = values[index] + math.exp(gamma / 2) * noise
    logits = -0.5 * math.exp(-gamma) * (noisy[..., None] - values).square()
    expected = -logits.log_softmax(dim=-1).gather(-1, index[..., None]).flatten(1).sum(dim=1)
    at = torch.tensor(gamma, dtype=DOUBLE)
    torch.testing.assert_close(level_nll(index, noise, at, levels), expected, rtol=1e-9, atol=1e-12)
    part = level_nll(index, noise, at, levels, level_window(gamma, levels))
    torch.testing.assert_close(part, expected, rtol=1e-12, atol=1e-9)
    single = level_nll(index, noise.float(), torch.tensor(gamma), levels)
    torch.testing.assert_close(single, expected.float(), rtol=1e-4, atol=1e-5)


def test_few_levels_are_summed_at_the_published_noise() -> None:
    assert level_window(-13.3, 256) == 3 and level_window(0.0, 256) == 255
