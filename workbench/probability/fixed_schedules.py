"""Noise schedules that are fixed: formulas, and the settings of diffusers' ``DDPMScheduler`` that trains with them."""

import math
from typing import Any

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.probability.diffusion import Prediction

SCHEDULES: dict[str, dict[str, Any]] = {  # as diffusers calls them
    "linear": {"beta_schedule": "linear"},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
    "zero_snr": {"beta_schedule": "linear", "rescale_betas_zero_snr": True},
}
BETAS = (1e-4, 0.02)  # the first and the last of Ho et al.'s 1000 linear ones


def schedule_settings(name: str, noise_steps: int) -> dict[str, Any]:
    """The arguments of ``DDPMScheduler`` for a schedule with a number of steps T.

    Betas that grow linearly are those of 1000 steps times 1000 / T, as in Nichol and Dhariwal's code, so that the last
    level has about as little left of the image whatever T is.

    Raises:
        WorkbenchError: T is so small that the last beta would reach 1.
    """
    settings = {"num_train_timesteps": noise_steps, **SCHEDULES[name]}
    if settings["beta_schedule"] != "linear":
        return settings
    first, last = (beta * 1000 / noise_steps for beta in BETAS)
    if last >= 1:
        raise WorkbenchError(
            f"--noise-steps {noise_steps} are too few for --noise-schedule {name}, whose last beta would be "
            f"{last:.3g}; take more than {math.floor(1000 * BETAS[1])}, or --noise-schedule cosine."
        )
    return settings | {"beta_start": first, "beta_end": last}


def gamma_linear_beta(t: Tensor, beta_min: float = 0.1, beta_max: float = 20.0) -> Tensor:
    """gamma at times t in (0, 1] of the VP SDE, whose beta grows linearly (Song et al. 2021, equation 33)."""
    return torch.expm1(beta_min * t + 0.5 * (beta_max - beta_min) * t.square()).log()


def gamma_cosine(t: Tensor) -> Tensor:
    """gamma at times t in (0, 1) of abar = cos^2(pi t / 2): 2 ln tan(pi t / 2)."""
    return 2 * (0.5 * math.pi * t).tan().log()


def check_terminal(name: str, prediction: Prediction) -> None:
    """A schedule of :data:`SCHEDULES` that ends in pure noise needs a network that predicts something of the image.

    Raises:
        WorkbenchError: the last abar is 0 and the prediction is eps or score.
    """
    if prediction in ("eps", "score") and "rescale_betas_zero_snr" in SCHEDULES[name]:
        raise WorkbenchError(
            f"--noise-schedule {name} ends in noise alone, where nothing of the image follows from "
            f"--prediction {prediction}; choose --prediction v or x0."
        )
