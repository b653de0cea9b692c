"""The VAE against a model whose likelihood has a closed form, and its options against what they say."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from workbench.data import keyed
from workbench.errors import WorkbenchError
from workbench.methods.base import Batch, ImageSpec, evaluation_mode
from workbench.methods.hvae import HVAE, HVAEConfig
from workbench.methods.vae import UNKNOWN, VAE, VAEConfig
from workbench.probability.latent import collapse, free_kl, gaussian_kls, importance_weighted_nats, kl_weight, usage
from workbench.probability.observation import gaussian_decoder_nll, gaussian_nll

FINE = ImageSpec(1, 4, levels=2**20)  # so fine that a level's mass is its density times its width
SIGMA, LATENT = 0.1, 3


class Linear(nn.Module):
    """Flat images -> a linear map of them, or codes -> images."""

    def __init__(self, weight: Tensor, bias: Tensor, shape: tuple[int, ...], scale: float = 1.0) -> None:
        super().__init__()
        self.weight, self.bias, self.shape, self.scale = weight, bias, shape, scale

    def forward(self, x: Tensor) -> Tensor:
        return (self.scale * x.flatten(1) @ self.weight.T + self.bias).unflatten(1, self.shape)


def linear_gaussian(worse: float = 0.0) -> tuple[VAE, MultivariateNormal]:
    """x = W z + b + sigma e in [-1, 1], its density, and its posterior, the ln variance too high by ``worse``."""
    torch.manual_seed(0)
    model = VAE(VAEConfig(latent_dim=LATENT, width=8, noise=SIGMA), FINE).double()
    weight = 0.1 * torch.randn(16, LATENT, dtype=torch.float64)
    bias = 0.1 * torch.randn(16, dtype=torch.float64)
    precision = torch.eye(LATENT, dtype=torch.float64) + weight.T @ weight / SIGMA**2
    # A rotation of the code leaves the model as it is and makes the posterior's covariance diagonal.
    values, vectors = torch.linalg.eigh(precision)
    weight = weight @ vectors
    gain = (weight / values).T / SIGMA**2
    full_gain = torch.cat([gain, torch.zeros_like(gain)])
    log_variance = -values.log() + worse
    offset = torch.cat([-gain @ bias, log_variance])
    model.decoder = Linear(weight, bias, (1, 4, 4))  # type: ignore[assignment]
    model.encoder = Linear(full_gain, offset, (2 * LATENT,))  # type: ignore[assignment]
    covariance = weight @ weight.T + SIGMA**2 * torch.eye(16, dtype=torch.float64)
    return model, MultivariateNormal(bias, covariance)


def images_and_nats(density: MultivariateNormal, n: int) -> tuple[Tensor, Tensor]:
    """Images in [0, 1] on the fine grid and their exact negative log mass (n,)."""
    torch.manual_seed(1)
    fine = FINE.levels - 1
    images = (((density.sample((n,)) + 1) / 2).mul(fine).round() / fine).view(n, 1, 4, 4)
    assert images.min() > 0.01 and images.max() < 0.99  # the outer bins, which are open, play no part
    return images, -(density.log_prob((2 * images - 1).flatten(1)) + 16 * math.log(2 / fine))


def test_with_the_exact_posterior_every_bound_is_the_likelihood() -> None:
    model, density = linear_gaussian()
    images, exact = images_and_nats(density, 8)
    keys = keyed.sample_keys(0, 0, torch.arange(8))
    with evaluation_mode(model):
        for k in (1, 2, 7):  # each weight is p(x), whatever z
            torch.testing.assert_close(model.iwae_nats(images, keys, k), exact, rtol=1e-6, atol=1e-4)
        elbo = torch.stack([model.nats_per_image(images, keyed.fork(keys, draw)) for draw in range(4000)])
    error = elbo.std(dim=0) / math.sqrt(len(elbo))
    assert ((elbo.mean(dim=0) - exact).abs() < 4 * error).all() and (error < 0.1).all()


def test_the_training_loss_is_the_density_of_the_same_bound() -> None:
    model, density = linear_gaussian()
    images, exact = images_and_nats(density, 8)
    keys = keyed.sample_keys(0, 0, torch.arange(8))
    with evaluation_mode(model):
        losses = torch.stack([model(Batch((images,), keyed.fork(keys, draw)), 1.0).loss for draw in range(2000)])
    expected = exact.mean() + 16 * math.log(2 / (FINE.levels - 1))
    assert abs(losses.mean() - expected) < 4 * losses.std() / math.sqrt(2000)


def test_the_importance_weighted_bound_rises_with_k_towards_the_likelihood() -> None:
    model, density = linear_gaussian(worse=1.0)
    images, exact = images_and_nats(density, 32)
    keys = [keyed.sample_keys(seed, 0, torch.arange(32)) for seed in range(20)]
    with evaluation_mode(model):
        gaps = [torch.stack([model.iwae_nats(images, key, k) - exact for key in keys]).mean() for k in (1, 4, 16, 64)]
        elbo = torch.stack([model.nats_per_image(images, key) - exact for key in keys])
    divergence = LATENT * (math.e - 2) / 2  # KL of the posterior to the exact one, which is what the ELBO lacks
    assert abs(elbo.mean() - divergence) < 4 * elbo.std() / math.sqrt(elbo.numel())
    assert abs(gaps[0] - divergence) < 0.2 * divergence
    assert gaps[0] > 2 * gaps[1] > 2 * gaps[2] > 2 * gaps[3] > -0.02 and gaps[3] < 0.1 * gaps[0]
    with pytest.raises(WorkbenchError, match="at least 1 sample"):
        model.iwae_nats(images, keys[0], 0)


def test_importance_weights_are_averaged_inside_the_logarithm() -> None:
    weights = torch.randn(5, 3, dtype=torch.float64)
    expected = -weights.exp().mean(dim=0).log()
    torch.testing.assert_close(importance_weighted_nats(weights.__getitem__, 5), expected)


GREY = ImageSpec(1, 8)


def small(images: ImageSpec = GREY, **changes: Any) -> VAE:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"latent_dim": 4, "width": 8} | changes
    return VAE(VAEConfig(**settings), images)


def batch(images: ImageSpec = GREY, n: int = 6) -> Batch:
    keys = keyed.sample_keys(0, 0, torch.arange(n))
    pixels = (keyed.uniform(keys, images.channels, images.size, images.size) * (images.levels - 1)).round()
    return Batch((pixels / (images.levels - 1),), keys, torch.arange(n) % max(images.classes, 1))


def test_the_weight_of_the_kl_term_rises_and_stays() -> None:
    assert [kl_weight(progress, 0.4, 2.0) for progress in (0.0, 0.1, 0.4, 1.0)] == [0.0, 0.5, 2.0, 2.0]
    assert kl_weight(0.0, 0.0) == 1.0
    warm, plain = small(kl_warmup=0.5), small()
    half, whole = warm(batch(), 0.25), plain(batch(), 0.25)
    torch.testing.assert_close(half.loss, whole.loss - 0.5 * whole.logs["kl_nats"])
    torch.testing.assert_close(warm(batch(), 0.5).loss, whole.loss)


def test_free_bits_are_for_each_dimension_and_stop_its_gradient() -> None:
    kls = torch.tensor([[0.1, 3.0], [0.3, 1.0]], requires_grad=True)
    charged = free_kl(kls, 0.5)
    charged.backward()
    assert charged.item() == pytest.approx(0.5 + 2.0)
    assert kls.grad is not None and kls.grad.tolist() == [[0.0, 0.5], [0.0, 0.5]]
    assert free_kl(kls, 0.0).item() == pytest.approx(2.2)
    free, plain = small(free_bits=100.0)(batch(), 1.0), small()(batch(), 1.0)
    torch.testing.assert_close(free.loss, plain.logs["reconstruction_nats"] + 400.0)


def test_a_planted_posterior_collapse_is_named() -> None:
    model = small()
    *_, last = model.encoder.children()
    assert isinstance(last, nn.Linear)
    images = batch(n=40).views[0]

    def report() -> tuple[str | None, float]:
        keys = keyed.sample_keys(0, 0, torch.arange(40))
        with evaluation_mode(model):
            means, kls = (part.numpy() for part in model.latents(images, keys))
            logged = model(Batch((images,), keys), 1.0).logs["active_units"].item()
        groups = usage(means, kls, model.latent_groups)
        assert groups[0].active == logged and groups[0].kl == pytest.approx(kls.sum(axis=1).mean(), rel=1e-5)
        return collapse(groups), logged

    with torch.no_grad():
        last.weight.mul_(100)
    assert report() == (None, 4)
    with torch.no_grad():
        last.weight[1:4] = 0  # three of four means are the prior's
        assert report() == (None, 1)
        last.weight.zero_()
        last.bias.zero_()
    sentence, active = report()
    assert sentence is not None and sentence.startswith("Posterior collapse: the 4 ") and active == 0


def test_active_units_are_counted_group_by_group() -> None:
    means = np.zeros((10, 3))
    means[:, 2] = np.arange(10)
    groups = usage(means, np.full((10, 3), 0.5), {"z_1": 2, "z_2": 1})
    assert [(group.active, group.kl) for group in groups] == [(0, 1.0), (1, 0.5)]
    assert (collapse(groups) or "").startswith("Not used: z_1 of 2 groups")


def test_kl_terms_add_up() -> None:
    model = small()
    images, keys = batch().views[0], batch().keys
    with evaluation_mode(model):
        _, kls = model.latents(images, keys)
        torch.testing.assert_close(kls.sum(dim=1), model.nats_terms(images, keys)["kl"])
    torch.testing.assert_close(gaussian_kls(torch.tensor([1.0]), torch.tensor([0.0])), torch.tensor([0.5]))


LABELLED = ImageSpec(1, 8, 17, classes=3)


def test_a_class_conditional_bound_is_that_of_the_mixture_of_classes() -> None:
    model, (images,), keys = small(LABELLED, conditional=True), batch(LABELLED).views, batch(LABELLED).keys
    with evaluation_mode(model):
        terms = model.nats_terms(images, keys)
        each = torch.stack([model.label_nats(images, keys, torch.full_like(keys, label)) for label in range(3)])
        tight = model.iwae_nats(images, keys, 20)
    assert list(terms) == ["reconstruction", "kl", "label"] and (terms["label"] >= -1e-6).all()
    total, mixture = torch.stack(list(terms.values())).sum(dim=0), math.log(3) - (-each).logsumexp(dim=0)
    # q of other noise can only lose against the best q of this noise, and here does not lose much.
    assert (total >= mixture - 1e-3).all() and (total < mixture + 3).all()
    assert each.std(dim=0).min() > 0  # the label makes a difference
    assert tight.mean() < total.mean() + 1


def test_noise_in_the_bounds_of_labels_does_not_flatter_the_bound_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each label's bound is 100 nats on average, with noise of 3 nats, so is the image's, or worse."""
    model, n = small(LABELLED, conditional=True), 2000
    keys = keyed.sample_keys(0, 0, torch.arange(n))

    def noisy(images: Tensor, keys: Tensor, labels: Tensor) -> dict[str, Tensor]:
        noise = keyed.normal(keyed.mix(keys + labels), 1)[:, 0]
        return {"reconstruction": 90 + 3 * noise, "kl": torch.full_like(noise, 10.0)}

    monkeypatch.setattr(model, "_terms", noisy)
    total = model.nats_per_image(torch.zeros(n, 1, 8, 8), keys)
    assert total.mean() > 100 - 4 * total.std() / math.sqrt(n)


