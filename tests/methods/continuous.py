"""What tests of VDM and of score matching share: small U-Nets, images of 17 levels, and denoisers that are known."""

from typing import Any

import pytest
import torch
from torch import Tensor

from workbench.data import keyed
from workbench.methods.base import ImageSpec
from workbench.probability import diffusion

IMAGES = ImageSpec(1, 8, levels=17)
KEYS = keyed.sample_keys(0, 0, torch.arange(6))


def settings(images: ImageSpec, **changes: Any) -> dict[str, Any]:
    return {"widths": (8, 16), "layers": 1, "dropout": 0.0, "attention_size": images.size // 2} | changes


def pictures(images: ImageSpec = IMAGES, n: int = 6) -> Tensor:
    """Images as they are stored, rounded to 8 bits, in which 17 levels are not evenly spaced."""
    index = keyed.uniform(keyed.sample_keys(1, 0, torch.arange(n)), images.channels, images.size, images.size)
    level = (index * images.levels).floor() / (images.levels - 1)
    return (255 * level).round() / 255


def gaussian_noise(x: Tensor, gamma: Tensor, deviation: float) -> Tensor:
    """The noise that the best denoiser of N(0, deviation^2) pixels sees in x."""
    a, s = diffusion.amplitudes(diffusion.spread(gamma, x))
    return s * x / (a**2 * deviation**2 + s**2)


def set_image(model: Any, x0: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the denoiser that of data which are one image, x0 (1, C, H, W) or one for each of a batch."""

    def oracle(x: Tensor, gamma: Tensor) -> Tensor:
        return diffusion.convert(x0.expand_as(x), x, gamma, "x0", "eps")

    monkeypatch.setattr(model.ema, "forward", oracle)


def check_moments(samples: Tensor, deviation: float, tolerance: float) -> None:
    """Samples have a mean of zero and this standard deviation."""
    assert float(samples.std()) == pytest.approx(deviation, abs=tolerance)
    assert float(samples.mean()) == pytest.approx(0.0, abs=tolerance)


def put_nan(model: Any) -> None:
    """Put NaN into the first weights of the network that draws."""
    with torch.no_grad():
        next(model.ema.parameters()).fill_(torch.nan)
