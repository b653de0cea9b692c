"""The mathematics of VAE and DDPM against other ways to the same numbers."""

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch.distributions import Independent, Normal, kl_divergence

from workbench.data import keyed
from workbench.methods.base import ImageSpec, evaluation_mode
from workbench.methods.ddpm import DDPM, DEFAULT_STEPS, DDPMConfig, ddim_step, ema_decay, sampling_steps
from workbench.methods.vae import VAE, VAEConfig, discretised_gaussian_nll, gaussian_kl, gaussian_nll
from workbench.networks.unet import unet


def test_kl_and_likelihood_are_those_of_torch_distributions() -> None:
    torch.manual_seed(0)
    mean, log_variance, x = torch.randn(5, 7), torch.randn(5, 7), torch.randn(5, 3, 4, 4)
    posterior = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
    prior = Independent(Normal(torch.zeros(5, 7), torch.ones(5, 7)), 1)
    torch.testing.assert_close(gaussian_kl(mean, log_variance), kl_divergence(posterior, prior))
    centre, log_sigma = torch.randn(5, 3, 4, 4), torch.tensor(-0.7)
    expected = -Normal(centre, log_sigma.exp()).log_prob(x).flatten(1).sum(dim=1)
    torch.testing.assert_close(gaussian_nll(x, centre, log_sigma), expected)


@pytest.mark.parametrize("log_sigma", [-5.0, -2.0, 1.0])
@pytest.mark.parametrize("centre", [-1.4, 0.003, 0.9])
def test_the_masses_of_all_pixel_values_add_up_to_one(log_sigma: float, centre: float) -> None:
    values = (2 * torch.arange(256) / 255 - 1)[:, None]
    nats = discretised_gaussian_nll(values, torch.full((256, 1), centre), torch.tensor(log_sigma))
    assert (-nats.double()).exp().sum().item() == pytest.approx(1.0, abs=1e-5)


def test_fine_bins_approach_the_density() -> None:
    """Far from the ends, mass divided by the bin's width is the density."""
    x, centre, log_sigma = torch.full((1, 1), 101 / 255), torch.full((1, 1), 0.3), torch.tensor(-1.0)
    density = gaussian_nll(x, centre, log_sigma)
    mass = discretised_gaussian_nll(x, centre, log_sigma) + torch.tensor(2 / 255).log()
    torch.testing.assert_close(mass, density, rtol=1e-3, atol=1e-3)


def test_the_elbo_is_below_the_importance_weighted_bound() -> None:
    """Averaging K weights inside the logarithm can only raise the bound (Burda et al. 2016, theorem 1)."""
    torch.manual_seed(0)
    model = VAE(VAEConfig(latent_dim=3, width=8), ImageSpec(1, 8))
    images = torch.rand(4, 1, 8, 8).mul(255).round() / 255
    with evaluation_mode(model):
        mean, log_variance = model.posterior(images)
        posterior = Normal(mean, (0.5 * log_variance).exp())
        weights = []
        for _ in range(200):
            z = posterior.sample()
            likelihood = -discretised_gaussian_nll(2 * images - 1, model.decoder(z), model.log_sigma)
            prior = Normal(0.0, 1.0).log_prob(z).sum(dim=1)
            weights.append(likelihood + prior - posterior.log_prob(z).sum(dim=1))
        tight = torch.stack(weights).logsumexp(dim=0) - torch.tensor(200.0).log()
        keys = [keyed.sample_keys(seed, 0, torch.arange(4)) for seed in range(50)]
        elbo = -torch.stack([model.nats_per_image(images, key) for key in keys]).mean(dim=0)
    assert (elbo <= tight + 0.05).all()


def test_published_unet_has_the_published_size() -> None:
    with torch.device("meta"):
        network = unet(32, 3, (128, 256, 256, 256), 2, 16, 0.1)
    assert sum(parameter.numel() for parameter in network.parameters()) == 35_746_307


