"""A U-Net that is given the noise level gamma = -ln SNR and predicts the noise."""

import math

import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor, nn

from workbench.networks.options import UNetOptions
from workbench.networks.unet import pooled_outputs, unet


class Denoiser(nn.Module):
    """eps (B, C, H, W) in x_t = a x0 + s eps, of variance about 1, at noise levels gamma (B,).

    The U-Net's output is added to x_t (Kingma et al. 2021, published code), the best guess at pure noise.

    Args:
        low, high: noise levels between which it is used: the embedding of gamma is that of steps 0 … 1000 between them.
        frequencies: f of what the U-Net sees of x_t beside it: sin and cos of 2 pi f x_t (Kingma et al. 2021,
            appendix C, with f = 2^n). Weights on them start at 0: they make eps a steep function of x_t.
    """

    def __init__(
        self,
        config: UNetOptions,
        size: int,
        channels: int,
        low: float,
        high: float,
        frequencies: tuple[float, ...] = (),
    ) -> None:
        super().__init__()
        self.low, self.high, self.frequencies = low, high, frequencies
        self.unet = unet(size, channels, tuple(config.widths), config.layers, config.attention_size, config.dropout)
        if frequencies:
            channels_in = channels * (1 + 2 * len(frequencies))
            network = UNet2DModel.from_config(dict(self.unet.config) | {"in_channels": channels_in})
            assert isinstance(network, UNet2DModel)
            self.unet = network
            torch.nn.init.zeros_(network.conv_in.weight[:, channels:])

    def forward(self, x: Tensor, gamma: Tensor) -> Tensor:
        angles = [2 * math.pi * frequency * x for frequency in self.frequencies]
        inputs = torch.cat([x, *(angle.sin() for angle in angles), *(angle.cos() for angle in angles)], dim=1)
        steps = 1000 * (gamma - self.low) / (self.high - self.low)
        return x + self.unet(inputs, steps.expand(len(x))).sample.to(x.dtype)

    def features(self, x: Tensor, gamma: Tensor) -> dict[str, Tensor]:
        """Pooled outputs (B, width) of the U-Net's blocks, in order through it, for x_t at gamma, a scalar."""
        return pooled_outputs(self.unet, lambda: self(x, gamma))
