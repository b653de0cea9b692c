"""Small models of DDPM, and networks that are known functions."""

from typing import Any

import torch
from torch import Tensor, nn

from workbench.data import keyed
from workbench.methods.base import Batch, ImageSpec
from workbench.methods.ddpm import DDPM, DDPMConfig
from workbench.networks.dit import Predicted
from workbench.probability.diffusion import convert

IMAGES, CLASSES = ImageSpec(1, 8, classes=5), 5
SHORT: dict[str, Any] = {"feature_steps": (1,), "reconstruct_steps": (2,)}  # levels that any process has


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
    return torch.cat([p.grad.flatten() for p in model.network.parameters() if p.grad is not None])


def knows_the_image(model: DDPM, image: Tensor) -> Any:
    """The prediction of a denoiser that knows the only image (in [0, 1]) there is."""

    def says(x: Tensor, steps: Tensor) -> Tensor:
        known = (2 * image - 1).expand_as(x).to(x)
        return convert(known, x, model.process.gamma[steps].to(x), "x0", model.config.prediction)

    return says


def pixels_and_keys(n: int = 6) -> tuple[Tensor, Tensor]:
    whole = batch(n)
    return whole.views[0], whole.keys