def small(**changes) -> DDPM:
    torch.manual_seed(0)
    return DDPM(DDPMConfig(widths=(8, 16), layers=1, attention_size=4, dropout=0.0, **changes), ImageSpec(1, 8))


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_noising_is_that_of_diffusers(schedule) -> None:
    model = small(noise_schedule=schedule)
    images, noise, steps = torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8), torch.tensor([0, 10, 500, 999])
    expected = DDPMScheduler(**model.schedule).add_noise(images, noise, steps)  # type: ignore[arg-type]
    torch.testing.assert_close(model.noised(images, steps, noise), expected)


def test_a_perfect_denoiser_reconstructs_perfectly(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the true noise as its prediction, DDIM goes back to the image it came from."""
    model, images = small(), torch.rand(3, 1, 8, 8)

    class Oracle:
        def __init__(self, x, step) -> None:
            signal = model.signal[int(step)]
            self.sample = (x - signal.sqrt() * (2 * images - 1)) / (1 - signal).sqrt()

    monkeypatch.setattr(model.ema, "forward", Oracle)
    for variant in model.reconstruct(images, torch.arange(3)).values():
        torch.testing.assert_close(variant, images, rtol=0, atol=1e-4)


@pytest.mark.parametrize("sampler", list(DEFAULT_STEPS))
@pytest.mark.parametrize("steps", [1, 7, 600, 1000])
def test_every_sampler_finds_the_only_image_there_is(sampler: str, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all data is one image the best denoiser is known, and any number of steps must end at that image."""
    model, image = small(), torch.rand(1, 1, 8, 8)
    levels = []

    class Oracle:
        def __init__(self, x, step) -> None:
            levels.append(int(step))
            signal = model.signal[int(step)]
            self.sample = (x - signal.sqrt() * (2 * image - 1)) / (1 - signal).sqrt()

    monkeypatch.setattr(model.ema, "forward", Oracle)
    drawn = model.sample(2, seed=0, steps=steps, sampler=sampler)
    torch.testing.assert_close(drawn, image.expand(2, -1, -1, -1), rtol=0, atol=2e-3)
    assert levels[0] == 999 and len(levels) == steps and levels == sorted(set(levels), reverse=True)


@pytest.mark.parametrize("steps", [4, 50, 1000])
def test_ddim_is_that_of_diffusers(steps: int) -> None:
    """diffusers can only do numbers of steps that divide T."""
    torch.manual_seed(0)
    model, noises = small(), torch.randn(steps, 2, 1, 8, 8)
    scheduler = DDIMScheduler(**model.schedule, timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    levels = sampling_steps(1000, steps)
    assert scheduler.timesteps.tolist() == levels
    ours = theirs = torch.randn(2, 1, 8, 8)
    for level, after, noise in zip(levels, [*levels[1:], None], noises, strict=True):
        ours = ddim_step(ours, noise, model.signal[level], 1.0 if after is None else model.signal[after])
        scheduler.final_alpha_cumprod = torch.tensor(1.0)
        theirs = scheduler.step(noise, level, theirs, use_clipped_model_output=True, return_dict=False)[0]
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_averaged_weights_follow_and_come_back_from_a_checkpoint() -> None:
    assert ema_decay(0.9999, 1) == pytest.approx(2 / 11) and ema_decay(0.99, 10**6) == 0.99
    model, other = small(), small()
    with torch.no_grad():
        for parameter in model.unet.parameters():
            parameter.add_(1.0)
    before = next(model.ema.parameters()).clone()
    model.after_step(0.5)
    expected = before + (1 - ema_decay(model.config.ema, 1)) * 1.0
    torch.testing.assert_close(next(model.ema.parameters()), expected)
    other.load_state_dict(model.state_dict())
    for each in (model, other):
        each.after_step(0.5)
    assert torch.equal(next(model.ema.parameters()), next(other.ema.parameters()))
