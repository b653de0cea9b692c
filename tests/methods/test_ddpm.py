"""The mathematics of DDPM against other ways to the same numbers."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from torch import Tensor, nn

from workbench.data import keyed
from workbench.errors import WorkbenchError
from workbench.methods.base import Batch, ImageSpec, evaluation_mode
from workbench.methods.ddpm import DDPM, DEFAULT_STEPS, HYBRID, SCHEDULES, DDPMConfig, ema_decay
from workbench.networks.dit import Predicted
from workbench.networks.unet import unet
from workbench.probability.diffusion import (
    PREDICTIONS,
    Prediction,
    convert,
    gamma_of,
    normal_kl,
    posterior,
    prior_kl,
    schedule,
)
from workbench.probability.samplers import SAMPLERS, moves, sampling_steps

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "ddpm.npz")
IMAGES, CLASSES = ImageSpec(1, 8, classes=5), 5
SHORT: dict[str, Any] = {"feature_steps": (1,), "reconstruct_steps": (2,)}  # levels that any process has
THEIRS = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}


def small(images: ImageSpec = IMAGES, **changes: Any) -> DDPM:
    torch.manual_seed(0)
    sizes = {"widths": (8, 16), "layers": 1, "attention_size": 4, "dropout": 0.0, "patch": 2, "width": 24, "depth": 2}
    model = DDPM(DDPMConfig(**sizes | changes), images)
    with torch.no_grad():  # a ViT's last layers start at zero
        for parameter in model.network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        model.ema.module.load_state_dict(model.network.state_dict())
    return model


def batch(n: int = 6, images: ImageSpec = IMAGES) -> Batch:
    keys = keyed.sample_keys(1, 0, torch.arange(n))
    pixels = (keyed.uniform(keys, images.channels, images.size, images.size) * 255).round() / 255
    return Batch((pixels,), keys, torch.arange(n) % CLASSES)


class Function(nn.Module):
    """A network that is a function of x_t and t."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, steps: Tensor, labels: Tensor | None = None) -> Predicted:
        return Predicted(self.function(x, steps))


def is_function(model: DDPM, function: Any) -> DDPM:
    """The model, whose networks are now this function of (x_t, t)."""
    model.add_module(model.config.network, Function(function))
    model.ema.module = Function(function)
    return model


def gradients(model: DDPM) -> Tensor:
    """All of them in one vector."""
    return torch.cat([one.grad.flatten() for one in model.network.parameters() if one.grad is not None])


def knows_the_image(model: DDPM, image: Tensor) -> Any:
    """The prediction of a denoiser that knows the only image (in [0, 1]) there is."""

    def says(x: Tensor, steps: Tensor) -> Tensor:
        known = (2 * image - 1).expand_as(x).to(x)
        return convert(known, x, model.gamma[steps].to(x), "x0", model.config.prediction)

    return says


# What has been -------------------------------------------------------------------------------------------------------


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
    found = {"loss": step.loss.detach(), "mse_low_noise": step.logs["mse_low_noise"]}
    with evaluation_mode(model):
        found |= {f"feature {space}": value for space, value in model.encode(images).items()}
        found |= {f"reconstruction {space}": value for space, value in model.reconstruct(images, keys).items()}
        for sampler in SAMPLERS:
            found |= {f"sample {sampler} {steps}": model.sample(2, 5, steps, sampler) for steps in (1, 7, 25)}
    assert {f"{name} {key}" for key in found} == {key for key in GOLDEN.files if key.startswith(name)}
    for key, value in found.items():
        np.testing.assert_allclose(value, GOLDEN[f"{name} {key}"], rtol=2e-5, atol=2e-5, err_msg=key)


def test_published_unet_has_the_published_size() -> None:
    with torch.device("meta"):
        network = unet(32, 3, (128, 256, 256, 256), 2, 16, 0.1)
    assert sum(parameter.numel() for parameter in network.parameters()) == 35_746_307


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


