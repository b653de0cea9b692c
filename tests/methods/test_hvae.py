"""The hierarchical VAE: its bound against its prior and posterior written out, its groups, what it says of them."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.utils.flop_counter import FlopCounterMode

from workbench.data import keyed
from workbench.errors import WorkbenchError
from workbench.methods.base import Batch, ImageSpec, evaluation_mode
from workbench.methods.hvae import HVAE, HVAEConfig, _Down
from workbench.probability.latent import collapse, gaussian_kls, usage

IMAGES = ImageSpec(1, 8, 17)


def small(images: ImageSpec = IMAGES, **changes: Any) -> HVAE:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"groups": 3, "latent_channels": 2, "width": 8, "blocks": 1} | changes
    return HVAE(HVAEConfig(**settings), images)


def batch(n: int = 6, images: ImageSpec = IMAGES) -> Batch:
    keys = keyed.sample_keys(0, 0, torch.arange(n))
    pixels = (keyed.uniform(keys, images.channels, images.size, images.size) * (images.levels - 1)).round()
    return Batch((pixels / (images.levels - 1),), keys)


@pytest.mark.parametrize(("size", "sides"), [(8, [1, 2, 4]), (28, [3, 7, 14]), (32, [4, 8, 16])])
def test_groups_stand_at_different_resolutions(size: int, sides: list[int]) -> None:
    model = small(ImageSpec(3, size))
    assert model.sides == sides
    assert model.latent_groups == {f"z_{number}": 2 * side**2 for number, side in enumerate(sides, start=1)}
    assert [part.shape[-1] for part in model._bottom_up(torch.rand(1, 3, size, size))] == sides


def test_an_image_that_cannot_be_halved_so_often_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="cannot be halved 4 times; --groups is at most 3"):
        small(groups=4)


def test_the_residual_kl_is_that_of_both_normal_distributions() -> None:
    """KL(N(m + s d, s^2 r) || N(m, s^2)) does not depend on the prior's m and s."""
    mean, scale, shift, ratio = torch.randn(4, 7), torch.rand(4, 7) + 0.1, torch.randn(4, 7), torch.rand(4, 7) + 0.1
    expected = kl_divergence(Normal(mean + scale * shift, scale * ratio.sqrt()), Normal(mean, scale))
    torch.testing.assert_close(gaussian_kls(shift, ratio.log()), expected, rtol=1e-4, atol=1e-5)


def test_codes_decode_to_the_reconstruction_and_samples_to_the_prior() -> None:
    model, whole = small(), batch()
    with evaluation_mode(model):
        codes = model.codes(whole.views[0])
        torch.testing.assert_close(model.decode(codes), model.reconstruct(whole.views[0], whole.keys)[""])
        assert codes.shape == (6, sum(model.latent_groups.values()))
        parts = dict(zip(model.latent_groups, codes.split(list(model.latent_groups.values()), dim=1), strict=True))
        torch.testing.assert_close(parts, model.encode(whole.views[0]))


def test_terms_and_logs_are_of_each_group() -> None:
    model, whole = small(), batch()
    step = model(whole, 1.0)
    with evaluation_mode(model):
        terms = model.nats_terms(whole.views[0], whole.keys)
        means, kls = model.latents(whole.views[0], whole.keys)
    assert list(terms) == ["reconstruction", "kl_1", "kl_2", "kl_3"]
    for number, part in enumerate(kls.split(list(model.latent_groups.values()), dim=1), start=1):
        torch.testing.assert_close(part.sum(dim=1), terms[f"kl_{number}"])
        torch.testing.assert_close(step.logs[f"kl_{number}_nats"], terms[f"kl_{number}"].mean())
    assert means.shape == kls.shape


def test_free_bits_hold_for_each_group_and_warm_up_for_all() -> None:
    whole = batch()
    plain = small(free_bits=0.0, kl_warmup=0.0)(whole, 0.1)
    free = small(free_bits=50.0, kl_warmup=0.5)
    torch.testing.assert_close(free(whole, 0.25).loss, plain.logs["reconstruction_nats"] + 0.5 * 50.0 * 3)
    torch.testing.assert_close(free(whole, 0.0).loss, plain.logs["reconstruction_nats"])


def test_the_importance_weighted_bound_is_above_the_elbo() -> None:
    model, whole = small(), batch(3)
    with torch.no_grad():  # a posterior that matters
        for name, parameter in model.named_parameters():
            if name.endswith("posterior.2.weight"):
                parameter.mul_(10)
    keys = [keyed.sample_keys(seed, 0, torch.arange(3)) for seed in range(30)]
    with evaluation_mode(model):
        elbo, single, many = (
            torch.stack([read(key) for key in keys]).mean(dim=0)
            for read in (
                lambda key: model.nats_per_image(whole.views[0], key),
                lambda key: model.iwae_nats(whole.views[0], key, 1),
                lambda key: model.iwae_nats(whole.views[0], key, 20),
            )
        )
    torch.testing.assert_close(single, elbo, rtol=0.05, atol=0.5)  # the same in expectation
    assert (many < elbo).all()


def test_an_unused_group_is_named() -> None:
    model, whole = small(), batch(40)
    with torch.no_grad():
        for number, part in enumerate(model.down):
            assert isinstance(part, _Down)
            last = part.posterior[-1]
            assert isinstance(last, nn.Conv2d)
            last.weight.mul_(0.0 if number == 1 else 100.0)
    with evaluation_mode(model):
        means, kls = (part.numpy() for part in model.latents(whole.views[0], whole.keys))
        logs = model(whole, 1.0).logs
    groups = usage(means, kls, model.latent_groups)
    assert [group.active > 0 for group in groups] == [True, False, True]
    assert groups[1].kl == 0 and logs["active_units_2"] == 0 and logs["active_units_1"] == groups[0].active
    assert (collapse(groups) or "").startswith("Not used: z_2 of 3 groups")


@pytest.mark.parametrize("name", ["gaussian", "bernoulli", "logistic", "logistic_mixture"])
def test_every_observation_trains(name: str) -> None:
    model, whole = small(observation=name), batch()
    model(whole, 1.0).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    with evaluation_mode(model):
        assert (model.nats_per_image(whole.views[0], whole.keys) > 0).all()


def test_the_price_of_encoding_is_counted_without_gradient() -> None:
    """torch's counter asks every module's inputs for their gradient's graph, which evaluation does not have."""
    model = small()
    with evaluation_mode(model), FlopCounterMode(display=False) as counter:
        model.encode(batch(1).views[0])
    assert counter.get_total_flops() > 0
