"""The images that evaluations read and their features, held in memory for all of them."""

import copy
from dataclasses import astuple, dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench import store
from workbench.config import TrainConfig
from workbench.data import datasets
from workbench.data.arrays import channels_first, prepare
from workbench.data.datasets import Dataset, Split
from workbench.files import write_array, write_json
from workbench.methods.base import ImageSpec
from workbench.model import TrainedModel

Spaces = dict[str, NDArray[np.float32]]
PIXEL_SIDE = 32  # larger images are shrunk for the row "pixels", whose features would not fit the memory otherwise
CATEGORIES = 20  # whole-numbered factors with at most this many values are categories


@dataclass(frozen=True)
class Limits:
    """How many images evaluation reads at most. Runs are only comparable where these are the same."""

    train: int = 10_000
    """Training images that probes are fitted to and that kNN searches."""
    val: int = 5_000
    """Validation images that choose the regularisation."""
    test: int = 10_000
    """Test images; those of the probe set come first."""
    layer_train: int = 10_000
    """Training images that the probes of every layer are fitted to."""
    layer_test: int = 10_000
    """Test images of these probes; those of the probe set come first."""
    probe: int = datasets.PROBE_SIZE
    """Images of the probe set."""
    reconstruct: int = 1_000
    """Probe images that are reconstructed."""
    samples: int = 64
    """Reconstructions that are stored, and samples that are drawn."""
    likelihood: int = 2_000
    """Test images whose likelihood is computed, evenly spread over those above; a class-conditional model classifies
    as many."""
    likelihood_full: int = 512
    """The same where the sum over all noise levels is computed."""
    similarity: int = 200
    """Probe images in the similarity matrix."""
    invariance: int = 200
    """Probe images whose transformed copies are compared with them."""
    slow_samplers: bool = True
    """Also draw with samplers of a thousand steps."""

    @classmethod
    def of(cls, device: torch.device) -> "Limits":
        """Few enough for minutes on a CPU; elsewhere the defaults."""
        if device.type != "cpu":
            return cls()
        fewer = cls(train=3_000, val=500, test=1_500, layer_train=1_200, layer_test=800)
        fewer = replace(fewer, likelihood=512, likelihood_full=32)
        return replace(fewer, reconstruct=200, invariance=100, slow_samplers=False)

    def __str__(self) -> str:
        """As in the files of shared baselines, where ``samples`` is still called ``drawn``."""
        names = ("drawn" if field.name == "samples" else field.name for field in fields(self))
        return ", ".join(f"{name} {value}" for name, value in zip(names, astuple(self), strict=True))


