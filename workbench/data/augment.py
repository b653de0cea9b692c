"""Augmentation of whole batches on the device, each image with its own random parameters.

Operations and order are MoCo v3's (Chen, Xie & He, "An Empirical Study of Training Self-Supervised Vision
Transformers", ICCV 2021), with torchvision's semantics on float images: random resized crop, colour jitter, grey,
blur, solarise, flip. Parameters are sampled from keys (:mod:`workbench.data.keyed`) and applied separately, so that
each operation can be compared with its per-image counterpart.
"""

import math
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from typing import Protocol

import torch
from torch import Tensor

from workbench.data import keyed, transforms

_ORDERS = tuple(permutations(range(4)))
_RATIO = (3 / 4, 4 / 3)
_TRIES = 10


class View(Protocol):
    """Makes a view: from images (B, C, H, W), uint8 or float in [0, 1], and keys (B,) int64, to float32 in [0, 1]."""

    def __call__(self, images: Tensor, keys: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class Parameters:
    """The parameters of B images; those of an operation that is off are None.

    Attributes:
        box: (B, 4) int64, the crop's top, left, height and width in pixels.
        flip: (B,) bool, whether it is mirrored.
        jitter: (B,) bool, whether its colours are jittered.
        factors: (B, 4) float32, brightness, contrast, saturation (factors) and hue (a turn is 1).
        order: (B, 4) int64, the order of these four
        grey: (B,) bool, whether it is turned grey.
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
    """Smallest share of the area in a crop; 1 turns cropping off."""
    crop_max: float = 1.0
    """Largest share of the area in a crop."""
    flip: float = 0.5
    """Probability of a mirror image."""
    jitter: float = 0.8
    """Probability of jittered colours."""
    brightness: float = 0.4
    """Largest deviation of the brightness factor from 1."""
    contrast: float = 0.4
    """Largest deviation of the contrast factor from 1."""
    saturation: float = 0.2
    """Largest deviation of the saturation factor from 1."""
    hue: float = 0.1
    """Largest turn of the hue, as a part of the colour circle."""
    grey: float = 0.2
    """Probability of a grey image."""
    blur: float = 0.0
    """Probability of a Gaussian blur."""
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    """Range of the blur's standard deviation in pixels."""
    blur_radius: int | None = None
    """Radius of the blur's kernel in pixels; by default three times the largest standard deviation."""
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
        low = transforms.constant((*(max(0.0, 1.0 - spread) for spread in spreads), -self.hue), u.device)
        high = transforms.constant((*(1.0 + spread for spread in spreads), self.hue), u.device)
        jitter = self.jitter > 0
        sigma_low, sigma_high = self.blur_sigma
        return Parameters(
            box=self._boxes(tries, u[:, 0], u[:, 1], height, width) if self.crop_min < 1 else None,
            flip=u[:, 2] < self.flip if self.flip > 0 else None,
            jitter=u[:, 3] < self.jitter if jitter else None,
            factors=low + (high - low) * u[:, 4:8] if jitter else None,
            order=transforms.constant(_ORDERS, u.device)[(u[:, 8] * len(_ORDERS)).long()] if jitter else None,
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
        whole = transforms.constant(((height - h_whole) // 2, (width - w_whole) // 2, h_whole, w_whole), tries.device)
        return torch.where(fits.any(dim=1, keepdim=True), torch.stack((top, left, h, w), dim=1), whole)

    def apply(self, images: Tensor, parameters: Parameters) -> Tensor:
        """The augmented images (B, C, size, size) float32 in [0, 1]."""
        p = parameters
        with torch.autocast(images.device.type, enabled=False):
            x = self._crop_and_flip(images, p)
            if p.jitter is not None and p.factors is not None and p.order is not None:
                transforms.jitter_(x, p.jitter, p.factors, p.order)
            if p.grey is not None and x.shape[1] == 3:
                transforms.change_(x, p.grey, lambda x: transforms.to_grey(x).expand(-1, 3, -1, -1))
            if p.sigma is not None:
                radius = math.ceil(3.0 * self.blur_sigma[1]) if self.blur_radius is None else self.blur_radius
                transforms.change_(x, p.sigma > 0, partial(transforms.blur, radius=radius), p.sigma)
            if p.solarise is not None:
                transforms.change_(x, p.solarise, partial(transforms.solarise, threshold=self.solarise_threshold))
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
        return transforms.resized_crop(images, box, self.size, p.flip)


def plain(size: int, flip: float = 0.0) -> Augmentation:
    """Float images of ``size``, mirrored with probability ``flip``: the inputs of generative models."""
    return Augmentation(size=size, crop_min=1.0, flip=flip, jitter=0.0, grey=0.0)


def to_float(images: Tensor) -> Tensor:
    """Images as float32 in [0, 1]; float images keep their values."""
    if images.dtype == torch.uint8:
        return images.to(torch.float32).mul_(1 / 255)
    return images.to(torch.float32)
