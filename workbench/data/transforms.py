"""Transformations of whole batches of images, each image with its own parameters.

Images are float (B, C, H, W) in [0, 1], as is the result; functions whose name ends in ``_`` work in place. Those of
MoCo v3's recipe follow torchvision's semantics, so that each can be compared with its per-image counterpart. Where the
parameters come from is up to :mod:`workbench.data.augment` and :mod:`workbench.data.composition`.
"""

from collections.abc import Callable
from functools import lru_cache, partial

import torch
from torch import Tensor

from workbench.data import keyed

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
LUMA = (0.2989, 0.587, 0.114)  # ITU-R 601-2, as torchvision rounds it
MID_GREY = 0.5


def cutout(images: Tensor, top: Tensor, left: Tensor, side: int) -> Tensor:
    """Cover a square with mid-grey (DeVries & Taylor, "Improved Regularization of Convolutional Neural Networks with
    Cutout", arXiv 1708.04552).

    Args:
        images: (B, C, H, W).
        top, left: (B,) int64, the square's first row and column; which may lie partly outside.
        side: of the square in pixels.
    """
    rows = torch.arange(images.shape[-2], device=images.device) - top[:, None]
    columns = torch.arange(images.shape[-1], device=images.device) - left[:, None]
    covered = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]
    return images.masked_fill(covered[:, None], MID_GREY)


def sobel(images: Tensor) -> Tensor:
    """The gradient's magnitude in every channel by Sobel's 3 x 3 kernels, with replicated edges.

    A step from 0 to 1 along a row or a column gives 1; larger values, at corners, are clipped.
    """
    x = torch.nn.functional.pad(images, (1, 1, 1, 1), mode="replicate")
    across, down = x[..., 2:] - x[..., :-2], x[..., 2:, :] - x[..., :-2, :]
    horizontal = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    vertical = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return torch.hypot(horizontal, vertical).mul_(0.25).clamp_(max=1.0)


def noise(images: Tensor, sigma: Tensor, keys: Tensor) -> Tensor:
    """Add white Gaussian noise of standard deviations (B,), sampled from keys (B,), and clip to [0, 1]."""
    normal = keyed.normal(keys, *images.shape[1:])
    return torch.addcmul(images, normal, sigma[:, None, None, None]).clamp_(0.0, 1.0)


def rotate(images: Tensor, turns: Tensor) -> Tensor:
    """Square images turned counter-clockwise by quarter turns (B,) int64, which is lossless."""
    result = images.clone()
    for quarters in (1, 2, 3):
        due = (turns % 4 == quarters)[:, None, None, None]
        result = torch.where(due, torch.rot90(images, quarters, (2, 3)), result)
    return result


def _resize_weights(start: Tensor, length: Tensor, n_in: int, n_out: int, mirrored: Tensor | None) -> Tensor:
    """Matrices (B, n_out, n_in) that crop ``[start, start + length)`` and resize it to ``n_out`` pixels.

    The triangle filter of ``torch.nn.functional.interpolate(mode="bilinear", antialias=True)``: as wide as the scale
    when shrinking, one pixel when enlarging.
    """
    device = start.device
    begin, length = start.to(torch.float32)[:, None], length.to(torch.float32)[:, None]
    scale = length / n_out
    pixel = torch.arange(n_out, device=device, dtype=torch.float32) + 0.5
    pixels = pixel if mirrored is None else torch.where(mirrored[:, None], n_out - pixel, pixel)
    centre = begin + scale * pixels
    sharpness = scale.clamp(min=1.0).reciprocal_()
    position = torch.arange(n_in, device=device, dtype=torch.float32) + 0.5
    inside = (position > begin) & (position < begin + length)
    weights = (position - centre[:, :, None]).abs_().mul_(-sharpness[:, :, None]).add_(1.0).clamp_(min=0.0)
    weights.mul_(inside[:, None, :])
    return weights.div_(weights.sum(dim=2, keepdim=True))


def resized_crop(images: Tensor, box: Tensor, size: int, mirrored: Tensor | None) -> Tensor:
    """Antialiased crops (B, C, size, size) of images (B, C, H, W) by boxes (B, 4); two matrix products per image."""
    b, c, height, width = images.shape
    across = _resize_weights(box[:, 1], box[:, 3], width, size, mirrored)
    down = _resize_weights(box[:, 0], box[:, 2], height, size, None)
    if images.dtype == torch.uint8:
        across.mul_(1 / 255)
    rows = torch.bmm(images.to(torch.float32).reshape(b, c * height, width), across.transpose(1, 2))
    return torch.matmul(down[:, None], rows.view(b, c, height, size)).clamp_(0.0, 1.0)