@dataclass(frozen=True)
class Features:
    """Features (n, D) by space, of the training, validation and test images of a :class:`Material`."""

    train: Spaces
    val: Spaces
    test: Spaces

    def of(self, space: str) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Those of one space."""
        return self.train[space], self.val[space], self.test[space]


class Material:
    """The images of a data set that evaluations read, the same for all runs on it.

    Attributes:
        train, val, test: in the classes' proportions; ``test`` begins with the probe set.
        probe: the fixed test images that pages show, by class, then by id.
    """

    def __init__(self, dataset: Dataset, limits: Limits) -> None:
        self.dataset, self.limits = dataset, limits
        self.train = dataset.train.take(slice(limits.train))  # the data set has put it in a stratified order
        val, test = dataset.val, dataset.test
        self.val = val.take(datasets.stratified_order(val.ids, val.labels, "evaluation")[: limits.val])
        self.probe = datasets.probe(dataset, min(limits.probe, limits.test))
        position = {int(sample): row for row, sample in enumerate(test.ids)}
        first = np.array([position[int(sample)] for sample in self.probe.ids])
        order = datasets.stratified_order(test.ids, test.labels, "evaluation")
        rest = order[~np.isin(order, first)][: max(limits.test - len(first), 0)]
        self.test = test.take(np.concatenate([first, rest]))

    @classmethod
    def load(cls, config: TrainConfig, limits: Limits) -> "Material":
        """The material of a run's data, with all training images whatever the run's own limit was."""
        return cls(datasets.load(config.data, replace(config.data_options, limit=None), config.download), limits)

    def shaped(self, spec: ImageSpec) -> "Material":
        """The same images at a model's size and number of channels."""
        shaped = copy.copy(self)
        shaped.__dict__.pop("pixels", None)  # of the images as they were
        for name in ("train", "val", "test"):
            split = getattr(self, name)
            images = prepare(split.images, spec.channels, spec.size).permute(0, 2, 3, 1).contiguous().numpy()
            setattr(shaped, name, replace(split, images=images))
        shaped.dataset = replace(self.dataset, channels=spec.channels, size=spec.size)
        return shaped

    @property
    def splits(self) -> tuple[Split, Split, Split]:
        """Training, validation and test images."""
        return self.train, self.val, self.test

    @property
    def labels(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The labels of the splits."""
        return np.asarray(self.train.labels), np.asarray(self.val.labels), np.asarray(self.test.labels)

    @property
    def class_count(self) -> int:
        return len(self.dataset.classes or ())

    @cached_property
    def pixels(self) -> Features:
        """Pixels in [0, 1] as features, in the space ``pixels``."""
        return Features(*({"pixels": _flat(split.images)} for split in self.splits))

    def encode(self, model: TrainedModel) -> Features:
        """A model's features, its default space first."""
        return Features(*(default_first(model.encode(split.images), model.default) for split in self.splits))

    def spread(self, n: int) -> NDArray[np.int64]:
        """At most ``n`` rows of the probe set, evenly spread and therefore in the classes' proportions."""
        return spread(len(self.probe), n)

    def factor_kind(self, name: str) -> str:
        """``circular``, ``categorical`` or ``continuous``."""
        if name in self.dataset.periods:
            return "circular"
        values = np.unique(np.concatenate([split.factors[name] for split in self.splits if split.factors]))
        return "categorical" if len(values) <= CATEGORIES and np.all(values == np.rint(values)) else "continuous"

    def unlabelled(self) -> str:
        """Why labels cannot be evaluated, in one sentence, or an empty text."""
        for name, split in (("test", self.test), ("validation", self.val), ("training", self.train)):
            if split.labels is None:
                return f"The {name} images of {self.dataset.name} have no labels."
        if len(np.unique(np.asarray(self.train.labels))) < 2:
            return f"The training images of {self.dataset.name} are all of one class."
        return ""

    def write_probe(self, probe: store.Probe) -> None:
        """Write the probe set, unless it is stored already."""
        known = probe.ids()
        complete = self.probe.names is None or probe.names() is not None  # sets of earlier versions have no names
        if probe.info() and known is not None and np.array_equal(known, self.probe.ids) and complete:
            return
        arrays: dict[str, Any] = {"ids": self.probe.ids, "names": self.probe.names}
        arrays |= {"images": self.probe.images, "labels": self.probe.labels}
        if self.probe.factors:
            arrays["factors"] = np.stack(list(self.probe.factors.values()), axis=1).astype(np.float32)
        for name, array in arrays.items():
            if array is not None:
                write_array(probe.path / f"{name}.npy", np.asarray(array))
        content = {
            "fingerprint": self.dataset.fingerprint,
            "data": self.dataset.name,
            "classes": self.dataset.classes,
            "factors": [{"name": name, "kind": self.factor_kind(name)} for name in self.dataset.factors],
            "n": len(self.probe),
            "size": self.dataset.size,
            "channels": self.dataset.channels,
        }
        write_json(probe.path / "probe.json", content)


def spread(count: int, n: int) -> NDArray[np.int64]:
    """At most ``n`` of ``count`` rows, evenly spread."""
    return np.linspace(0, count - 1, min(n, count)).round().astype(np.int64)


def default_first(spaces: Spaces, default: str) -> Spaces:
    return {default: spaces[default], **spaces}


def flat_pixels(images: Tensor) -> Tensor:
    """Features (B, D) of float images (B, C, H, W), shrunk to at most 32 pixels by the mean over blocks."""
    return torch.nn.functional.adaptive_avg_pool2d(images, min(PIXEL_SIDE, images.shape[-1])).flatten(1)


def _flat(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The same of uint8 images (N, H, W, C), scaled to [0, 1]."""
    parts = (channels_first(images[start : start + 1024]) for start in range(0, len(images), 1024))
    return np.concatenate([flat_pixels(part.float() / 255).numpy() for part in parts])
