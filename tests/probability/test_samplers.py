"""Samplers of discrete diffusion against diffusers', and where the best denoiser is known."""

import re
from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from torch import Tensor

from tests.methods.continuous import put_nan
from tests.methods.ddpm_models import batch, gradients, is_function, knows_the_image, pixels_and_keys, small
from workbench.errors import WorkbenchError
from workbench.methods.base import evaluation_mode
from workbench.methods.ddpm import DDPM, DEFAULT_STEPS
from workbench.probability.diffusion import Prediction, convert, gamma_of
from workbench.probability.fixed_schedules import SCHEDULES
from workbench.probability.names import PREDICTIONS, SAMPLERS
from workbench.probability.samplers import moves, sampling_steps

THEIRS = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}


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
    samples = []
    for prediction in PREDICTIONS:
        model = small(prediction=prediction, noise_schedule=name)

        def says(x: Tensor, steps: Tensor, model: DDPM = model) -> Tensor:
            return convert((2 * x).tanh(), x, model.process.gamma[steps], "x0", model.config.prediction)

        samples.append(is_function(model, says).sample(2, 0, 12, sampler))
    for other in samples[1:]:
        torch.testing.assert_close(other, samples[0], rtol=0, atol=1e-3)  # 1 / a is 20,000 at the cosine's end


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("sampler", list(DEFAULT_STEPS))
@pytest.mark.parametrize("steps", [1, 7, 600])
def test_samples_of_a_single_image(sampler: str, steps: int, prediction: Prediction) -> None:
    """Where all data is one image the best denoiser is known, and any number of steps must end at that image."""
    model, image, levels = small(prediction=prediction), torch.rand(1, 1, 8, 8), []
    denoise = knows_the_image(model, image)

    def says(x: Tensor, step: Tensor) -> Tensor:
        levels.append(int(step))
        return denoise(x, step)

    samples = is_function(model, says).sample(2, seed=0, steps=steps, sampler=sampler)
    torch.testing.assert_close(samples, image.expand(2, -1, -1, -1), rtol=0, atol=2e-3)
    assert levels[0] == 999 and len(levels) == steps and levels == sorted(set(levels), reverse=True)


@pytest.mark.parametrize("prediction", ["x0", "v"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_pure_noise_at_the_end_does_no_harm(prediction: Any, sampler: Any) -> None:
    model, image = small(prediction=prediction, noise_schedule="zero_snr"), torch.rand(1, 1, 8, 8)
    samples = is_function(model, knows_the_image(model, image)).sample(2, seed=0, steps=9, sampler=sampler)
    torch.testing.assert_close(samples, image.expand(2, -1, -1, -1), rtol=0, atol=2e-3)
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
    gamma = gamma_of(model.process.signal.double())
    (move, _), level = moves("ancestral", gamma[[49, 24]]), 49

    visited: list[Tensor] = []

    def says(x: Tensor, step: Tensor) -> Tensor:
        visited.append(x)
        return torch.zeros_like(x).repeat(1, 2 if kind == "learned" else 1, 1, 1)  # a variance of 0 is half-way

    is_function(model, says).sample(400, 0, 2, "ancestral")
    before, after = visited
    start = convert(torch.zeros_like(before), before, model.process.gamma[level], "eps", "x0").clamp(-1, 1)
    noise = after - move.keep * before - move.start * start
    beta = 1 - model.process.signal[49] / model.process.signal[24]
    posterior_variance = beta * (1 - model.process.signal[24]) / (1 - model.process.signal[49])
    wanted = posterior_variance ** (1 - fraction) * beta**fraction
    assert noise.var().item() == pytest.approx(float(wanted), rel=0.03)  # 25,600 numbers: 0.9 % standard error


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
    put_nan(model)
    sentence = f"The {re.escape(sampler)} sampler gave images that are not finite after 3"
    with pytest.raises(WorkbenchError, match=sentence):
        model.sample(1, 0, 3, sampler)
