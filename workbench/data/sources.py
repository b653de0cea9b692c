"""Sources of images: the built-in data sets and torchvision's; see also ``folder_source`` and ``parquet_source``.

A source knows ids and labels before anything is decoded, and reads the raw images in order.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workbench.data import shapes
from workbench.errors import WorkbenchError, first_line

Raw = bytes | Path | NDArray[np.uint8] | Callable[[], Image.Image] | None
"""An image before decoding: a file's bytes, its path, an array (H, W) or (H, W, C), or a function that returns it."""

HELD_OUT = ("test", "val", "valid", "validation")  # names of a folder or files of test images, in order of preference
_PART_OFFSET = 10**9


@dataclass(frozen=True)
class Part:
    """The images of one published split, before decoding.

    Attributes:
        ids: (N,) int64, stable.
        labels: (N,) int64 or None.
        read: yields the N raw images in order.
        describe: an image's name for error messages, by its position.
        factors: known factors, (N,) float32 by name.
        names: file names of the images, N paths relative to the data; None where they have none.
    """

    ids: NDArray[np.int64]
    labels: NDArray[np.int64] | None
    read: Callable[[], Iterator[Raw]]
    describe: Callable[[int], str]
    factors: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    names: Sequence[str] | None = None


@dataclass(frozen=True)
class Source:
    """A data set before decoding: its parts, ``"train"`` and perhaps ``"test"``, and its class names."""

    parts: dict[str, Part]
    classes: list[str] | None


def indexed_ids(part: str, n: int) -> NDArray[np.int64]:
    """Ids (N,) of images known by their index: the index in train, a billion more in test, two in unlabelled."""
    offset = ("train", "test", "unlabelled").index(part) * _PART_OFFSET
    return np.arange(n, dtype=np.int64) + offset


def _array_part(part: str, images: NDArray[np.uint8], labels: Any, factors: dict[str, Any] | None = None) -> Part:
    return Part(
        ids=indexed_ids(part, len(images)),
        labels=None if labels is None else np.asarray(labels, dtype=np.int64),
        read=lambda: iter(images),
        describe=lambda index: f"{index} of {part}",
        factors=factors or {},
    )


def shapes_source() -> Source:
    """The generated data set ``shapes``."""
    parts = {part: _array_part(part, *shapes.generate(part)) for part in ("train", "test")}
    return Source(parts, list(shapes.CLASSES))


def digits_source() -> Source:
    """scikit-learn's handwritten digits, 8 x 8 pixels in 17 grey levels."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return Source({"train": _array_part("train", images, bunch.target)}, [str(digit) for digit in range(10)])


def torchvision_source(name: str, root: Path, download: bool, unlabelled: bool) -> Source:
    """A data set of torchvision's, from ``root`` or, if allowed, from the network.

    Raises:
        WorkbenchError: it is missing, and the download fails or is not allowed.
    """
    from torchvision import datasets as published

    def get(kind: Any, **arguments: Any) -> Any:
        try:
            return kind(root, download=False, **arguments)
        except (RuntimeError, OSError):
            pass
        if not download:
            raise WorkbenchError(
                f'The data set "{name}" is not in {root}; add --download to fetch it, or set $WORKBENCH_CACHE to '
                "the folder that has it."
            )
        try:
            root.mkdir(parents=True, exist_ok=True)
            return kind(root, download=True, **arguments)
        except Exception as error:  # torchvision passes on errors of its downloader and archive readers
            raise WorkbenchError(
                f'The download of "{name}" into {root} failed ({first_line(error)}); check the network and the free '
                "space and try again."
            ) from None

    def arrays(part: str, data: Any, labels: Any) -> Part:
        return _array_part(part, np.asarray(data, dtype=np.uint8), labels)

    def photos(part: str, *sets: Any) -> Part:
        items = [(images, index) for images in sets for index in range(len(images))]

        def opened(images: Any, index: int) -> Callable[[], Image.Image]:
            return lambda: images[index][0]

        return Part(
            ids=indexed_ids(part, len(items)),
            labels=np.array([label for images in sets for label in images._labels], dtype=np.int64),
            read=lambda: (opened(images, index) for images, index in items),
            describe=lambda index: f"{index} of {name}'s {part}",
        )

    kinds = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
    if name in kinds:
        train, test = (get(getattr(published, kinds[name]), train=part) for part in (True, False))
        parts = {"train": arrays("train", train.data, train.targets), "test": arrays("test", test.data, test.targets)}
        classes = train.classes
    elif name == "stl10":
        test = get(published.STL10, split="test")
        part = "unlabelled" if unlabelled else "train"
        train = get(published.STL10, split="unlabeled" if unlabelled else "train")
        parts = {
            "train": arrays(part, train.data.transpose(0, 2, 3, 1), None if unlabelled else train.labels),
            "test": arrays("test", test.data.transpose(0, 2, 3, 1), test.labels),
        }
        classes = test.classes
    elif name == "flowers102":
        train, val, test = (get(published.Flowers102, split=split) for split in ("train", "val", "test"))
        parts = {"train": photos("train", train, val), "test": photos("test", test)}
        classes = getattr(train, "classes", None) or [str(number) for number in range(102)]
    else:
        train, test = (get(published.OxfordIIITPet, split=split) for split in ("trainval", "test"))
        parts = {"train": photos("train", train), "test": photos("test", test)}
        classes = train.classes
    return Source(parts, [str(label) for label in classes])
