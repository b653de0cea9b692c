"""Convolutional encoder and decoder for images of any size."""

import math
from itertools import pairwise

from torch import Tensor, nn

from workbench.errors import WorkbenchError

GROUPS = 8


def _sides(size: int) -> list[int]:
    """Sides of the feature maps: halved, an odd one rounded down, until 4 px are left, or 8 that cannot be halved."""
    sides = [size]
    while sides[-1] > 8 or (sides[-1] > 4 and sides[-1] % 2 == 0):
        sides.append(sides[-1] // 2)
    return sides


def checked_width(width: int, flag: str = "--width") -> int:
    """The width that a flag has set, if the groups of the residual blocks' norms divide it.

    Raises:
        WorkbenchError: they do not.
    """
    if width % GROUPS:
        raise WorkbenchError(f"{flag} {width} must be a multiple of {GROUPS}, the number of groups in its layers.")
    return width


class Residual(nn.Module):
    """Two 3x3 convolutions around which the input passes (B, C, H, W)."""

    def __init__(self, channels: int, groups: int = GROUPS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.GroupNorm(groups, channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ConvEncoder(nn.Sequential):
    """Images (B, channels, size, size) -> (B, outputs); ``flag`` names the width's option in errors."""

    def __init__(self, channels: int, size: int, width: int, outputs: int, flag: str = "--width") -> None:
        *larger, side = _sides(size)
        layers: list[nn.Module] = [nn.Conv2d(channels, checked_width(width, flag), 3, padding=1)]
        current = width
        for _ in larger:
            wider = min(current * 2, width * 4)
            layers += [nn.Conv2d(current, wider, 4, stride=2, padding=1), Residual(wider)]
            current = wider
        layers += [nn.GroupNorm(GROUPS, current), nn.SiLU(), nn.Flatten(), nn.Linear(current * side * side, outputs)]
        super().__init__(*layers)

    def stages(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """The maps after each halving of the side, (B, channels, side, side) each, and the output (B, outputs)."""
        stages = []
        for layer in self:
            x = layer(x)
            if isinstance(layer, Residual):
                stages.append(x)
        return stages, x


class ConvDecoder(nn.Sequential):
    """Codes (B, inputs) -> images (B, channels, size, size), unbounded; the encoder's mirror."""

    def __init__(self, channels: int, size: int, width: int, inputs: int) -> None:
        sides = _sides(size)[::-1]
        widths = [min(checked_width(width) * 2**stage, width * 4) for stage in range(len(sides))][::-1]
        first = (widths[0], sides[0], sides[0])
        layers: list[nn.Module] = [nn.Linear(inputs, math.prod(first)), nn.Unflatten(1, first)]
        for (wide, narrow), side in zip(pairwise(widths), sides[1:], strict=True):
            layers += [
                Residual(wide),
                nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, output_padding=side % 2),
            ]
        layers += [nn.GroupNorm(GROUPS, widths[-1]), nn.SiLU(), nn.Conv2d(widths[-1], channels, 3, padding=1)]
        super().__init__(*layers)
