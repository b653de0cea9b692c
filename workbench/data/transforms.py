"""Transformations of whole batches that MoCo v3's recipe lacks: cutout, Sobel filter, noise, quarter turns.

Each takes float images (B, C, H, W) in [0, 1] and each image's own parameters, and returns new images in [0, 1].
Where the parameters come from is :mod:`workbench.data.composition`'s business.
"""

import torch
from torch import Tensor

from workbench.data import keyed

MID_GREY = 0.5


def cutout(images: Tensor, top: Tensor, left: Tensor, side: int) -> Tensor:
    """Cover a square with mid-grey (DeVries & Taylor, "Improved Regularization of Convolutional Neural Networks with
    Cutout", arXiv 1708.04552).

    Args:
        images: (B, C, H, W).
        top, left: (B,) int64, the square's first row and column; it may lie partly outside.
        side: of the square in pixels.
    """
    rows = torch.arange(images.shape[-2], device=images.device) - top[:, None]
    columns = torch.arange(images.shape[-1], device=images.device) - left[:, None]
    covered = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]
    return images.masked_fill(covered[:, None], MID_GREY)


def sobel(images: Tensor) -> Tensor:
    """The gradient's magnitude in every channel by Sobel's 3 x 3 kernels, edges continued.

    A step from 0 to 1 along a row or a column gives 1; what a corner has beyond that is cut off.
    """
    x = torch.nn.functional.pad(images, (1, 1, 1, 1), mode="replicate")
    across, down = x[..., 2:] - x[..., :-2], x[..., 2:, :] - x[..., :-2, :]
    horizontal = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    vertical = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return torch.hypot(horizontal, vertical).mul_(0.25).clamp_(max=1.0)


def noise(images: Tensor, sigma: Tensor, keys: Tensor) -> Tensor:
    """Add white Gaussian noise, drawn from keys (B,), of standard deviations (B,), and cut off what leaves [0, 1]."""
    drawn = keyed.normal(keys, *images.shape[1:])
    return torch.addcmul(images, drawn, sigma[:, None, None, None]).clamp_(0.0, 1.0)


def rotate(images: Tensor, turns: Tensor) -> Tensor:
    """Square images turned counter-clockwise by quarter turns (B,) int64, which loses no pixel."""
    result = images.clone()
    for quarters in (1, 2, 3):
        due = (turns % 4 == quarters)[:, None, None, None]
        result = torch.where(due, torch.rot90(images, quarters, (2, 3)), result)
    return result
