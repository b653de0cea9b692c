"""Augmentation of whole batches on the device, each image with its own random parameters.

The operations and their order are MoCo v3's (Chen, Xie & He, "An Empirical Study of Training Self-Supervised Vision
Transformers", ICCV 2021), with torchvision's semantics on float images: random resized crop, colour jitter, grey,
blur, solarise, flip. Parameters are drawn from keys (:mod:`workbench.data.keyed`) and applied separately, so that
each operation can be compared with its per-image counterpart.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import permutations
from typing import Protocol

import torch
from torch import Tensor

from workbench.data import keyed

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
_ORDERS = tuple(permutations(range(4)))
_GREY = (0.2989, 0.587, 0.114)  # ITU-R 601-2 luma, as torchvision rounds it
_RATIO = (3 / 4, 4 / 3)
_TRIES = 10


class View(Protocol):
    """What makes a view: images (B, C, H, W), uint8 or float in [0, 1], and keys (B,) int64 to float32 in [0, 1]."""

    def __call__(self, images: Tensor, keys: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class Parameters:
    """What is done to each of B images; an operation that is off is None.

    Attributes:
        box: (B, 4) int64, the crop's top, left, height and width in pixels.
        flip: (B,) bool, whether it is mirrored.
        jitter: (B,) bool, whether its colours are jittered.
        factors: (B, 4) float32, brightness, contrast, saturation (factors) and hue (a turn is 1).
        order: (B, 4) int64, which of these four comes first, second, …
        grey: (B,) bool, whether it loses its colour.
        sigma: (B,) float32, the blur's standard deviation in pixels, 0 for none.
        solarise: (B,) bool, whether values above the threshold are inverted.
    """

    box: Tensor | None = None
    flip: Tensor | None = None
    jitter: Tensor | None = None
    factors: Tensor | None = None
    order: Tensor | None = None
    grey: Tensor | None = None
    sigma: Tensor | None = None
    solarise: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """A recipe of random changes, called with images (B, C, H, W), uint8 or float in [0, 1], and keys (B,) int64.

    The result is float32 (B, C, size, size) in [0, 1]. Two views of an image need two sets of keys:
    ``keyed.fork(keys, view)``. Saturation, hue and grey leave one-channel images as they are.
    """

    size: int
    """Side of the result in pixels."""
    crop_min: float = 0.08
    """Smallest part of the area that a crop keeps; with 1 there is no crop."""
    crop_max: float = 1.0
    """Largest part of the area that a crop keeps."""
    flip: float = 0.5
    """Probability of a mirror image."""
    jitter: float = 0.8
    """Probability of jittered colours."""
    brightness: float = 0.4
    """Brightness factor lies within 1 plus or minus this."""
    contrast: float = 0.4
    """Contrast factor lies within 1 plus or minus this."""
    saturation: float = 0.2
    """Saturation factor lies within 1 plus or minus this."""
    hue: float = 0.1
    """Hue is turned by at most this part of the colour circle."""
    grey: float = 0.2
    """Probability of losing all colour."""
    blur: float = 0.0
    """Probability of a Gaussian blur."""
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    """Range of the blur's standard deviation in pixels."""
    blur_radius: int | None = None
    """Pixels at which the blur's kernel is cut off; by default three times the largest standard deviation."""
    solarise: float = 0.0
    """Probability of inverting the bright pixels."""
    solarise_threshold: float = 128 / 255
    """Value from which a pixel counts as bright."""

    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        return self.apply(images, self.draw(keys, images.shape[-2], images.shape[-1]))

    def draw(self, keys: Tensor, height: int, width: int) -> Parameters:
        """The parameters for images of ``height`` x ``width`` pixels; those of one operation do not depend on the
        probability of another."""
        u = keyed.uniform(keyed.fork(keys, "augmentation"), 2 * _TRIES + 13)
        u, tries = u[:, 2 * _TRIES :], u[:, : 2 * _TRIES]
        spreads = (self.brightness, self.contrast, self.saturation)
        low = _constant((*(max(0.0, 1.0 - spread) for spread in spreads), -self.hue), u.device)
        high = _constant((*(1.0 + spread for spread in spreads), self.hue), u.device)
        jitter = self.jitter > 0
        sigma_low, sigma_high = self.blur_sigma
        return Parameters(
            box=self._boxes(tries, u[:, 0], u[:, 1], height, width) if self.crop_min < 1 else None,
            flip=u[:, 2] < self.flip if self.flip > 0 else None,
            jitter=u[:, 3] < self.jitter if jitter else None,
            factors=low + (high - low) * u[:, 4:8] if jitter else None,
            order=_constant(_ORDERS, u.device)[(u[:, 8] * len(_ORDERS)).long()] if jitter else None,
            grey=u[:, 9] < self.grey if self.grey > 0 else None,
            sigma=(sigma_low + (sigma_high - sigma_low) * u[:, 11]) * (u[:, 10] < self.blur) if self.blur > 0 else None,
            solarise=u[:, 12] < self.solarise if self.solarise > 0 else None,
        )

    def _boxes(self, tries: Tensor, u_top: Tensor, u_left: Tensor, height: int, width: int) -> Tensor:
        """Boxes (B, 4) as ``torchvision.transforms.RandomResizedCrop.get_params`` chooses them: the first of ten
        tries that fits, else the largest centred box of an allowed ratio."""
        area = height * width * (self.crop_min + (self.crop_max - self.crop_min) * tries[:, :_TRIES])
        low, high = math.log(_RATIO[0]), math.log(_RATIO[1])
        ratio = torch.exp(low + (high - low) * tries[:, _TRIES:])
        w, h = torch.sqrt(area * ratio).round_().long(), torch.sqrt(area / ratio).round_().long()
        fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
        first = fits.to(torch.uint8).argmax(dim=1, keepdim=True)
        h, w = h.gather(1, first)[:, 0], w.gather(1, first)[:, 0]
        top, left = (u_top * (height - h + 1)).long(), (u_left * (width - w + 1)).long()
        if width / height < _RATIO[0]:
            w_whole, h_whole = width, round(width / _RATIO[0])
        elif width / height > _RATIO[1]:
            w_whole, h_whole = round(height * _RATIO[1]), height
        else:
            w_whole, h_whole = width, height
        whole = _constant(((height - h_whole) // 2, (width - w_whole) // 2, h_whole, w_whole), tries.device)
        return torch.where(fits.any(dim=1, keepdim=True), torch.stack((top, left, h, w), dim=1), whole)

    def apply(self, images: Tensor, parameters: Parameters) -> Tensor:
        """Images (B, C, size, size) float32 in [0, 1], changed as the parameters say."""
        p = parameters
        with torch.autocast(images.device.type, enabled=False):
            x = self._crop_and_flip(images, p)
            if p.jitter is not None and p.factors is not None and p.order is not None:
                _jitter_(x, p.jitter, p.factors, p.order)
            if p.grey is not None and x.shape[1] == 3:
                _change_(x, p.grey, lambda some: _grey(some).expand(-1, 3, -1, -1))
            if p.sigma is not None:
                radius = math.ceil(3.0 * self.blur_sigma[1]) if self.blur_radius is None else self.blur_radius
                _change_(x, p.sigma > 0, partial(_blur, radius=radius), p.sigma)
            if p.solarise is not None:
                _change_(x, p.solarise, partial(_solarise, threshold=self.solarise_threshold))
        return x

    def _crop_and_flip(self, images: Tensor, p: Parameters) -> Tensor:
        height, width = images.shape[-2:]
        if p.box is None and (height, width) == (self.size, self.size):
            x = to_float(images)
            if x is images:
                x = images.clone()
            return x if p.flip is None else torch.where(p.flip[:, None, None, None], x.flip(-1), x)
        if p.box is None:
            box = torch.tensor([0, 0, height, width], device=images.device).expand(len(images), 4)
        else:
            box = p.box
        return _resized_crop(images, box, self.size, p.flip)


def plain(size: int, flip: float = 0.0) -> Augmentation:
    """Nothing but float images of ``size``, mirrored with probability ``flip``: what generative models train on."""
    return Augmentation(size=size, crop_min=1.0, flip=flip, jitter=0.0, grey=0.0)


def to_float(images: Tensor) -> Tensor:
    """Images as float32 in [0, 1]; float images are taken as they are."""
    if images.dtype == torch.uint8:
        return images.to(torch.float32).mul_(1 / 255)
    return images.to(torch.float32)


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


def _resized_crop(images: Tensor, box: Tensor, size: int, mirrored: Tensor | None) -> Tensor:
    """Antialiased crops (B, C, size, size) of images (B, C, H, W) by boxes (B, 4); two matrix products per image."""
    b, c, height, width = images.shape
    across = _resize_weights(box[:, 1], box[:, 3], width, size, mirrored)
    down = _resize_weights(box[:, 0], box[:, 2], height, size, None)
    if images.dtype == torch.uint8:
        across.mul_(1 / 255)
    rows = torch.bmm(images.to(torch.float32).reshape(b, c * height, width), across.transpose(1, 2))
    return torch.matmul(down[:, None], rows.view(b, c, height, size)).clamp_(0.0, 1.0)


def _grey(x: Tensor) -> Tensor:
    """Luma (B, 1, H, W) of colour images (B, 3, H, W)."""
    red, green, blue = x.split(1, dim=1)
    return (red * _GREY[0]).add_(green, alpha=_GREY[1]).add_(blue, alpha=_GREY[2])


def _change_(x: Tensor, chosen: Tensor, change: Callable[..., Tensor], *parameters: Tensor) -> None:
    """Replace the chosen (B,) bool of the images (B, C, H, W) by ``change(images, *parameters)``, in place.

    On a CPU only these are computed; elsewhere all are, because the host would have to wait for the device to learn
    which ones are chosen.
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
def _constant(values: tuple, device: torch.device) -> Tensor:
    """A small tensor that is copied to the device once."""
    return torch.tensor(values, device=device)


def _jitter_(x: Tensor, jitter: Tensor, factors: Tensor, order: Tensor) -> None:
    """Colour jitter in place, each image's four operations in its own order."""
    operations = (BRIGHTNESS, CONTRAST, SATURATION, HUE) if x.shape[1] == 3 else (BRIGHTNESS, CONTRAST)
    for turn in range(4):
        for operation in operations:
            due = jitter & (order[:, turn] == operation)
            _change_(x, due, partial(_adjust_, operation), factors[:, operation, None, None, None])


def _adjust_(operation: int, x: Tensor, factor: Tensor) -> Tensor:
    """One colour operation on images (B, C, H, W) by factors (B, 1, 1, 1); the images are overwritten.

    Brightness, contrast and saturation blend with black, with the mean grey and with the grey image, as
    ``torchvision.transforms.functional.adjust_…`` do.
    """
    if operation == HUE:
        return _turn_hue(x, factor[:, :, 0])
    if operation == BRIGHTNESS:
        return x.mul_(factor).clamp_(0.0, 1.0)
    other = _grey(x) if x.shape[1] == 3 else x
    if operation == CONTRAST:
        other = other.mean(dim=(1, 2, 3), keepdim=True)
    other = other * (1.0 - factor)
    return x.mul_(factor).add_(other).clamp_(0.0, 1.0)


def _turn_hue(x: Tensor, turn: Tensor) -> Tensor:
    """Images (B, 3, H, W) with their hue in HSV turned by ``turn`` (B, 1, 1), in parts of the circle.

    Value and saturation stay, so a channel is ``max - (max - min) * clamp(min(k, 4 - k), 0, 1)`` with
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
    """Matrices (2 radius + 1, size * size) that shift a row by -radius … radius, mirrored at its ends."""
    source = torch.arange(size)[None, :] + torch.arange(-radius, radius + 1)[:, None]
    source = (size - 1) - ((size - 1) - source.abs()).abs()
    return torch.nn.functional.one_hot(source, size).to(torch.float32).flatten(1).to(device)


def _solarise(x: Tensor, threshold: float) -> Tensor:
    """Images with the values from the threshold on inverted."""
    return torch.where(x >= threshold, 1.0 - x, x)


def _blur(x: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Gaussian blur of images (B, C, S, S) by standard deviations (B,), cut off ``radius`` pixels from the centre.

    As ``torchvision.transforms.functional.gaussian_blur`` with a kernel of that width: edges are mirrored.
    """
    b, c, size, _ = x.shape
    radius = min(radius, size - 1)
    offset = torch.arange(-radius, radius + 1, device=x.device, dtype=torch.float32)
    kernel = torch.softmax(-0.5 * (offset / sigma[:, None].clamp_min(1e-6)) ** 2, dim=1)  # 0 is no blur
    band = (kernel @ _shifts(radius, size, x.device)).view(b, size, size)
    rows = torch.bmm(x.reshape(b, c * size, size), band.transpose(1, 2))
    return torch.matmul(band[:, None], rows.view(b, c, size, size)).clamp_(0.0, 1.0)
