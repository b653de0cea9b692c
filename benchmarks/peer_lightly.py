"""MoCo v3 built from lightly's modules as in its documentation: the peer of the speed benchmarks."""

import copy
import os

os.environ.setdefault("LIGHTLY_DID_VERSION_CHECK", "True")  # otherwise importing it contacts a server

import numpy as np
import torch
from lightly.loss import NTXentLoss  # pyright: ignore[reportMissingImports]
from lightly.models.modules.heads import MoCoProjectionHead  # pyright: ignore[reportMissingImports]
from lightly.models.utils import deactivate_requires_grad, update_momentum  # pyright: ignore[reportMissingImports]
from lightly.transforms.simclr_transform import SimCLRTransform  # pyright: ignore[reportMissingImports]
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


class Pictures(Dataset):
    """PIL images in memory, two augmented views each."""

    def __init__(self, images: np.ndarray, transform: SimCLRTransform) -> None:
        self.images, self.transform = [Image.fromarray(image) for image in images], transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> list:
        return self.transform(self.images[index])


def loader(images: np.ndarray, batch_size: int, workers: int, blur: float) -> DataLoader:
    """Batches of two views with our operations and strengths: crop, jitter, grey, blur, flip, normalisation."""
    transform = SimCLRTransform(
        input_size=images.shape[1], cj_strength=1.0, cj_bright=0.4, cj_contrast=0.4, cj_sat=0.2, cj_hue=0.1,
        min_scale=0.08, random_gray_scale=0.2, gaussian_blur=blur,
    )  # fmt: skip
    return DataLoader(
        Pictures(images, transform),
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


class MoCo(nn.Module):
    """Backbone, heads of MoCo v3's sizes and their momentum copies."""

    def __init__(self, backbone: nn.Module, width: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection = MoCoProjectionHead(width, 4096, 256, num_layers=3, batch_norm=True)
        self.prediction = MoCoProjectionHead(256, 4096, 256, num_layers=2, batch_norm=True)
        self.backbone_momentum, self.projection_momentum = copy.deepcopy(backbone), copy.deepcopy(self.projection)
        deactivate_requires_grad(self.backbone_momentum)
        deactivate_requires_grad(self.projection_momentum)
        self.criterion = NTXentLoss(temperature=0.2)

    def loss(self, views: list[Tensor]) -> Tensor:
        update_momentum(self.backbone, self.backbone_momentum, 0.99)
        update_momentum(self.projection, self.projection_momentum, 0.99)
        queries = [self.prediction(self.projection(self.backbone(view))) for view in views]
        with torch.no_grad():
            keys = [self.projection_momentum(self.backbone_momentum(view)) for view in views]
        return 0.5 * (self.criterion(queries[0], keys[1]) + self.criterion(queries[1], keys[0]))
