"""What a method is: a module that turns a batch into a loss. What else it may be able to do is in capabilities.py."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from workbench.data.augment import View, plain
from workbench.data.datasets import Dataset


class ImageSpec(NamedTuple):
    """The images a model is built for. Methods take float images in [0, 1], shape (B, C, H, W).

    Attributes:
        channels: 1 or 3.
        size: side in pixels.
        levels: values that a pixel can have: k / (levels - 1) for k = 0 … levels - 1, up to rounding to 8 bits; see
            :func:`workbench.probability.observation.level_index`.
        classes: labels that the training images have; 0 without labels.
    """

    channels: int
    size: int
    levels: int = 256
    classes: int = 0

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """What a model of a data set's training images is built for."""
        labelled = dataset.train.labels is not None
        return cls(dataset.channels, dataset.size, dataset.levels, len(dataset.classes or ()) if labelled else 0)


@dataclass(frozen=True)
class Batch:
    """One step's input.

    Attributes:
        views: augmented images in [0, 1], one tensor (B, C, H, W) for each of the method's augmentations.
        keys: (B,) int64, the hash of (seed, epoch, sample id): every random number of a step is drawn from these,
            so that neither the order of samples nor a resume changes it.
        labels: (B,) int64, or None where the images have none; for supervised methods alone.
    """

    views: tuple[Tensor, ...]
    keys: Tensor
    labels: Tensor | None = None


class Step(NamedTuple):
    """A step's result: the scalar to minimise and named scalars to log (detached)."""

    loss: Tensor
    logs: dict[str, Tensor]


class Layer(NamedTuple):
    """A place in a network where features are read.

    Attributes:
        space: its own name, such as ``block_3 patches`` or ``up_0@t=100``; that of :meth:`Method.encode` where the
            features are the same.
        name: of the place alone, such as ``block_3`` or ``up_0``.
        depth: 0, 1, 2 … in order through the network; what is read in one place shares it.
        reading: how the place's output becomes one vector: ``class token``, or ``mean`` over all positions of a map or
            all patches, or ``vector``, where it is one already.
        t: the noise level at which the network is run, where it takes one.
    """

    space: str
    name: str
    depth: int
    reading: str = "mean"
    t: int | None = None


class Method(nn.Module, ABC):
    """A training method: networks and their loss.

    Attributes:
        default_feature: the entry of :meth:`encode` that stands for the model.
        levels: the arguments of :meth:`layers`: noise levels, or None alone where there is no noise.
        weights: which weights :meth:`encode` and the capabilities use, in words.
        first_block, last_block: names of the submodules whose gradient norms are monitored.
        compiled: whether the networks are compiled.
    """

    default_feature: str
    weights: ClassVar[str] = "trained weights"
    levels: tuple[int | None, ...] = (None,)
    first_block: str
    last_block: str
    compiled = False

    @abstractmethod
    def __init__(self, config: Any, images: ImageSpec) -> None:
        super().__init__()

    @classmethod
    def augmentations(cls, config: Any, images: ImageSpec) -> tuple[View, ...]:
        """One augmentation per view that :meth:`forward` expects; by default images alone, flipped with probability
        ``config.flip``."""
        return (plain(images.size, config.flip),)

    @abstractmethod
    def forward(self, batch: Batch, progress: float) -> Step:
        """The loss on a batch; ``progress`` in [0, 1] is the part of training that is done."""

    @abstractmethod
    def encode(self, images: Tensor, keys: Tensor | None = None) -> dict[str, Tensor]:
        """Named features (B, D) of float images (B, C, H, W) in [0, 1], in evaluation mode and without gradient.

        Args:
            keys: (B,) int64, the source of noise where a method adds any; by default the images' content.
        """

    def layers(self, images: Tensor, level: int | None = None) -> dict[Layer, Tensor]:
        """Features (B, D) at every depth, in order through the network, at one of :attr:`levels`.

        Without a level it is the one at which the default feature is read. Over all levels, the features of
        :meth:`encode` are among them under their names. By default these alone.
        """
        return {Layer(name, name, depth): value for depth, (name, value) in enumerate(self.encode(images).items())}

    def before_step(self, progress: float) -> None:
        """Called before the loss is computed, as for a momentum encoder's update."""

    def after_step(self, progress: float) -> None:
        """Called after the optimiser's step, as for an exponential moving average."""

    def compile_networks(self) -> None:
        """Compile each network by itself; the code between them is cheap and changes from step to step."""
        self.compiled = True
        for network in self.children():
            network.compile()


@contextmanager
def evaluation_mode(method: Method) -> Iterator[None]:
    """Context: no gradient, evaluation mode, nothing compiled (batches differ in size); the former mode is restored."""
    was_training = method.training
    method.eval()
    try:
        with torch.inference_mode(), torch.compiler.set_stance("force_eager") if method.compiled else nullcontext():
            yield
    finally:
        method.train(was_training)
