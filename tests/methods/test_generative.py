"""The mathematics of the VAE against other ways to the same numbers."""

from typing import Any

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from workbench.data import keyed
from workbench.errors import WorkbenchError
from workbench.methods.base import ImageSpec, evaluation_mode
from workbench.methods.hvae import HVAE, HVAEConfig
from workbench.methods.vae import VAE, VAEConfig
from workbench.probability.latent import gaussian_kls
from workbench.probability.observation import gaussian_decoder_nll, gaussian_nll


def test_kl_and_likelihood_are_those_of_torch_distributions() -> None:
    torch.manual_seed(0)
    mean, log_variance, x = torch.randn(5, 7), torch.randn(5, 7), torch.randn(5, 3, 4, 4)
    posterior = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
    prior = Independent(Normal(torch.zeros(5, 7), torch.ones(5, 7)), 1)
    torch.testing.assert_close(gaussian_kls(mean, log_variance).sum(dim=1), kl_divergence(posterior, prior))
    centre, log_sigma = torch.randn(5, 3, 4, 4), torch.tensor(-0.7)
    expected = -Normal(centre, log_sigma.exp()).log_prob(x).flatten(1).sum(dim=1)
    torch.testing.assert_close(gaussian_nll(x, centre, log_sigma), expected)


@pytest.mark.parametrize("build", [lambda: VAE(VAEConfig(latent_dim=3, width=8), ImageSpec(1, 8)),
                                   lambda: HVAE(HVAEConfig(groups=2, width=8, blocks=1), ImageSpec(1, 8))])  # fmt: skip
@pytest.mark.parametrize("options", [{"steps": -5}, {"sampler": "nonsense"}], ids=str)
def test_who_draws_in_one_pass_refuses_steps_and_samplers(build: Any, options: dict[str, Any]) -> None:
    with pytest.raises(WorkbenchError, match=r"in one pass.*leave out --steps and --sampler"):
        build().sample(1, 0, **options)


def test_noise_that_the_observation_has_not_is_refused() -> None:
    with pytest.raises(WorkbenchError, match=r"--noise is the standard deviation.*--observation logistic has none"):
        VAE(VAEConfig(observation="logistic", noise=0.1), ImageSpec(1, 8))


def test_fine_bins_approach_the_density() -> None:
    """Far from the ends, mass divided by the bin's width is the density."""
    x, centre, log_sigma = torch.full((1, 1), 101 / 255), torch.full((1, 1), 0.3), torch.tensor(-1.0)
    density = gaussian_nll(x, centre, log_sigma)
    mass = gaussian_decoder_nll(x, centre, log_sigma) + torch.tensor(2 / 255).log()
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
            likelihood = -gaussian_decoder_nll(2 * images - 1, model.decoder(z), model.log_sigma)
            prior = Normal(0.0, 1.0).log_prob(z).sum(dim=1)
            weights.append(likelihood + prior - posterior.log_prob(z).sum(dim=1))
        tight = torch.stack(weights).logsumexp(dim=0) - torch.tensor(200.0).log()
        keys = [keyed.sample_keys(seed, 0, torch.arange(4)) for seed in range(50)]
        elbo = -torch.stack([model.nats_per_image(images, key) for key in keys]).mean(dim=0)
    assert (elbo <= tight + 0.05).all()
