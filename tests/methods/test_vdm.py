"""Variational diffusion: its bound, its samplers and its schedule, where the best denoiser is known."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.methods.continuous import IMAGES, KEYS, check_moments, gaussian_noise, pictures, put_nan, set_image, settings
from workbench.data import keyed
from workbench.errors import WorkbenchError
from workbench.methods.base import Batch, ImageSpec, evaluation_mode
from workbench.methods.vdm import DEFAULT_STEPS, FULL_DRAWS, VDM, VDMConfig
from workbench.probability import diffusion, observation


def small(images: ImageSpec = IMAGES, **changes: Any) -> VDM:
    torch.manual_seed(0)
    return VDM(VDMConfig(**settings(images, **changes)), images)


def test_the_first_noise_level_and_the_fourier_features_suit_the_levels() -> None:
    """A bin's half width is three standard deviations of the noise; periods are one and two levels."""
    published, few = small(ImageSpec(3, 8)), small()
    assert published.low == pytest.approx(-13.3, abs=0.02) and few.low == pytest.approx(-7.86, abs=0.01)
    assert published.denoiser.frequencies == (2**6, 2**7) and few.denoiser.frequencies == (4.25, 8.5)
    values = observation.level_values(256, dtype=torch.float64)
    torch.testing.assert_close((2 * math.pi * 2**7 * values).cos(), torch.full_like(values, -1.0))
    assert published.denoiser.unet.conv_in.in_channels == 15


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_pixels_scale_there_and_back(levels: int) -> None:
    model = small(ImageSpec(1, 8, levels))
    images = torch.arange(levels).reshape(levels, 1, 1, 1) / (levels - 1)
    torch.testing.assert_close(model.scaled(images).flatten(), observation.level_values(levels))
    torch.testing.assert_close(model.pictures(model.scaled(images)), images)


