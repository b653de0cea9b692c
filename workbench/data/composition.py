"""SimCLR's study of augmentations: one or two transformations of one view, the other view left plain.

Chen, Kornblith, Norouzi and Hinton, "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020
(arXiv 2002.05709), section 3.1 and figure 5. A network is trained for each cell of a 7 x 7 matrix: on the diagonal one
transformation alone, elsewhere the row's and then the column's. The transformations under study act on one branch
only, the other is the identity.

ImageNet's images differ in size, so the paper first takes a random resized crop, from which both branches start: with
different crops, every cell would contain a crop. The images of our data sets all have one size, so no crop comes first
and the plain view is the image itself.

The parameters are the paper's (section 3, figure 4, appendix A): crops of 8 to 100 % of the
area and an aspect ratio of 3/4 to 4/3, each mirrored with probability 1/2; colour jitter of strength 1 (0.8, 0.8, 0.8,
0.2) with probability 0.8 and grey with 0.2; blur with probability 1/2, sigma 0.1 to 2.0 pixels and a kernel of a tenth
of the image's side; rotation by 90, 180 or 270 degrees. It gives no numbers for the others. Ours: cutout covers a
square of half the side, centred anywhere in the image (DeVries and Taylor's 16 of 32 pixels on CIFAR-10); Sobel is the
magnitude in each channel; noise has a standard deviation between 0 and 0.2. These three act on every image.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from workbench.data import keyed, transforms
from workbench.data.augment import Augmentation, View, plain
from workbench.data.options import Transformation, TwoViewConfig

NOISE = 0.2  # largest standard deviation


def two_views(config: TwoViewConfig, size: int, first: View, second: View) -> tuple[View, View]:
    """The views that a method trains on: its own two, unless ``config.composition`` is set."""
    if config.composition is None:
        return first, second
    return Composition(size, config.composition), plain(size)


@dataclass(frozen=True)
class Composition:
    """Transformations one after the other, each image with its own random parameters.

    Called with images (B, C, H, W), uint8 or float in [0, 1], and keys (B,) int64; the result is float32
    (B, C, size, size) in [0, 1].
    """

    size: int
    names: tuple[Transformation, ...]

    def __call__(self, images: Tensor, keys: Tensor, /) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            x = plain(self.size)(images, keys)
            for place, name in enumerate(self.names):
                x = transformation(name, self.size)(x, keyed.fork(keys, f"composition {place}"))
        return x


def transformation(name: Transformation, size: int) -> View:
    """One of the seven transformations, for square float images of ``size`` pixels."""
    alone = partial(Augmentation, size=size, crop_min=1.0, flip=0.0, jitter=0.0, grey=0.0)
    augmentations = {
        "crop": partial(alone, crop_min=0.08, flip=0.5),
        "colour": partial(alone, jitter=0.8, brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, grey=0.2),
        "blur": partial(alone, blur=0.5, blur_radius=max(1, size // 10 // 2)),
    }
    return augmentations[name]() if name in augmentations else _KEYED[name]


def _cutout(images: Tensor, keys: Tensor, /) -> Tensor:
    size = images.shape[-1]
    side = size // 2
    centre = (keyed.uniform(keys, 2) * size).long()
    return transforms.cutout(images, centre[:, 0] - side // 2, centre[:, 1] - side // 2, side)


def _noise(images: Tensor, keys: Tensor, /) -> Tensor:
    return transforms.noise(images, NOISE * keyed.uniform(keys, 1)[:, 0], keyed.fork(keys, "noise"))


_KEYED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cutout": _cutout,
    "sobel": lambda images, keys: transforms.sobel(images),
    "noise": _noise,
    "rotation": lambda images, keys: transforms.rotate(images, 1 + keyed.integers(keys, 3)),
}