def test_labels_are_dropped_at_the_stated_rate_and_needed() -> None:
    model, n = small(LABELLED, conditional=True), 2000
    labels_seen: list[Tensor] = []
    inner = model._inputs

    def watched(images: Tensor, labels: Tensor | None) -> Tensor:
        assert labels is not None
        labels_seen.append(labels)
        return inner(images, labels)

    model._inputs = watched  # type: ignore[method-assign]
    whole = batch(LABELLED, n)
    model(whole, 0.5)
    unknown = (labels_seen[0] == UNKNOWN).float().mean().item()
    assert unknown == pytest.approx(0.1, abs=4 * math.sqrt(0.09 / n))
    assert ((labels_seen[0] == UNKNOWN) | (labels_seen[0] == whole.labels)).all()
    with pytest.raises(WorkbenchError, match="no labels"):
        model(Batch(whole.views, whole.keys), 0.5)
    with pytest.raises(WorkbenchError, match="no labels"):
        VAEConfig(conditional=True).for_classes(None, "data")
    with pytest.raises(WorkbenchError, match="needs images with labels"):
        small(ImageSpec(1, 8), conditional=True)


@pytest.mark.parametrize("network", ["conv", "vit"])
@pytest.mark.parametrize("name", ["gaussian", "bernoulli", "logistic", "logistic_mixture"])
def test_every_observation_and_network_trains(name: str, network: str) -> None:
    changes = {"observation": name, "network": network, "vit_width": 16, "depth": 1, "heads": 2, "patch": 4}
    model, whole = small(LABELLED, **changes), batch(LABELLED)
    model(whole, 1.0).loss.backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    assert {model.first_block, model.last_block} <= dict(model.named_modules()).keys()
    with evaluation_mode(model):
        assert (model.nats_per_image(whole.views[0], whole.keys) > 0).all()
        pixels = model.sample(3, 0)
    assert pixels.shape == (3, 1, 8, 8) and pixels.min() >= 0 and pixels.max() <= 1