# Schedules and samplers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "own"), [("linear", "linear"), ("cosine", "cosine"), ("zero_snr", "zero-terminal")])
def test_schedules_are_those_of_the_formulas(name: Any, own: Any) -> None:
    model = small(noise_schedule=name, prediction="v")
    torch.testing.assert_close(model.signal.double(), schedule(own, 1000), rtol=2e-4, atol=1e-6)
    assert (model.signal[-1] == 0) == (name == "zero_snr")
    images, noise, steps = torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8), torch.tensor([0, 10, 500, 999])
    expected = DDPMScheduler(**model.schedule).add_noise(images, noise, steps)  # type: ignore[arg-type]
    torch.testing.assert_close(model.noised(images, steps, noise), expected)


@pytest.mark.parametrize("steps", [21, 100, 4000])
@pytest.mark.parametrize("name", list(SCHEDULES))
def test_processes_of_any_number_of_steps_end_in_as_much_noise(name: Any, steps: int) -> None:
    """Betas times 1000 / T, as in Nichol and Dhariwal's code: 1e-4 and 0.02 at T = 100 would leave an abar of 0.36."""
    model = small(**SHORT, noise_schedule=name, noise_steps=steps, prediction="v")
    assert len(model.signal) == steps and float(model.signal[-1]) < 1e-4
    if name == "linear":
        betas = 1 - model.signal.double()[1:] / model.signal.double()[:-1]
        expected = torch.linspace(0.1 / steps, 20 / steps, steps, dtype=torch.float64)[1:]
        torch.testing.assert_close(betas, expected, rtol=5e-3, atol=1e-6)
    theirs = DDPMScheduler(**model.schedule)  # type: ignore[arg-type]
    assert torch.equal(theirs.alphas_cumprod, model.signal)


def scheduler(kind: Any, name: str, prediction: Prediction, **changes: Any) -> Any:
    """diffusers' with our schedule in double precision, nothing clipped."""
    made = kind(**{"num_train_timesteps": 1000, "prediction_type": THEIRS[prediction]} | SCHEDULES[name] | changes)
    made.alphas_cumprod = made.alphas_cumprod.double()
    if kind is DDIMScheduler:
        made.final_alpha_cumprod = torch.ones((), dtype=torch.float64)
    return made


def ours_and_theirs(sampler: Any, theirs: Any, levels: list[int], prediction: Prediction) -> float:
    """Largest relative difference between our steps and diffusers' through the levels, in double precision."""
    torch.manual_seed(0)
    gamma = gamma_of(theirs.alphas_cumprod)
    x, outputs = torch.randn(2, 1, 4, 4).double(), torch.randn(len(levels), 2, 1, 4, 4).double()
    own, other, former, worst = x, x, x, 0.0
    for level, move, output in zip(levels, moves(sampler, gamma[levels]), outputs, strict=True):
        generator = torch.Generator().manual_seed(level)
        start = convert(output, own, gamma[level], prediction, "x0")
        own = move.keep * own + move.start * start + move.former * former
        if move.noise:
            own = own + move.noise * torch.randn(own.shape, generator=generator.clone_state(), dtype=own.dtype)
        former = start
        words = {"generator": generator} if sampler == "ancestral" else {}
        other = theirs.step(output, level, other, return_dict=False, **words)[0]
        worst = max(worst, float(((own - other).abs() / other.abs().clamp_min(1.0)).max()))
    return worst


