"""The solver against scipy's and closed forms, and against itself alone."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.probability.diffusion import spread
from workbench.probability.ode import integrate


def oscillating(t: Tensor, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rates that differ between dimensions and in time, and their divergence."""
    rates = torch.linspace(-2, 1, x[0].numel(), dtype=x.dtype).reshape(x.shape[1:])
    return spread((3 * t).cos(), x) * rates * x, (3 * t).cos() * rates.sum()


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7])
def test_a_decay_is_the_exponential_forward_and_back(tolerance: float) -> None:
    x = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    last, total = integrate(lambda t, x, rows: (-x, -4 * torch.ones_like(t)), x, 0.0, 2.0, tolerance)
    torch.testing.assert_close(last, x * np.exp(-2.0), rtol=0, atol=20 * tolerance)
    torch.testing.assert_close(total, torch.full((3,), -8.0, dtype=torch.float64))
    back, _ = integrate(lambda t, x, rows: (-x, -4 * torch.ones_like(t)), last, 2.0, 0.0, tolerance)
    torch.testing.assert_close(back, x, rtol=0, atol=200 * tolerance)


def test_it_agrees_with_scipy_and_takes_about_as_many_slopes() -> None:
    x, asked = torch.randn(1, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64), []

    def counted(t: Tensor, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        asked.append(len(t))
        return oscillating(t, x, rows)

    def flat(t: float, y: np.ndarray) -> np.ndarray:
        velocity, rate = oscillating(torch.tensor([t]).double(), torch.from_numpy(y[None, :-1]), torch.arange(1))
        return np.append(velocity[0].numpy(), rate[0].item())

    last, total = integrate(counted, x, -1.0, 4.0, 1e-6)
    theirs: Any = solve_ivp(flat, (-1.0, 4.0), np.append(x[0].numpy(), 0.0), method="RK45", rtol=1e-6, atol=1e-6)
    exact = np.sin(12.0) / 3 - np.sin(-3.0) / 3
    np.testing.assert_allclose(last[0].numpy(), x[0].numpy() * np.exp(np.linspace(-2, 1, 9) * exact), rtol=0, atol=2e-5)
    np.testing.assert_allclose(np.append(last[0].numpy(), total[0].item()), theirs.y[:, -1], rtol=0, atol=2e-5)
    assert 0.5 * theirs.nfev < len(asked) < 1.5 * theirs.nfev


def test_each_image_has_steps_of_its_own_and_leaves_when_it_is_done() -> None:
    """Beside one whose slope changes a hundred times as fast."""
    pace, sizes = torch.tensor([1.0, 100.0], dtype=torch.float64), []

    def slope(t: Tensor, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        sizes.append(len(rows))
        fast = pace[rows]
        return spread(fast * (fast * t).cos(), x) * x, 3 * fast * (fast * t).cos()

    x = torch.randn(2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    last, total = integrate(slope, x, 0.0, 1.0, 1e-6)
    assert sizes[0] == 2 and sizes[-1] == 1 and sizes.count(1) > 10 * sizes.count(2)
    together, alone = (last[:1], total[:1]), integrate(slope, x[:1], 0.0, 1.0, 1e-6)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(last, x * pace.sin().exp()[:, None], rtol=1e-3, atol=1e-5)


def test_the_integrals_error_counts_however_many_dimensions_there_are() -> None:
    """x stands still, which would hide the error of one number in a thousand."""
    x = torch.zeros(1, 1000, dtype=torch.float64)
    _, total = integrate(lambda t, x, rows: (0 * x, 1000 * (20 * t).cos()), x, 0.0, 1.0, 1e-5)
    assert float(total) / 1000 == pytest.approx(np.sin(20) / 20, abs=1e-4)


def test_a_slope_that_asks_for_ever_more_steps_is_told() -> None:
    with pytest.raises(WorkbenchError, match=r"was not solved in 2,000 steps for 1 of 2 images; raise --ode-tolerance"):
        integrate(
            lambda t, x, rows: (spread((rows == 1) * 1e5 * (1e5 * t).cos(), x) * x, 0 * t),
            torch.ones(2, 1, dtype=torch.float64), 0.0, 2.0, 1e-8,
        )  # fmt: skip