def test_weights_and_loss_are_those_of_earlier_versions() -> None:
    """Names in a checkpoint, the order of parameters in an optimiser's state, and a loss from before the options."""
    model = small()
    names = [name for name, _ in model.named_parameters()]
    assert names[:2] == ["scaled_log_sigma", "encoder.0.weight"] and names[-1] == "decoder.6.bias" and len(names) == 33
    whole = batch()
    assert model(whole, 0.0).loss.item() == pytest.approx(69.3218994, rel=1e-5)
    with evaluation_mode(model):
        nats, pixels = model.nats_per_image(whole.views[0], whole.keys), model.sample(2, 0)
    assert nats[:3].tolist() == pytest.approx([395.550903, 370.331146, 373.707001], rel=1e-5)
    assert pixels.double().sum().item() == pytest.approx(60.176372, rel=1e-5)


def test_kl_and_likelihood_are_those_of_torch_distributions() -> None:
    torch.manual_seed(0)
    mean, log_variance, x = torch.randn(5, 7), torch.randn(5, 7), torch.randn(5, 3, 4, 4)
    posterior = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
    prior = Independent(Normal(torch.zeros(5, 7), torch.ones(5, 7)), 1)
    torch.testing.assert_close(gaussian_kls(mean, log_variance).sum(dim=1), kl_divergence(posterior, prior))
    centre, log_sigma = torch.randn(5, 3, 4, 4), torch.tensor(-0.7)
    expected = -Normal(centre, log_sigma.exp()).log_prob(x).flatten(1).sum(dim=1)
    torch.testing.assert_close(gaussian_nll(x, centre, log_sigma), expected)