@pytest.mark.parametrize("prediction", list(THEIRS))
@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize("steps", [4, 1000])
def test_ancestral_and_ddim_steps_are_those_of_diffusers(prediction: Prediction, name: str, steps: int) -> None:
    """To 1e-7, clipping off; diffusers can only do numbers of steps that divide T."""
    if name == "zero_snr" and prediction == "eps":
        pytest.skip("nothing of the image follows from it")
    levels = sampling_steps(1000, steps)
    ancestral = scheduler(DDPMScheduler, name, prediction, clip_sample=False)
    ancestral.set_timesteps(timesteps=levels)
    assert ours_and_theirs("ancestral", ancestral, levels, prediction) < 1e-7
    ddim = scheduler(DDIMScheduler, name, prediction, clip_sample=False, timestep_spacing="trailing")
    ddim.set_timesteps(steps)
    assert ddim.timesteps.tolist() == levels
    assert ours_and_theirs("ddim", ddim, levels, prediction) < 1e-7


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # diffusers' own
@pytest.mark.parametrize("prediction", list(THEIRS))
@pytest.mark.parametrize("steps", [2, 5, 20])
def test_dpm_solver_is_that_of_diffusers(prediction: Prediction, steps: int) -> None:
    """Which keeps its numbers in single precision."""
    levels = sampling_steps(1000, steps)
    theirs = scheduler(DPMSolverMultistepScheduler, "cosine", prediction)
    theirs.set_timesteps(timesteps=levels)
    assert ours_and_theirs("dpm-solver++", theirs, levels, prediction) < 2e-5


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_the_same_function_gives_the_same_samples_through_every_prediction(sampler: Any, name: Any) -> None:
    drawn = []
    for prediction in PREDICTIONS:
        model = small(prediction=prediction, noise_schedule=name)

        def says(x: Tensor, steps: Tensor, model: DDPM = model) -> Tensor:
            return convert((2 * x).tanh(), x, model.gamma[steps], "x0", model.config.prediction)

        drawn.append(is_function(model, says).sample(2, 0, 12, sampler))
    for other in drawn[1:]:
        torch.testing.assert_close(other, drawn[0], rtol=0, atol=1e-3)  # 1 / a is 20,000 at the cosine's end


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("sampler", list(DEFAULT_STEPS))
@pytest.mark.parametrize("steps", [1, 7, 600])
def test_every_sampler_finds_the_only_image_there_is(sampler: str, steps: int, prediction: Prediction) -> None:
    """Where all data is one image the best denoiser is known, and any number of steps must end at that image."""
    model, image, levels = small(prediction=prediction), torch.rand(1, 1, 8, 8), []
    denoise = knows_the_image(model, image)

    def says(x: Tensor, step: Tensor) -> Tensor:
        levels.append(int(step))
        return denoise(x, step)

    drawn = is_function(model, says).sample(2, seed=0, steps=steps, sampler=sampler)
    torch.testing.assert_close(drawn, image.expand(2, -1, -1, -1), rtol=0, atol=2e-3)
    assert levels[0] == 999 and len(levels) == steps and levels == sorted(set(levels), reverse=True)


