"""ResNets, with the stem that small images need."""

from typing import Literal

from torch import nn
from torchvision.models import ResNet, resnet18, resnet50

SMALL = 64  # px; up to here the published stem would throw away most of the image


def resnet(name: Literal["resnet18", "resnet50"], channels: int, size: int) -> tuple[ResNet, int]:
    """A ResNet without classifier and its feature width: images (B, channels, size, size) -> (B, width).

    Images of at most 64 px get a 3x3 stride-one stem without pooling (SimCLR, appendix B.9).
    """
    model = {"resnet18": resnet18, "resnet50": resnet50}[name](zero_init_residual=name == "resnet50")
    width = model.fc.in_features
    model.fc = nn.Identity()  # type: ignore[assignment]
    if size <= SMALL:
        model.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        model.maxpool = nn.Identity()  # type: ignore[assignment]
    elif channels != 3:
        model.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    return model, width