def test_a_perfect_denoiser_pays_only_for_the_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = small(), pictures()
    set_image(model, observation.level_values(17)[(16 * images).round().long()], monkeypatch)
    terms = model.nats_terms(images, KEYS)
    assert terms["diffusion"].abs().max() < 1e-3
    # Noise of 1 / 6 bins takes a pixel for another level in 1 of 400 times.
    assert 0 < terms["reconstruction"].mean().item() < 64 * 0.02
    a, s = diffusion.amplitudes(torch.tensor(5.0))
    x = observation.level_values(17)[(16 * images).round().long()]
    prior = 0.5 * (a**2 * x.square() + s**2 - s.square().log() - 1).flatten(1).sum(dim=1)
    torch.testing.assert_close(terms["prior"], prior, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("schedule", ["linear", "learned"])
@pytest.mark.parametrize("steps", [None, 8, 400])
def test_the_bound_of_coins_is_their_entropy(schedule: str, steps: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels that are one of two levels by chance: the best denoiser is a tanh, and ln 2 a pixel the best bound.

    In continuous time and with many steps it is reached, whatever the schedule; few steps cost more.
    """
    images = ImageSpec(1, 16, levels=2)
    model = small(images, schedule=schedule, likelihood_steps=steps, likelihood_draws=400, gamma_high=8.0)

    def best(x: Tensor, gamma: Tensor) -> Tensor:
        a, s = diffusion.amplitudes(diffusion.spread(gamma, x))
        return diffusion.convert(0.5 * torch.tanh(0.5 * a * x / s.square()), x, gamma, "x0", "eps")

    monkeypatch.setattr(model.ema, "forward", best)
    coins = pictures(images, 16)
    with evaluation_mode(model):
        nats = model.nats_per_image(coins, keyed.sample_keys(0, 0, torch.arange(16))).mean() / 256
    if steps == 8:
        assert float(nats) > math.log(2) + 0.05
    else:
        assert float(nats) == pytest.approx(math.log(2), abs=0.02)


def test_all_of_few_steps_are_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(likelihood_steps=5, likelihood_draws=16)
    levels = []
    monkeypatch.setattr(model.ema, "forward", lambda x, gamma: levels.append(gamma) or x)
    model.nats_terms(pictures(), KEYS)
    line = torch.linspace(model.low, model.high, 6)[1:]
    torch.testing.assert_close(torch.stack(levels), line[:, None].expand(5, 6), rtol=0, atol=1e-4)


def test_in_full_means_all_steps_or_many_levels_and_the_protocol_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    for steps, count, words in ((30, 30, "all 30 steps"), (None, FULL_DRAWS, "from 128 evenly spread")):
        model, levels = small(likelihood_steps=steps), []
        monkeypatch.setattr(model.ema, "forward", lambda x, gamma, calls=levels: calls.append(gamma) or x)
        few, whole = model.nats_terms(pictures(), KEYS), model.full_nats_terms(pictures(), KEYS)
        assert len(levels) == 16 + count and list(few) == list(whole) and model.likelihood_sampled
        assert words in model.likelihood_in_full and "from 16 noise levels per image" in model.likelihood_drawn
        assert ("continuous time" if steps is None else "of 30 steps") in model.likelihood_note
    alone = small(likelihood_steps=16)
    assert not alone.likelihood_sampled and alone.likelihood_drawn == alone.likelihood_in_full


def test_the_loss_is_the_bound_that_is_evaluated() -> None:
    """In bits per dimension and without averaged weights: over many draws both have one mean."""
    model, images = small(flip=0.0, likelihood_draws=64), pictures()
    with torch.no_grad():
        losses = []
        for epoch in range(64):
            step = model(Batch((images,), keyed.sample_keys(0, epoch, torch.arange(6))), 0.0)
            losses.append(step.loss)
            terms = ("prior_bits_per_dim", "reconstruction_bits_per_dim", "diffusion_bits_per_dim")
            torch.testing.assert_close(sum(step.logs[term] for term in terms), step.loss)
        bits = model.nats_per_image(images, KEYS).mean() / (64 * math.log(2))
    assert float(torch.stack(losses).mean()) == pytest.approx(float(bits), rel=0.02)


@pytest.mark.parametrize("sampler", list(DEFAULT_STEPS))
@pytest.mark.parametrize("steps", [1, 7, 300])
def test_samples_of_a_single_image(sampler: str, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, image = small(), pictures(n=1)
    set_image(model, model.scaled(image), monkeypatch)
    samples = model.sample(2, seed=0, steps=steps, sampler=sampler)
    # The last noise is 1 / 6 of a bin: rounding to the nearest level takes it away.
    assert torch.equal((16 * samples).round(), (16 * image).round().expand(2, -1, -1, -1))


def test_a_perfect_denoiser_reconstructs_perfectly(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = small(), pictures()
    set_image(model, model.scaled(images), monkeypatch)
    for reconstruction in model.reconstruct(images, KEYS).values():
        assert torch.equal((16 * reconstruction).round(), (16 * images).round())


def test_the_network_is_asked_for_no_noise_that_it_was_not_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named levels beyond ends that have been learned become the ends."""
    model, levels = small(feature_steps=(1, 1000), reconstruct_steps=(1000, 1)), []
    with torch.no_grad():
        model.schedule.margin.fill_(3.0)
        model.schedule.width.fill_(8.0)
        first, last = (float(end) for end in model.schedule.ends())
    assert model.low < first - 0.1 and last < model.high
    for network in (model.ema.module, model.ema):
        inner = network.forward
        monkeypatch.setattr(
            network, "forward", lambda x, gamma, inner=inner: levels.append(float(gamma)) or inner(x, gamma)
        )
    with evaluation_mode(model):
        model.encode(pictures())
        assert levels == [pytest.approx(first), pytest.approx(last)]
        model.reconstruct(pictures(), KEYS)
    assert min(levels) >= first - 1e-5 and max(levels) <= last + 1e-5 and len(levels) > 10


def test_samples_of_gaussian_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the best denoiser of N(0, 0.3^2) pixels, ancestral steps end in that distribution."""
    model = small(ImageSpec(1, 32), gamma_high=9.0)
    monkeypatch.setattr(model.ema, "forward", lambda x, gamma: gaussian_noise(x, gamma, 0.3))
    with evaluation_mode(model):
        samples = model.scaled(model.sample(8, seed=0, steps=300, sampler="ancestral"))
    check_moments(samples, 0.3, 0.01)


def test_the_learned_schedule_lowers_the_variance_of_the_bound() -> None:
    """Trained alone, on the variance, with a network that says nothing."""
    model, images = small(schedule="learned", learn_ends=False), pictures()
    schedule = [parameter for parameter in model.schedule.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(schedule, lr=0.03)
    variances = []
    for epoch in range(60):
        step = model(Batch((images.repeat(8, 1, 1, 1),), keyed.sample_keys(0, epoch, torch.arange(48))), 0.0)
        gradients = torch.autograd.grad(step.loss, schedule)
        for parameter, gradient in zip(schedule, gradients, strict=True):
            parameter.grad = gradient
        optimiser.step()
        variances.append(float(step.logs["bound_variance"]))
    assert sum(variances[-5:]) < 0.7 * sum(variances[:5])


def test_averaged_weights_come_back_from_a_checkpoint() -> None:
    model, other = small(), small()
    with torch.no_grad():
        for parameter in model.denoiser.parameters():
            parameter.add_(1.0)
    model.after_step(0.5)
    other.load_state_dict(model.state_dict())
    for each in (model, other):
        each.after_step(0.5)
    assert int(other.ema.updates) == 2
    for ours, theirs in zip(model.ema.parameters(), other.ema.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_copy_of_averaged_weights_counts_its_own_updates() -> None:
    model = small()
    copied = copy.deepcopy(model)
    for _ in range(3):
        model.after_step(0.5)
    copied.load_state_dict(model.state_dict())
    copied.after_step(0.5)
    model.after_step(0.5)
    for ours, theirs in zip(model.ema.parameters(), copied.ema.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert copied.ema._updates == model.ema._updates == 4


@pytest.mark.parametrize("sampler", list(DEFAULT_STEPS))
def test_nan_in_a_sampler_is_told_in_one_sentence(sampler: str) -> None:
    model = small()
    put_nan(model)
    with evaluation_mode(model), pytest.raises(WorkbenchError, match=f"{sampler} ended in NaN or infinity in 2 of 2"):
        model.sample(2, seed=0, steps=2, sampler=sampler)


def test_bad_options_are_told() -> None:
    with pytest.raises(WorkbenchError, match="at least 1, not 0"):
        small().sample(1, seed=0, steps=0)
    with pytest.raises(WorkbenchError, match="Unknown sampler"):
        small().sample(1, seed=0, sampler="ancestor")
    with pytest.raises(WorkbenchError, match="noise grows with time"):
        small(gamma_low=5.0, gamma_high=5.0)
    with pytest.raises(WorkbenchError, match="cannot halve"):
        small(ImageSpec(1, 9))