@pytest.mark.parametrize("prediction", ["x0", "v"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_pure_noise_at_the_end_does_no_harm(prediction: Any, sampler: Any) -> None:
    model, image = small(prediction=prediction, noise_schedule="zero_snr"), torch.rand(1, 1, 8, 8)
    drawn = is_function(model, knows_the_image(model, image)).sample(2, seed=0, steps=9, sampler=sampler)
    torch.testing.assert_close(drawn, image.expand(2, -1, -1, -1), rtol=0, atol=2e-3)
    for loss in ("simple", "variational"):
        model = small(prediction=prediction, noise_schedule="zero_snr", loss=loss, variance="learned", noise_steps=21,
                      feature_steps=(1,), reconstruct_steps=(2,))  # fmt: skip
        step = model(batch(32), 0.0)
        step.loss.backward()
        assert torch.isfinite(step.loss) and torch.isfinite(gradients(model)).all()
        with evaluation_mode(model):
            terms = model.full_nats_terms(*pixels_and_keys(4))
        assert not terms["prior"].any() and all(torch.isfinite(term).all() for term in terms.values())


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_perfect_denoiser_reconstructs_perfectly(prediction: Prediction) -> None:
    """With the true noise as its prediction, DDIM goes back to the image it came from."""
    model, images = small(prediction=prediction), torch.rand(3, 1, 8, 8)
    is_function(model, knows_the_image(model, images))
    for variant in model.reconstruct(images, torch.arange(3)).values():
        torch.testing.assert_close(variant, images, rtol=0, atol=1e-4)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_what_is_drawn_has_the_variance_that_is_asked_for(fraction: float) -> None:
    """The posterior's, beta, or their geometric mean (Nichol and Dhariwal, equation 15)."""
    kind = {0.0: "small", 0.5: "learned", 1.0: "large"}[fraction]
    model = small(variance=kind, noise_steps=50, feature_steps=(1,), reconstruct_steps=(2,))
    gamma = gamma_of(model.signal.double())
    (move, _), level = moves("ancestral", gamma[[49, 24]]), 49

    def says(x: Tensor, step: Tensor) -> Tensor:
        outputs = torch.zeros_like(x).repeat(1, 2 if kind == "learned" else 1, 1, 1)
        return outputs  # a variance of 0 is half-way

    drawn: list[Tensor] = []

    def keeps(x: Tensor, step: Tensor) -> Tensor:
        drawn.append(x)
        return says(x, step)

    is_function(model, keeps).sample(400, 0, 2, "ancestral")
    before, after = drawn
    start = convert(torch.zeros_like(before), before, model.gamma[level], "eps", "x0").clamp(-1, 1)
    noise = after - move.keep * before - move.start * start
    beta = 1 - model.signal[49] / model.signal[24]
    posterior_variance = beta * (1 - model.signal[24]) / (1 - model.signal[49])
    wanted = posterior_variance ** (1 - fraction) * beta**fraction
    assert noise.var().item() == pytest.approx(float(wanted), rel=0.03)  # 25,600 numbers: 0.9 % standard error


# Losses --------------------------------------------------------------------------------------------------------------


def pixels_and_keys(n: int = 6) -> tuple[Tensor, Tensor]:
    one = batch(n)
    return one.views[0], one.keys


@pytest.mark.parametrize("loss", ["min_snr", "variational"])
@pytest.mark.parametrize("variance", ["small", "large"])
def test_weighted_losses_do_not_depend_on_what_is_predicted(loss: Any, variance: Any) -> None:
    """min-SNR weighs errors of x0, and the bound is one number, whichever way they are computed."""
    found = []
    for prediction in PREDICTIONS:
        model = small(prediction=prediction, loss=loss, variance=variance)

        def says(x: Tensor, steps: Tensor, model: DDPM = model) -> Tensor:
            return convert((2 * x).tanh(), x, model.gamma[steps], "x0", model.config.prediction)

        found.append(is_function(model, says)(batch(64), 0.0).loss)
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-3, atol=0)


def test_a_scores_simple_loss_is_that_of_the_noise() -> None:
    noise, score = small(prediction="eps"), small(prediction="score")
    is_function(noise, lambda x, steps: x.sin())
    is_function(score, lambda x, steps: convert(x.sin(), x, score.gamma[steps], "eps", "score"))
    torch.testing.assert_close(noise(batch(64), 0.0).loss, score(batch(64), 0.0).loss, rtol=1e-4, atol=0)


@pytest.mark.parametrize("variance", ["small", "large", "learned"])
@pytest.mark.parametrize("level", [1, 10, 500, 999])
def test_a_term_of_the_bound_is_the_kl_of_two_gaussians(variance: Any, level: int) -> None:
    """Of their means and variances in double precision, for training (unclipped) and for the likelihood."""
    model, steps = small(variance=variance, loss="variational"), torch.full((6,), level)
    images, keys = pixels_and_keys()
    images, noise = 2 * images - 1, keyed.normal(keys, 1, 8, 8)
    x = model.noised(images, steps, noise)
    said = model._said(model.network, x, steps, None)
    found = model._step_nats(images, x, steps, said, (said.output - noise).square())
    gamma = gamma_of(model.signal.double())
    mean, log_variance = posterior(x.double(), images.double(), gamma[level - 1], gamma[level])
    estimate = convert(said.output.double(), x.double(), gamma[level], "eps", "x0")
    other_mean, _ = posterior(x.double(), estimate, gamma[level - 1], gamma[level])
    log_beta = (1 - model.signal.double()[level] / model.signal.double()[level - 1]).log()
    other = log_variance + said.fraction.double() * (log_beta - log_variance)
    expected = normal_kl(mean, log_variance, other_mean, other)
    torch.testing.assert_close(found.double(), expected, rtol=2e-3 if level < 10 else 1e-4, atol=1e-6)
    clipped, _ = posterior(x.double(), estimate.clamp(-1, 1), gamma[level - 1], gamma[level])
    squared = (images - estimate.float().clamp(-1, 1)).square()
    torch.testing.assert_close(
        model._kl(steps, model.image_weight, said.fraction, squared).double(),
        normal_kl(mean, log_variance, clipped, other),
        rtol=2e-3 if level < 10 else 1e-4,
        atol=1e-6,
    )


def test_the_hybrid_losss_gradient_stops_at_the_mean() -> None:
    """Rows of the last layer that give the mean learn from the simple loss alone, those of the variance from .001 times
    the bound alone."""
    model, one = small(variance="learned", noise_steps=40, feature_steps=(1,), reconstruct_steps=(2,)), batch(64)
    weight: Any = model.network.get_submodule("conv_out").weight  # type: ignore[union-attr]
    (hybrid,) = torch.autograd.grad(model(one, 0.0).loss, weight)

    def simple(x: Tensor, steps: Tensor) -> Tensor:
        return model.network(x, steps).sample

    images, steps = 2 * one.views[0] - 1, keyed.integers(keyed.fork(one.keys, "step"), 40)
    noise = keyed.normal(keyed.fork(one.keys, "noise"), 1, 8, 8)
    output = simple(model.noised(images, steps, noise), steps)
    (mean_alone,) = torch.autograd.grad((output[:, :1] - noise).square().mean(), weight)
    torch.testing.assert_close(hybrid[:1], mean_alone[:1])
    assert not mean_alone[1:].any() and hybrid[1:].any()
    bound = small(variance="learned", loss="variational", noise_steps=40, feature_steps=(1,), reconstruct_steps=(2,))
    weight = bound.network.get_submodule("conv_out").weight  # type: ignore[union-attr]
    (whole,) = torch.autograd.grad(bound(one, 0.0).loss, weight)
    torch.testing.assert_close(hybrid[1:], HYBRID * whole[1:])
    assert not torch.allclose(hybrid[:1], mean_alone[:1] + HYBRID * whole[:1])


# Likelihood ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_the_bound_of_the_best_denoiser_is_the_entropy_of_the_levels(prediction: Any) -> None:
    """One pixel with 17 equally probable levels, whose posterior mean is known: ln 17 nats on average, above which the
    bound is by as much as a sum of 999 terms is above the integral, which quadrature tells."""
    levels, repeats = 17, 200
    model = small(ImageSpec(1, 8, levels), prediction=prediction)
    values = 2 * torch.arange(levels) / (levels - 1) - 1

    def says(x: Tensor, steps: Tensor) -> Tensor:
        a, s = (root.sqrt()[:, None, None, None] for root in (model.signal[steps], 1 - model.signal[steps]))
        nearness = (-0.5 * ((x - a * values) / s).square()).softmax(dim=-1)  # (B, 1, 1, 17)
        mean = (nearness * values).sum(dim=-1, keepdim=True)
        return convert(mean, x, model.gamma[steps], "x0", prediction)

    images = (torch.arange(levels) / (levels - 1)).repeat(repeats)[:, None, None, None]
    terms = is_function(model, says).full_nats_terms(images, keyed.sample_keys(0, 0, torch.arange(len(images))))
    nats = sum(terms.values(), torch.zeros(len(images)))
    signal, grid = model.signal.double()[:, None], torch.linspace(-1, 1, 6001, dtype=torch.float64)
    x = grid * (1 + 8 * (1 - signal).sqrt())  # (T, 6001), values of x_t
    density = (
        -0.5 * ((x[..., None] - signal[..., None].sqrt() * values) / (1 - signal[..., None]).sqrt()).square()
    ).exp()
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


def test_the_logged_bits_are_the_whole_bound_with_the_prior_of_which_nothing_learns() -> None:
    model, one = small(loss="variational"), batch()
    model.gamma[-1] = 0.0  # a process that ends with half of the image
    step = model(one, 0.0)
    prior = prior_kl(2 * one.views[0] - 1, torch.tensor(0.0)).mean() / (64 * math.log(2))
    assert prior > 0.1
    torch.testing.assert_close(step.logs["bits_per_dim"], step.loss.detach() + prior)


@pytest.mark.parametrize(("drawn", "sampled"), [(3, True), (23, False), (50, False)])
def test_the_protocol_says_what_is_drawn(drawn: int, sampled: bool) -> None:
    model = small(**SHORT, noise_steps=24, likelihood_steps=drawn, conditional=True)
    assert model.likelihood_sampled == sampled
    assert ("3 terms are drawn" in model.likelihood_drawn) == sampled
    assert ("in full" in model.likelihood_drawn) != sampled and "over 23 noise" in model.likelihood_in_full
    assert "without a label" in model.likelihood_note and "without a label" not in small().likelihood_note
    assert "drawn" not in model.likelihood_note


# Labels --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dropout", [0.1, 0.5])
def test_labels_are_withheld_as_often_as_asked_for(dropout: float) -> None:
    model, n = small(conditional=True, label_dropout=dropout), 20_000
    keys, labels = keyed.sample_keys(0, 0, torch.arange(n)), torch.arange(n) % CLASSES
    found = model._labels(Batch((), keys, labels))
    assert found is not None
    withheld = found == CLASSES
    assert withheld.float().mean().item() == pytest.approx(dropout, abs=4 * math.sqrt(0.25 / n))
    assert torch.equal(found[~withheld], labels[~withheld])
    part = model._labels(Batch((), keys[5:9], labels[5:9]))
    assert torch.equal(part, found[5:9])  # type: ignore[arg-type]


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
        told, untold = model._said(model.ema, x, step, labels), model._said(model.ema, x, step, None)
        guided, _ = model._estimate(x, step, labels, 0.5)
        output = told.output + 0.5 * (told.output - untold.output)
        torch.testing.assert_close(guided, convert(output, x, model.gamma[300], "eps", "x0").clamp(-1, 1))
    step_of = model(batch(), 0.0)
    step_of.loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


# Networks ------------------------------------------------------------------------------------------------------------

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

    model, one = small(**changes), batch()
    step = model(one, 0.0)
    step.loss.backward()
    assert torch.isfinite(step.loss) and not any(term.requires_grad for term in step.logs.values())
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    model.after_step(0.0)
    check_layers(model, one.views[0])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = model(one, 0.0).loss
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, model(one, 0.0).loss, rtol=0.05, atol=0.05)
    with evaluation_mode(model):
        nats = model.nats_per_image(one.views[0], one.keys)
        assert (nats > 0).all() and torch.isfinite(nats).all()
        assert model.sample(2, 0, 3).shape == (2, 1, 8, 8)


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"noise_schedule": "zero_snr"},
            r"zero_snr ends in noise alone.*--prediction eps; choose --prediction v or x0",
        ),
        ({"noise_schedule": "zero_snr", "prediction": "score"}, r"--prediction score; choose --prediction v or x0"),
        ({"widths": (8, 8, 8, 8, 8)}, r"cannot halve images of 8 px 4 times; choose --data.image-size as a multiple"),
        ({"network": "vit", "patch": 3}, r"Images of 8 px cannot be cut into patches of 3 px; choose --patch"),
        (
            {"feature_steps": (1000,)},
            r"^--feature-steps 1000 is outside 0 … 999; choose levels below --noise-steps 1000",
        ),
        ({"noise_steps": 400}, r"^--reconstruct-steps 500 is outside 0 … 399; choose levels below --noise-steps 400"),
        (SHORT | {"noise_steps": 20}, r"20 are too few for --noise-schedule linear.*or --noise-schedule cosine"),
        (
            SHORT | {"noise_steps": 10, "noise_schedule": "zero_snr", "prediction": "v"},
            r"10 are too few for --noise-schedule zero_snr, whose last beta would be 2; take more than 20, or",
        ),
        ({"noise_schedule": "zero_snr", "prediction": "v", "loss": "min_snr"}, "--loss min_snr gives the last level"),
        (
            {"conditional": True, "label_dropout": 0.0},
            "--label-dropout 0 a --conditional model never learns to do with",
        ),
        (
            {"conditional": True, "label_dropout": 1.0},
            "--label-dropout 1 a --conditional model never learns what a lab",
        ),
        ({"attention_size": 16}, "--attention-size 16 is none of the sides 8, 4 px that a U-Net of 2 resolutions has"),
        ({"guidance": 1.0}, r"--guidance compares with and without a label; it needs --conditional"),
    ],
    ids=str,
)
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


@pytest.mark.parametrize("steps", [0, 1001, -1])
def test_impossible_numbers_of_steps_are_refused(steps: int) -> None:
    with pytest.raises(WorkbenchError, match=f"must be from 1 to 1000, not {steps}"):
        small().sample(1, 0, steps)


def test_a_sampler_that_is_not_there_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="sampler"):
        small().sample(1, 0, 3, "euler")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_broken_weights_are_told_by_the_sampler(sampler: Any) -> None:
    model = small()
    with torch.no_grad():
        next(model.ema.parameters()).fill_(torch.nan)
    with pytest.raises(
        WorkbenchError, match=f"The {re.escape(sampler)} sampler gave images that are not finite after 3"
    ):
        model.sample(1, 0, 3, sampler)
