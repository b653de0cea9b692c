"""Fixed noise schedules against formulas and diffusers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor

from tests.methods.ddpm_models import SHORT, small
from tests.probability.formulas import Schedule, schedule
from workbench.errors import WorkbenchError
from workbench.probability import diffusion, fixed_schedules
from workbench.probability.fixed_schedules import SCHEDULES

DOUBLE = torch.float64


@pytest.mark.parametrize(("name", "theirs"), [("linear", "linear"), ("cosine", "squaredcos_cap_v2")])
@pytest.mark.parametrize("steps", [10, 1000])
def test_schedules_are_those_of_diffusers(name: Schedule, theirs: Any, steps: int) -> None:
    expected = DDPMScheduler(num_train_timesteps=steps, beta_schedule=theirs).alphas_cumprod
    torch.testing.assert_close(schedule(name, steps), expected.double(), rtol=1e-4, atol=1e-6)


def test_a_zero_terminal_schedule_keeps_its_first_level_and_ends_in_pure_noise() -> None:
    ours, plain = schedule("zero-terminal", 1000), schedule("linear", 1000)
    assert float(ours[-1]) == 0.0 and float(ours[0]) == pytest.approx(float(plain[0]), rel=1e-12)
    expected = DDPMScheduler(rescale_betas_zero_snr=True).alphas_cumprod.double()
    # Theirs goes back to betas in single precision, and puts a small number in place of the last 0.
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-6)


def test_the_continuous_schedules_are_the_limits_of_the_discrete_ones() -> None:
    t = torch.tensor([0.1, 0.5, 0.9], dtype=DOUBLE)
    index = (t * 1000).long() - 1
    limits: dict[Schedule, Callable[[Tensor], Tensor]] = {
        "linear": fixed_schedules.gamma_linear_beta,
        "cosine": fixed_schedules.gamma_cosine,
    }
    for name, gamma in limits.items():
        discrete = schedule(name, 1000)[index]
        torch.testing.assert_close(diffusion.signal_of(gamma(t)), discrete, rtol=0.06, atol=0.01)


@pytest.mark.parametrize("prediction", ["eps", "score"])
def test_pure_noise_is_refused_where_the_noise_is_predicted(prediction: diffusion.Prediction) -> None:
    with pytest.raises(WorkbenchError, match="choose --prediction v or x0"):
        fixed_schedules.check_terminal("zero_snr", prediction)
    fixed_schedules.check_terminal("linear", prediction)
    fixed_schedules.check_terminal("zero_snr", "v")


@pytest.mark.parametrize(("name", "own"), [("linear", "linear"), ("cosine", "cosine"), ("zero_snr", "zero-terminal")])
def test_schedules_are_those_of_the_formulas(name: Any, own: Any) -> None:
    model = small(noise_schedule=name, prediction="v")
    torch.testing.assert_close(model.process.signal.double(), schedule(own, 1000), rtol=2e-4, atol=1e-6)
    assert (model.process.signal[-1] == 0) == (name == "zero_snr")
    images, noise, steps = torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8), torch.tensor([0, 10, 500, 999])
    expected = DDPMScheduler(**model.schedule).add_noise(images, noise, steps)  # type: ignore[arg-type]
    torch.testing.assert_close(model.process.noised(images, steps, noise), expected)


@pytest.mark.parametrize("steps", [21, 100, 4000])
@pytest.mark.parametrize("name", list(SCHEDULES))
def test_processes_of_any_number_of_steps_end_in_as_much_noise(name: Any, steps: int) -> None:
    """Betas times 1000 / T, as in Nichol and Dhariwal's code: 1e-4 and 0.02 at T = 100 would leave an abar of 0.36."""
    model = small(**SHORT, noise_schedule=name, noise_steps=steps, prediction="v")
    assert len(model.process.signal) == steps and float(model.process.signal[-1]) < 1e-4
    if name == "linear":
        betas = 1 - model.process.signal.double()[1:] / model.process.signal.double()[:-1]
        expected = torch.linspace(0.1 / steps, 20 / steps, steps, dtype=torch.float64)[1:]
        torch.testing.assert_close(betas, expected, rtol=5e-3, atol=1e-6)
    theirs = DDPMScheduler(**model.schedule)  # type: ignore[arg-type]
    assert torch.equal(theirs.alphas_cumprod, model.process.signal)
