"""Convolutional encoder and decoder for images of any size that is a power of two times at most eight."""

from itertools import pairwise

from torch import Tensor, nn

from workbench.errors import WorkbenchError


def _stages(size: int) -> int:
    """Halvings until at most 4 px are left on a side."""
    stages, rest = 0, size
    while rest > 4 and rest % 2 == 0:
        stages, rest = stages + 1, rest // 2
    if rest > 8:
        raise WorkbenchError(
            f"Images of {size} px cannot be halved down to 8 px or less; choose --data.image-size as a power of two."
        )
    return stages


class _Residual(nn.Module):
    """Two 3x3 convolutions around which the input passes (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ConvEncoder(nn.Sequential):
    """Images (B, channels, size, size) -> (B, outputs)."""

    def __init__(self, channels: int, size: int, width: int, outputs: int) -> None:
        stages = _stages(size)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1)]
        current = width
        for _ in range(stages):
            wider = min(current * 2, width * 4)
            layers += [nn.Conv2d(current, wider, 4, stride=2, padding=1), _Residual(wider)]
            current = wider
        side = size // 2**stages
        layers += [nn.GroupNorm(8, current), nn.SiLU(), nn.Flatten(), nn.Linear(current * side * side, outputs)]
        super().__init__(*layers)


class ConvDecoder(nn.Sequential):
    """Codes (B, inputs) -> images (B, channels, size, size), unbounded; the encoder's mirror."""

    def __init__(self, channels: int, size: int, width: int, inputs: int) -> None:
        stages = _stages(size)
        side = size // 2**stages
        widths = [min(width * 2**stage, width * 4) for stage in range(stages + 1)][::-1]
        layers: list[nn.Module] = [
            nn.Linear(inputs, widths[0] * side * side),
            nn.Unflatten(1, (widths[0], side, side)),
        ]
        for wide, narrow in pairwise(widths):
            layers += [_Residual(wide), nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1)]
        layers += [nn.GroupNorm(8, widths[-1]), nn.SiLU(), nn.Conv2d(widths[-1], channels, 3, padding=1)]
        super().__init__(*layers)
