"""Arrays of images as tensors, and back."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.data.decode import Form, decoded
from workbench.errors import WorkbenchError


def prepare(images: np.ndarray, channels: int, size: int) -> Tensor:
    """Images (N, H, W, C) or (N, H, W), uint8 or float in [0, 1], as uint8 (N, channels, size, size).

    Images of another size or number of channels are converted as those of the data sets are.

    Raises:
        WorkbenchError: an array that is no batch of images.
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise WorkbenchError(f"Images must have the shape (N, H, W, C) with C 1, 3 or 4, not {tuple(images.shape)}.")
    if np.issubdtype(images.dtype, np.floating):
        low, high = float(images.min()), float(images.max())
        if not (low >= 0 and high <= 1):
            extent = f"[{low:.3g}, {high:.3g}]"
            raise WorkbenchError(f"Float images must lie in [0, 1], not in {extent}; give uint8 from 0 to 255.")
        images = np.rint(images * 255).astype(np.uint8)
    elif images.dtype != np.uint8:
        raise WorkbenchError(f"Images must be uint8 or float in [0, 1], not {images.dtype}.")
    if images.shape[1:] != (size, size, channels):
        images = np.stack([decoded(image, Form(channels, size)) for image in images])
    return channels_first(images)


def channels_first(images: NDArray[np.uint8]) -> Tensor:
    """uint8 images (N, H, W, C) as (N, C, H, W)."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).contiguous()


def to_uint8(images: Tensor) -> NDArray[np.uint8]:
    """Float images (N, C, H, W) in [0, 1] as uint8 (N, H, W, C)."""
    rounded = (images.float().clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(rounded.permute(0, 2, 3, 1).cpu().numpy())