@pytest.mark.parametrize("build", [small, lambda: HVAE(HVAEConfig(groups=2, width=8, blocks=1), GREY)])
@pytest.mark.parametrize("options", [{"steps": -5}, {"sampler": "nonsense"}], ids=str)
def test_who_draws_in_one_pass_refuses_steps_and_samplers(build: Any, options: dict[str, Any]) -> None:
    with pytest.raises(WorkbenchError, match=r"in one pass.*leave out --steps and --sampler"):
        build().sample(1, 0, **options)


def test_noise_that_the_observation_has_not_is_refused() -> None:
    with pytest.raises(WorkbenchError, match=r"--noise is the standard deviation.*--observation logistic has none"):
        small(observation="logistic", noise=0.1)


def test_fine_bins_approach_the_density() -> None:
    """Far from the ends, mass divided by the bin's width is the density."""
    x, centre, log_sigma = torch.full((1, 1), 101 / 255), torch.full((1, 1), 0.3), torch.tensor(-1.0)
    density = gaussian_nll(x, centre, log_sigma)
    mass = gaussian_decoder_nll(x, centre, log_sigma) + torch.tensor(2 / 255).log()
    torch.testing.assert_close(mass, density, rtol=1e-3, atol=1e-3)


def test_the_elbo_is_below_the_importance_weighted_bound() -> None:
    """Averaging K weights inside the logarithm can only raise the bound (Burda et al. 2016, theorem 1)."""
    model = small(latent_dim=3)
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