def to_grey(x: Tensor) -> Tensor:
    """Luma (B, 1, H, W) of colour images (B, 3, H, W)."""
    red, green, blue = x.split(1, dim=1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def change_(x: Tensor, chosen: Tensor, change: Callable[..., Tensor], *parameters: Tensor) -> None:
    """Replace the chosen (B,) bool of the images (B, C, H, W) by ``change(images, *parameters)``, in place.

    On a CPU only the chosen ones are computed; elsewhere all are, since the host would have to wait for the device to
    learn which are chosen.
    """
    if _selects(x.device):
        rows = chosen.nonzero()[:, 0]
        if len(rows):
            x[rows] = change(x[rows], *(parameter[rows] for parameter in parameters))
    else:
        x.copy_(torch.where(chosen[:, None, None, None], change(x.clone(), *parameters), x))


def _selects(device: torch.device) -> bool:
    return device.type == "cpu"


@lru_cache(maxsize=64)
def constant(values: tuple, device: torch.device) -> Tensor:
    """A small tensor, copied to the device only once."""
    return torch.tensor(values, device=device)


def jitter_(x: Tensor, jitter: Tensor, factors: Tensor, order: Tensor) -> None:
    """Colour jitter in place, each image's four operations in its own order."""
    operations = (BRIGHTNESS, CONTRAST, SATURATION, HUE) if x.shape[1] == 3 else (BRIGHTNESS, CONTRAST)
    for turn in range(4):
        for operation in operations:
            due = jitter & (order[:, turn] == operation)
            change_(x, due, partial(_adjust_, operation), factors[:, operation, None, None, None])


def _adjust_(operation: int, x: Tensor, factor: Tensor) -> Tensor:
    """One colour operation on images (B, C, H, W) by factors (B, 1, 1, 1); the images are overwritten.

    Brightness, contrast and saturation blend with black, with the mean grey and with the grey image, as
    ``torchvision.transforms.functional.adjust_…`` do.
    """
    if operation == HUE:
        return _turn_hue(x, factor[:, :, 0])
    if operation == BRIGHTNESS:
        return x.mul_(factor).clamp_(0.0, 1.0)
    other = to_grey(x) if x.shape[1] == 3 else x
    if operation == CONTRAST:
        other = other.mean(dim=(1, 2, 3), keepdim=True)
    other = other * (1.0 - factor)
    return x.mul_(factor).add_(other).clamp_(0.0, 1.0)


def _turn_hue(x: Tensor, turn: Tensor) -> Tensor:
    """Images (B, 3, H, W) with their hue in HSV turned by ``turn`` (B, 1, 1), in parts of the circle.

    Value and saturation are unchanged, so a channel is ``max - (max - min) * clamp(min(k, 4 - k), 0, 1)`` with
    ``k = (n + 6 hue) mod 6`` and n = 5, 3, 1 for red, green, blue (Smith, SIGGRAPH 1978, as one formula).
    """
    red, green, blue = x.unbind(dim=1)
    high, low = x.amax(dim=1), x.amin(dim=1)
    chroma = high - low
    inverse = chroma.clamp(min=1e-12).reciprocal_()  # where chroma is 0, so are the differences
    sixths = (red - green).mul_(inverse).add_(4.0)
    sixths = torch.where(high == green, (blue - red).mul_(inverse).add_(2.0), sixths)
    sixths = torch.where(high == red, (green - blue).mul_(inverse), sixths)
    sixths.add_(6.0 * turn)
    result = torch.empty_like(x)
    for channel, n in enumerate((5.0, 3.0, 1.0)):
        k = (sixths + n).remainder_(6.0)
        k = torch.minimum(k, 4.0 - k).clamp_(0.0, 1.0)
        torch.sub(high, k.mul_(chroma), out=result[:, channel])
    return result


@lru_cache(maxsize=16)
def _shifts(radius: int, size: int, device: torch.device) -> Tensor:
    """Matrices (2 radius + 1, size * size) that shift a row by -radius … radius, reflected at its ends."""
    source = torch.arange(size)[None, :] + torch.arange(-radius, radius + 1)[:, None]
    source = (size - 1) - ((size - 1) - source.abs()).abs()
    return torch.nn.functional.one_hot(source, size).to(torch.float32).flatten(1).to(device)


def solarise(x: Tensor, threshold: float) -> Tensor:
    """Images with the values at and above the threshold inverted."""
    return torch.where(x >= threshold, 1.0 - x, x)


def blur(x: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Gaussian blur of images (B, C, S, S) by standard deviations (B,), truncated at ``radius`` pixels.

    As ``torchvision.transforms.functional.gaussian_blur`` with a kernel of that width: edges are reflected.
    """
    b, c, size, _ = x.shape
    radius = min(radius, size - 1)
    offset = torch.arange(-radius, radius + 1, device=x.device, dtype=torch.float32)
    kernel = torch.softmax(-0.5 * (offset / sigma[:, None].clamp_min(1e-6)) ** 2, dim=1)  # 0 is no blur
    band = (kernel @ _shifts(radius, size, x.device)).view(b, size, size)
    rows = torch.bmm(x.reshape(b, c * size, size), band.transpose(1, 2))
    return torch.matmul(band[:, None], rows.view(b, c, size, size)).clamp_(0.0, 1.0)
