"""What a method is: a module that turns a batch into a loss, and the capabilities it may have."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from workbench.data.augment import Augmentation


class ImageSpec(NamedTuple):
    """Shape of the images a model is built for. Methods take float images in [0, 1], shape (B, C, H, W)."""

    channels: int
    size: int


@dataclass(frozen=True)
class Batch:
    """One step's input.

    Attributes:
        views: augmented images in [0, 1], one tensor (B, C, H, W) for each of the method's augmentations.
        keys: (B,) int64, the hash of (seed, epoch, sample id): every random number of a step is drawn from these,
            so that neither the order of samples nor a resume changes it.
    """

    views: tuple[Tensor, ...]
    keys: Tensor


class Step(NamedTuple):
    """What a step yields: the scalar to minimise and named scalars to log (detached)."""

    loss: Tensor
    logs: dict[str, Tensor]


class Method(nn.Module, ABC):
    """A training method: networks and their loss.

    Attributes:
        default_feature: the entry of :meth:`encode` that stands for the model where one is asked for.
        weights: which weights :meth:`encode` and the capabilities use, in words.
        first_block, last_block: names of the submodules whose gradient norms are monitored.
    """

    default_feature: str
    weights: ClassVar[str] = "trained weights"
    first_block: str
    last_block: str

    @abstractmethod
    def __init__(self, config: Any, images: ImageSpec) -> None:
        super().__init__()

    @classmethod
    @abstractmethod
    def augmentations(cls, config: Any, images: ImageSpec) -> tuple[Augmentation, ...]:
        """One augmentation per view that :meth:`forward` expects."""

    @abstractmethod
    def forward(self, batch: Batch, progress: float) -> Step:
        """The loss on a batch; ``progress`` in [0, 1] is the part of training that is done."""

    @abstractmethod
    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """Named features (B, D) of float images (B, C, H, W) in [0, 1], in evaluation mode and without gradient."""

    def before_step(self, progress: float) -> None:
        """What happens before the loss is computed, such as a momentum encoder's update."""

    def after_step(self, progress: float) -> None:
        """What happens after the optimiser's step, such as an exponential moving average."""


class Reconstructs(ABC):
    """Can draw what it has understood of an image."""

    @abstractmethod
    def reconstruct(self, images: Tensor, keys: Tensor) -> dict[str, Tensor]:
        """Named reconstructions (B, C, H, W) in [0, 1], such as one per noise level; the first is the default.

        Args:
            images: float images in [0, 1], (B, C, H, W).
            keys: (B,) int64, the source of any randomness.
        """


class Samples(ABC):
    """Can draw images of its own."""

    @abstractmethod
    def sample(self, n: int, seed: int, steps: int | None = None, sampler: str | None = None) -> Tensor:
        """``n`` images (n, C, H, W) in [0, 1]; the same seed gives the same images whatever the batch."""


class Likelihood(ABC):
    """Knows how probable an image is."""

    likelihood_kind: ClassVar[str]  # "lower bound", "exact" or "estimate"

    @abstractmethod
    def nats_per_image(self, images: Tensor, keys: Tensor) -> Tensor:
        """Negative log-likelihood (B,) in nats, summed over dimensions."""


def evaluation_mode(method: Method):
    """Context: no gradient, evaluation mode; the former mode comes back."""
    return _EvaluationMode(method)


class _EvaluationMode:
    def __init__(self, method: Method) -> None:
        self.method, self.no_grad = method, torch.inference_mode()

    def __enter__(self) -> None:
        self.was_training = self.method.training
        self.method.eval()
        self.no_grad.__enter__()

    def __exit__(self, *error: object) -> None:
        self.no_grad.__exit__(*error)
        self.method.train(self.was_training)
