"""What a method may be able to do beside training: the base classes by which evaluations know it."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from workbench.data import keyed
from workbench.errors import WorkbenchError
from workbench.methods.base import Batch, Layer, Method, Step
from workbench.probability.diffusion import Prediction


class ReadsAtNoiseLevels(Method):
    """A diffusion model, whose features are read at chosen noise levels; ``config.feature_steps`` are its own.

    Features are named ``up_1@t=100``: the block and the noise level. Those of the stem and of downward blocks are among
    the :meth:`layers` alone.
    """

    config: Any

    @abstractmethod
    def block_features(self, images: Tensor, step: int, noise: Tensor) -> dict[str, Tensor]:
        """Pooled outputs (B, width) of the network's blocks by name, in order through it, for images (B, C, H, W) in
        [0, 1] under this noise (B, C, H, W) at one named noise level."""

    def encode(self, images: Tensor, keys: Tensor | None = None) -> dict[str, Tensor]:
        noise = self._feature_noise(images, keys)
        return {
            layer.space: features
            for step in self.config.feature_steps
            for layer, features in self._read(images, step, noise).items()
            if not layer.name.startswith(("down", "stem"))
        }

    def layers(self, images: Tensor, level: int | None = None) -> dict[Layer, Tensor]:
        step = self.config.feature_steps[0] if level is None else level
        return self._read(images, step, self._feature_noise(images, None))

    def _read(self, images: Tensor, step: int, noise: Tensor) -> dict[Layer, Tensor]:
        blocks = self.block_features(images, step, noise).items()
        return {Layer(f"{name}@t={step}", name, depth, t=step): value for depth, (name, value) in enumerate(blocks)}

    def _feature_noise(self, images: Tensor, keys: Tensor | None) -> Tensor:
        """Standard normal noise (B, C, H, W) that depends on the keys (B,), or on each image alone."""
        keys = keyed.content_keys(images) if keys is None else keyed.fork(keys, "features")
        return keyed.normal(keys, *images.shape[1:])


class Couples(ABC):
    """Its loss compares the images of a batch with one another, and its encoder does not.

    ``forward(batch, progress)`` is ``objective(batch, embed(views), embed_keys(views))``, so that the encoders can be
    run in parts.
    """

    @abstractmethod
    def embed(self, views: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The encoder's output (B, width) for each view."""

    def embed_keys(self, views: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """A momentum encoder's output (B, width) for each view, without gradient; nothing where there is none."""
        return ()

    @abstractmethod
    def objective(self, batch: Batch, embeddings: tuple[Tensor, ...], keys: tuple[Tensor, ...]) -> Step:
        """The loss, given the encoders' outputs for each view."""


class Reconstructs(ABC):
    """Reconstructs images."""

    @abstractmethod
    def reconstruct(self, images: Tensor, keys: Tensor, default_only: bool = False) -> dict[str, Tensor]:
        """Named reconstructions (B, C, H, W) in [0, 1], such as one per noise level; the first is the default.

        Args:
            images: float images in [0, 1], (B, C, H, W).
            keys: (B,) int64, the source of any randomness.
            default_only: leave out all but the default.
        """


class Samples(ABC):
    """Generates images."""

    @abstractmethod
    def sample(self, n: int, seed: int, steps: int | None = None, sampler: str | None = None) -> Tensor:
        """``n`` images (n, C, H, W) in [0, 1]; the same seed gives the same images whatever the batch."""


def check_one_pass(steps: int | None, sampler: str | None) -> None:
    """Raises a WorkbenchError where a model that generates in one pass is given a number of steps, or a sampler."""
    if steps is not None or sampler is not None:
        raise WorkbenchError(
            "This model draws an image in one pass of its decoder and has neither steps nor samplers; leave out "
            "--steps and --sampler."
        )


class Likelihood(ABC):
    """Has a likelihood, or a bound on it: the probability mass of an image's discrete pixels, whatever the model.

    So that families can be compared, a density must be turned into the mass of a pixel's bin, or be said to bound it
    (uniform dequantisation).

    Attributes:
        likelihood_kind: what the negative log-likelihood is computed from: a ``lower bound`` on the likelihood (then
            it is too high), ``exact``, or an ``estimate`` that may be off to either side.
        likelihood_note: in a sentence or two, how pixels are scaled and the mass is computed, with all options that
            the number depends on.
        likelihood_sampled: whether :meth:`nats_terms` estimates a long sum from a few of its terms, of which
            :meth:`full_nats_terms` computes all, or many more where it is an integral.
        likelihood_drawn, likelihood_in_full: a sentence each on what is computed of that sum by the former and the
            latter; empty where there is none.
    """

    likelihood_kind: ClassVar[str]
    likelihood_note: str
    likelihood_sampled: bool = False
    likelihood_drawn: str = ""
    likelihood_in_full: str = ""

    @abstractmethod
    def nats_terms(self, images: Tensor, keys: Tensor) -> dict[str, Tensor]:
        """Terms (B,) in nats, summed over dimensions, whose sum is the negative log of (a bound on) the probability.

        Args:
            images: float images in [0, 1], (B, C, H, W).
            keys: (B,) int64, the source of any randomness.

        Returns:
            by name, such as ``reconstruction`` and ``kl``, or ``reconstruction``, ``diffusion`` and ``prior``.
        """

    def full_nats_terms(self, images: Tensor, keys: Tensor) -> dict[str, Tensor]:
        """The same without sampling where a term is a long sum that is estimated; by default the same."""
        return self.nats_terms(images, keys)

    def nats_per_image(self, images: Tensor, keys: Tensor) -> Tensor:
        """Negative log-likelihood (B,) in nats, summed over dimensions."""
        return torch.stack(list(self.nats_terms(images, keys).values())).sum(dim=0)


class Denoises(ABC):
    """A model of Gaussian diffusion: at every time t in [0, 1] a network takes noise out of x_t = a x0 + s eps.

    a^2 = sigmoid(ln SNR) and s^2 = 1 - a^2, whatever the process is called; see :mod:`workbench.probability.diffusion`.

    Attributes:
        prediction: what the network predicts.
    """

    prediction: Prediction

    @abstractmethod
    def log_snr(self, t: Tensor) -> Tensor:
        """ln SNR (B,) in double precision and on the CPU at times (B,), falling; where the process has steps, they are
        evenly spread, the first at 0 and the last at 1."""

    @abstractmethod
    def denoise(self, x: Tensor, t: Tensor) -> Tensor:
        """The network's :attr:`prediction` (B, C, H, W) at x_t (B, C, H, W) and times (B,), nothing clipped or rounded.
        A class-conditional network gets no label."""

    @abstractmethod
    def scaled(self, images: Tensor) -> Tensor:
        """x0 (B, C, H, W) in [-1, 1] of images in [0, 1]."""

    @abstractmethod
    def pictures(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] of x (B, C, H, W), the inverse of :meth:`scaled`, clipped."""


class Conditional(ABC):
    """Can be built class-conditional, and then classifies by Bayes' rule."""

    @property
    @abstractmethod
    def label_count(self) -> int:
        """Classes of a class-conditional model; 0 otherwise."""

    @abstractmethod
    def label_nats(self, images: Tensor, keys: Tensor, labels: Tensor) -> Tensor:
        """Negative log (B,) of (a bound on) p(image | label) in nats, up to what is the same for every label.

        Args:
            images: float images in [0, 1], (B, C, H, W).
            keys: (B,) int64; the same noise for every label makes differences small.
            labels: (B,) int64.
        """


class Latent(ABC):
    """Explains an image by latent variables.

    A code (B, D) is all of them in coordinates in which the prior is N(0, 1), group after group.

    Attributes:
        latent_groups: how many of the D belong to each group, by name, in order.
    """

    latent_groups: dict[str, int]

    @abstractmethod
    def latents(self, images: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of the posterior (B, D) and its KL to the prior (B, D) in nats, of every latent variable."""

    @abstractmethod
    def codes(self, images: Tensor) -> Tensor:
        """Codes (B, D) of images (B, C, H, W) in [0, 1]: posterior means, without noise."""

    @abstractmethod
    def decode(self, codes: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1], the mean of p(x|z), of codes (B, D)."""

    @abstractmethod
    def iwae_nats(self, images: Tensor, keys: Tensor, k: int) -> Tensor:
        """Negative log (B,) in nats of the importance-weighted bound with ``k`` samples, a random number.

        Source: Burda, Grosse and Salakhutdinov 2016 (arXiv 1509.00519), equation 8.

        Raises:
            WorkbenchError: ``k`` below 1.
        """
