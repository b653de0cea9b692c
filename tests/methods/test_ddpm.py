"""DDPM's losses, labels and refusals, and the numbers of earlier versions."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.methods.ddpm_models import CLASSES, SHORT, batch, is_function, pixels_and_keys, small
from workbench.data import keyed
from workbench.errors import WorkbenchError
from workbench.methods.base import Batch, ImageSpec, evaluation_mode
from workbench.methods.ddpm import DDPM, HYBRID, DDPMConfig
from workbench.networks.momentum import ema_decay
from workbench.probability.diffusion import convert, prior_kl
from workbench.probability.names import PREDICTIONS, SAMPLERS

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "ddpm.npz")


def filled(model: DDPM) -> DDPM:
    """Weights that are a function of their names."""
    for index, (name, value) in enumerate(sorted(model.state_dict().items())):
        if value.is_floating_point() and value.ndim:
            number = keyed.normal(keyed.sample_keys(index, 0, torch.arange(1)), *value.shape)[0]
            scale = "norm" in name and name.endswith("weight")
            value.copy_(number * (0.1 if value.ndim > 1 else 0.02) + float(scale))
    return model


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_runs_from_before_predictions_and_losses_could_be_chosen_give_the_same_numbers(name: Any) -> None:
    """``tests/golden/ddpm.npz`` was written by the method when it had a U-Net, eps and the simple loss alone."""
    settings: Any = {"widths": (8, 16), "layers": 1, "attention_size": 4, "dropout": 0.0, "noise_schedule": name}
    settings |= {"feature_steps": (10, 100), "reconstruct_steps": (100, 500)}
    model = filled(DDPM(DDPMConfig(**settings), ImageSpec(1, 8)))
    assert sorted(model.state_dict()) == list(GOLDEN["names"])
    keys = keyed.sample_keys(3, 0, torch.arange(3))
    images = (keyed.uniform(keys, 1, 8, 8) * 255).round() / 255
    step = model(Batch((images,), keys), 0.0)
    values = {"loss": step.loss.detach(), "mse_low_noise": step.logs["mse_low_noise"]}
    with evaluation_mode(model):
        values |= {f"feature {space}": value for space, value in model.encode(images).items()}
        values |= {f"reconstruction {space}": value for space, value in model.reconstruct(images, keys).items()}
        for sampler in SAMPLERS:
            values |= {f"sample {sampler} {steps}": model.sample(2, 5, steps, sampler) for steps in (1, 7, 25)}
    assert {f"{name} {key}" for key in values} == {key for key in GOLDEN.files if key.startswith(name)}
    for key, value in values.items():
        np.testing.assert_allclose(value, GOLDEN[f"{name} {key}"], rtol=2e-5, atol=2e-5, err_msg=key)


def test_averaged_weights_follow_and_come_back_from_a_checkpoint() -> None:
    assert ema_decay(0.9999, 1) == pytest.approx(2 / 11) and ema_decay(0.99, 10**6) == 0.99
    model, other = small(), small()
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.add_(1.0)
    before = next(model.ema.parameters()).clone()
    model.after_step(0.5)
    expected = before + (1 - ema_decay(model.config.ema, 1)) * 1.0
    torch.testing.assert_close(next(model.ema.parameters()), expected)
    other.load_state_dict(model.state_dict())
    for each in (model, other):
        each.after_step(0.5)
    assert torch.equal(next(model.ema.parameters()), next(other.ema.parameters()))


@pytest.mark.parametrize("loss", ["min_snr", "variational"])
@pytest.mark.parametrize("variance", ["small", "large"])
def test_weighted_losses_do_not_depend_on_what_is_predicted(loss: Any, variance: Any) -> None:
    """min-SNR weighs errors of x0, and the bound is one number, whichever way they are computed."""
    losses = []
    for prediction in PREDICTIONS:
        model = small(prediction=prediction, loss=loss, variance=variance)

        def says(x: Tensor, steps: Tensor, model: DDPM = model) -> Tensor:
            return convert((2 * x).tanh(), x, model.process.gamma[steps], "x0", model.config.prediction)

        losses.append(is_function(model, says)(batch(64), 0.0).loss)
    for other in losses[1:]:
        torch.testing.assert_close(other, losses[0], rtol=1e-3, atol=0)


def test_a_scores_simple_loss_is_that_of_the_noise() -> None:
    noise, score = small(prediction="eps"), small(prediction="score")
    is_function(noise, lambda x, steps: x.sin())
    is_function(score, lambda x, steps: convert(x.sin(), x, score.process.gamma[steps], "eps", "score"))
    torch.testing.assert_close(noise(batch(64), 0.0).loss, score(batch(64), 0.0).loss, rtol=1e-4, atol=0)


def test_the_hybrid_losss_gradient_stops_at_the_mean() -> None:
    """Rows of the last layer that give the mean learn from the simple loss alone, those of the variance from .001 times
    the bound alone."""
    model, examples = small(variance="learned", noise_steps=40, feature_steps=(1,), reconstruct_steps=(2,)), batch(64)
    weight: Any = model.network.get_submodule("conv_out").weight  # type: ignore[union-attr]
    (hybrid,) = torch.autograd.grad(model(examples, 0.0).loss, weight)

    def simple(x: Tensor, steps: Tensor) -> Tensor:
        return model.network(x, steps).sample

    images, steps = 2 * examples.views[0] - 1, keyed.integers(keyed.fork(examples.keys, "step"), 40)
    noise = keyed.normal(keyed.fork(examples.keys, "noise"), 1, 8, 8)
    output = simple(model.process.noised(images, steps, noise), steps)
    (mean_alone,) = torch.autograd.grad((output[:, :1] - noise).square().mean(), weight)
    torch.testing.assert_close(hybrid[:1], mean_alone[:1])
    assert not mean_alone[1:].any() and hybrid[1:].any()
    bound = small(variance="learned", loss="variational", noise_steps=40, feature_steps=(1,), reconstruct_steps=(2,))
    weight = bound.network.get_submodule("conv_out").weight  # type: ignore[union-attr]
    (whole,) = torch.autograd.grad(bound(examples, 0.0).loss, weight)
    torch.testing.assert_close(hybrid[1:], HYBRID * whole[1:])
    assert not torch.allclose(hybrid[:1], mean_alone[:1] + HYBRID * whole[:1])


def test_the_logged_bits_are_the_whole_bound_with_the_prior_of_which_nothing_learns() -> None:
    model, whole = small(loss="variational"), batch()
    model.process.gamma[-1] = 0.0  # a process that ends with half of the image
    step = model(whole, 0.0)
    prior = prior_kl(2 * whole.views[0] - 1, torch.tensor(0.0)).mean() / (64 * math.log(2))
    assert prior > 0.1
    torch.testing.assert_close(step.logs["bits_per_dim"], step.loss.detach() + prior)


@pytest.mark.parametrize(("draws", "sampled"), [(3, True), (23, False), (50, False)])
def test_the_protocol_says_what_is_drawn(draws: int, sampled: bool) -> None:
    model = small(**SHORT, noise_steps=24, likelihood_steps=draws, conditional=True)
    assert model.likelihood_sampled == sampled
    assert ("3 terms are drawn" in model.likelihood_drawn) == sampled
    assert ("in full" in model.likelihood_drawn) != sampled and "over 23 noise" in model.likelihood_in_full
    assert "without a label" in model.likelihood_note and "without a label" not in small().likelihood_note
    assert "drawn" not in model.likelihood_note


@pytest.mark.parametrize("dropout", [0.1, 0.5])
def test_labels_are_withheld_as_often_as_asked_for(dropout: float) -> None:
    model, n = small(conditional=True, label_dropout=dropout), 20_000
    keys, labels = keyed.sample_keys(0, 0, torch.arange(n)), torch.arange(n) % CLASSES
    labels_given = model._labels(Batch((), keys, labels))
    assert labels_given is not None
    withheld = labels_given == CLASSES
    assert withheld.float().mean().item() == pytest.approx(dropout, abs=4 * math.sqrt(0.25 / n))
    assert torch.equal(labels_given[~withheld], labels[~withheld])
    part = model._labels(Batch((), keys[5:9], labels[5:9]))
    assert torch.equal(part, labels_given[5:9])  # type: ignore[arg-type]


@pytest.mark.parametrize("network", ["unet", "vit"])
def test_labels_reach_samples_and_bounds(network: Any) -> None:
    model = small(network=network, conditional=True)
    with evaluation_mode(model):
        images, keys = pixels_and_keys(2)
        nats = torch.stack([model.label_nats(images, keys, torch.full_like(keys, label)) for label in range(CLASSES)])
        assert model.label_count == CLASSES and (nats.std(dim=0) > 0).all()
        together, alone = model.sample(7, 0, 3), model.sample(3, 0, 3)
        torch.testing.assert_close(together[:3], alone, rtol=1e-3, atol=1e-3)
        x, step = torch.randn(2, 1, 8, 8), torch.tensor(300)
        labels = torch.tensor([1, 3])
        labelled, unlabelled = model._output(model.ema, x, step, labels), model._output(model.ema, x, step, None)
        guided, _ = model._estimate(x, step, labels, 0.5)
        output = labelled.prediction + 0.5 * (labelled.prediction - unlabelled.prediction)
        torch.testing.assert_close(guided, convert(output, x, model.process.gamma[300], "eps", "x0").clamp(-1, 1))
    step_of = model(batch(), 0.0)
    step_of.loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


VARIANTS: list[dict[str, Any]] = [
    {"network": "vit", "heads": 3},
    {"network": "vit", "heads": 3, "conditioning": "token", "variance": "learned"},
    {"variance": "learned", "prediction": "v", "noise_schedule": "zero_snr", "loss": "variational"},
    {"conditional": True, "prediction": "x0", "loss": "min_snr"},
    {"prediction": "score"},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_other_networks_and_losses_keep_the_promises_of_every_method(changes: dict[str, Any]) -> None:
    from tests.test_contract import check_layers

    model, whole = small(**changes), batch()
    step = model(whole, 0.0)
    step.loss.backward()
    assert torch.isfinite(step.loss) and not any(term.requires_grad for term in step.logs.values())
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    model.after_step(0.0)
    check_layers(model, whole.views[0])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = model(whole, 0.0).loss
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, model(whole, 0.0).loss, rtol=0.05, atol=0.05)
    with evaluation_mode(model):
        nats = model.nats_per_image(whole.views[0], whole.keys)
        assert (nats > 0).all() and torch.isfinite(nats).all()
        assert model.sample(2, 0, 3).shape == (2, 1, 8, 8)


ZERO_SNR, LABELLED = {"noise_schedule": "zero_snr"}, {"conditional": True}
REFUSALS: list[tuple[dict[str, Any], str]] = [
    (ZERO_SNR, r"zero_snr ends in noise alone.*--prediction eps; choose --prediction v or x0"),
    (ZERO_SNR | {"prediction": "score"}, r"--prediction score; choose --prediction v or x0"),
    ({"widths": (8, 8, 8, 8, 8)}, r"cannot halve images of 8 px 4 times; choose --data.image-size as a multiple"),
    ({"network": "vit", "patch": 3}, r"Images of 8 px cannot be cut into patches of 3 px; choose --patch"),
    ({"feature_steps": (1000,)}, r"^--feature-steps 1000 is outside 0 … 999; choose levels below --noise-steps 1000"),
    ({"noise_steps": 400}, r"^--reconstruct-steps 500 is outside 0 … 399; choose levels below --noise-steps 400"),
    (SHORT | {"noise_steps": 20}, r"20 are too few for --noise-schedule linear.*or --noise-schedule cosine"),
    (SHORT | ZERO_SNR | {"noise_steps": 10, "prediction": "v"},
     r"10 are too few for --noise-schedule zero_snr, whose last beta would be 2; take more than 20, or"),
    (ZERO_SNR | {"prediction": "v", "loss": "min_snr"}, "--loss min_snr gives the last level"),
    (LABELLED | {"label_dropout": 0.0}, "--label-dropout 0 a --conditional model never learns to do with"),
    (LABELLED | {"label_dropout": 1.0}, "--label-dropout 1 a --conditional model never learns what a lab"),
    ({"attention_size": 16}, "--attention-size 16 is none of the sides 8, 4 px that a U-Net of 2 resolutions has"),
    ({"guidance": 1.0}, r"--guidance compares with and without a label; it needs --conditional"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "says"), REFUSALS, ids=str)
def test_what_does_not_fit_is_refused_in_one_sentence(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(WorkbenchError, match=says) as error:
        small(**changes)
    assert str(error.value).count(". ") == 0 and str(error.value).endswith(".")


def test_labels_that_are_not_there_are_missed() -> None:
    with pytest.raises(WorkbenchError, match="no labels for --conditional"):
        small(ImageSpec(1, 8), conditional=True)
    with pytest.raises(WorkbenchError, match="The training images of photos have no labels for --conditional"):
        DDPMConfig(conditional=True).for_classes(None, "photos")
    with pytest.raises(WorkbenchError, match="no labels for --conditional"):
        small(conditional=True)(Batch(batch().views, batch().keys), 0.0)
    assert DDPMConfig().for_classes(None, "photos") == DDPMConfig()
