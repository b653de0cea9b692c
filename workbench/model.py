"""A trained model, ready to use: ``workbench.load("RUN")``."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.config import Device, TrainConfig
from workbench.data import keyed
from workbench.data.arrays import prepare, to_uint8
from workbench.data.augment import to_float
from workbench.errors import WorkbenchError
from workbench.methods.base import ImageSpec, Layer, Method, evaluation_mode
from workbench.methods.capabilities import Conditional, Latent, Likelihood, Reconstructs, Samples
from workbench.store import Run, find_run
from workbench.training.checkpoint import build_untrained, load_method_from
from workbench.training.hardware import pick_device

Name = TypeVar("Name", str, Layer)  # of a space
Capability = TypeVar("Capability", Reconstructs, Samples, Likelihood, Latent)
Images = NDArray[np.uint8] | NDArray[np.floating] | Sequence[np.ndarray]
Ids = NDArray[np.int64]
Floats = NDArray[np.float32]


def load(
    reference: str | Path | Run,
    runs: str | Path = "runs",
    device: Device = "auto",
    checkpoint: Literal["last", "best"] = "last",
) -> "TrainedModel":
    """Load the model of a run.

        model = workbench.load("RUN")
        features = model.encode(images)["class_token"]

    Args:
        reference: a run's id, a unique prefix of it, its name or its path.
        runs: the folder of the runs.
        device: where to compute.
        checkpoint: which weights to load.

    Raises:
        WorkbenchError: there is no such run, checkpoint or device.
    """
    run = reference if isinstance(reference, Run) else find_run(str(reference), Path(runs))
    place = pick_device(device)
    loaded = load_method_from(run, checkpoint, place)
    return TrainedModel(run, loaded.method, loaded.config, loaded.images, loaded.description, place)


class TrainedModel:
    """A run's networks with its preprocessing: images may have any size and number of channels.

    Attributes:
        run: whose weights these are.
        method: the networks; their ``encode`` can be differentiated outside of ``evaluation_mode``.
        config: the configuration that they were trained with.
        images: channels and side in pixels of the networks' input.
        checkpoint: which weights these are, in words.
        device: where they are.
        default: the main space of :meth:`encode`.
    """

    def __init__(
        self, run: Run, method: Method, config: TrainConfig, images: ImageSpec, checkpoint: str, device: torch.device
    ) -> None:
        self.run, self.method, self.config, self.images = run, method, config, images
        self.checkpoint, self.device, self.default = checkpoint, device, method.default_feature
        self._batch = 128 if device.type == "cpu" else 256
        if device.type == "cpu":  # convolutions are a third faster, above all the U-Net's
            method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def encode(self, images: Images, ids: Ids | None = None) -> dict[str, Floats]:
        """Features of images by space.

        Args:
            images: uint8 (N, H, W, C), one image (H, W, C) or (H, W), a list of images of different sizes, or floats
                in [0, 1]. They are resized and cropped to the run's size and converted to its number of channels.
            ids: (N,) random keys of methods that add noise, so that two versions of an image get the same noise; by
                default the keys come from the images' content.

        Returns:
            float32 (N, D) each.
        """
        return self._read(self._batches(images) if ids is None else self._keyed(images, ids), self.method.encode)

    def layers(self, images: Images, level: int | None = None) -> dict[Layer, Floats]:
        """Features of images at every depth, in order through the network.

        Args:
            images: as in :meth:`encode`.
            level: one of :attr:`levels`.

        Returns:
            float32 (N, D) each.
        """
        return self._read(self._batches(images), partial(self.method.layers, level=level))

    @property
    def levels(self) -> tuple[int | None, ...]:
        """The noise levels at which layers can be read; None alone for a method without noise."""
        return self.method.levels

    def reconstruct(
        self, images: Images, ids: Ids | None = None, seed: int = 0, default_only: bool = False
    ) -> dict[str, NDArray[np.uint8]]:
        """Reconstructions of images by variant, such as the noise level that they start from.

        Args:
            images: as in :meth:`encode`.
            ids: (N,) sample ids, which determine the noise; by default 0 … N - 1.
            seed: of the noise.
            default_only: leave out all variants but the default.

        Returns:
            uint8 (N, H, W, C) each, at the run's size; the first variant is the default.

        Raises:
            WorkbenchError: the method cannot.
        """
        method = self._able(Reconstructs, "reconstruct images")
        read = partial(method.reconstruct, default_only=default_only)
        return self._read(self._keyed(images, ids, seed), read, to_uint8)

    def sample(
        self, n: int = 64, seed: int = 0, steps: int | None = None, sampler: str | None = None
    ) -> NDArray[np.uint8]:
        """Samples of the model, uint8 (n, H, W, C).

        Args:
            n: how many.
            seed: the same seed gives the same images.
            steps: of a sampler that has them; by default its own number.
            sampler: by default the run's own.

        Raises:
            WorkbenchError: the method cannot, or has no such sampler.
        """
        method = self._able(Samples, "draw samples")
        with evaluation_mode(self.method):
            return to_uint8(method.sample(n, seed, steps, sampler))

    def nats(self, images: Images, ids: Ids | None = None, seed: int = 0) -> Floats:
        """Negative log-likelihood (N,) of images in nats, summed over pixels; arguments as in :meth:`reconstruct`.

        Raises:
            WorkbenchError: the method has no likelihood.
        """
        method = self._able(Likelihood, "compute likelihoods")
        return self._read_one(self._keyed(images, ids, seed), method.nats_per_image)

    def nats_terms(
        self, images: Images, ids: Ids | None = None, seed: int = 0, in_full: bool = False
    ) -> dict[str, Floats]:
        """The named terms (N,) in nats that :meth:`nats` is the sum of; arguments as there.

        Args:
            in_full: compute all summands of sums that are otherwise sampled.

        Raises:
            WorkbenchError: the method has no likelihood.
        """
        method = self._able(Likelihood, "compute likelihoods")
        return self._read(self._keyed(images, ids, seed), method.full_nats_terms if in_full else method.nats_terms)

    def iwae_nats(self, images: Images, k: int, ids: Ids | None = None, seed: int = 0) -> Floats:
        """The importance-weighted bound (N,) in nats with ``k`` samples; other arguments as in :meth:`nats`.

        Raises:
            WorkbenchError: the method has no latent variables, or ``k`` is below 1.
        """
        method = self._able(Latent, "weight samples of latent variables")
        return self._read_one(self._keyed(images, ids, seed), partial(method.iwae_nats, k=k))

    def label_nats(self, images: Images, label: int, ids: Ids | None = None, seed: int = 0) -> Floats:
        """-ln (N,) of (a bound on) p(image | label) in nats, up to a constant shared by all labels; other arguments as
        in :meth:`nats`.

        Raises:
            WorkbenchError: the model is not class-conditional.
        """
        method = self.method
        if not isinstance(method, Conditional) or not method.label_count:
            raise self._unable("compute likelihoods by class")
        return self._read_one(
            self._keyed(images, ids, seed),
            lambda batch, keys: method.label_nats(batch, keys, torch.full_like(keys, label)),
        )

    def latents(self, images: Images, ids: Ids | None = None, seed: int = 0) -> tuple[Floats, Floats]:
        """Posterior means and KL terms in nats of the latent variables, (N, D) each; arguments as in :meth:`nats`.

        Raises:
            WorkbenchError: the method has none.
        """
        method = self._able(Latent, "infer latent variables")
        parts = self._read(
            self._keyed(images, ids, seed),
            lambda batch, keys: dict(zip(("mean", "kl"), method.latents(batch, keys), strict=True)),
        )
        return parts["mean"], parts["kl"]

    def codes(self, images: Images) -> Floats:
        """Codes (N, D) of images, whose prior is N(0, 1).

        Raises:
            WorkbenchError: the method has none.
        """
        return self._read_one(self._batches(images), self._able(Latent, "compute codes").codes)

    def decode(self, codes: Floats) -> NDArray[np.uint8]:
        """Images uint8 (N, H, W, C) of codes (N, D).

        Raises:
            WorkbenchError: the method has no codes.
        """
        method = self._able(Latent, "decode codes")
        with evaluation_mode(self.method):
            whole = torch.from_numpy(np.asarray(codes, dtype=np.float32)).to(self.device)
            return np.concatenate([to_uint8(method.decode(part)) for part in whole.split(self._batch)])

    @property
    def latent_groups(self) -> dict[str, int]:
        """Latent variables in each group, by name; empty for a method without."""
        return self.method.latent_groups if isinstance(self.method, Latent) else {}

    @property
    def label_count(self) -> int:
        """Classes of a class-conditional model; 0 for others."""
        return self.method.label_count if isinstance(self.method, Conditional) else 0

    def can(self, capability: type[Reconstructs] | type[Samples] | type[Likelihood] | type[Latent]) -> bool:
        """Whether the method has a capability."""
        return isinstance(self.method, capability)

    def untrained(self, seed: int = 0) -> "TrainedModel":
        """The same network with random weights."""
        method = build_untrained(self.run, self.device, seed)
        return TrainedModel(self.run, method, self.config, self.images, f"random weights, seed {seed}", self.device)

    def _batches(self, images: Images) -> Iterator[tuple[Tensor]]:
        """uint8 (B, C, H, W) on the device, at the run's size."""
        channels, size = self.images.channels, self.images.size
        if isinstance(images, np.ndarray):
            whole = images[None] if images.ndim == 2 or (images.ndim == 3 and images.shape[-1] <= 4) else images
            for start in range(0, len(whole), self._batch):
                yield (prepare(whole[start : start + self._batch], channels, size).to(self.device),)
        else:
            for start in range(0, len(images), self._batch):
                part = images[start : start + self._batch]
                prepared = [prepare(np.asarray(image)[None], channels, size) for image in part]
                yield (torch.cat(prepared).to(self.device),)

    def _keyed(self, images: Images, ids: Ids | None, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The same with random keys (B,) of the images."""
        start = 0
        for (batch,) in self._batches(images):
            rows = np.arange(start, start + len(batch)) if ids is None else np.array(ids[start : start + len(batch)])
            yield batch, keyed.sample_keys(seed, 0, torch.from_numpy(rows).to(self.device))
            start += len(batch)

    def _read(
        self,
        batches: Iterable[tuple[Tensor, ...]],
        read: Callable[..., Mapping[Name, Tensor]],
        convert: Callable[[Tensor], NDArray[Any]] = lambda values: values.float().cpu().numpy(),
    ) -> dict[Name, NDArray[Any]]:
        """The results of ``read`` on batches, concatenated by name."""
        parts: dict[Name, list[NDArray[Any]]] = {}
        with evaluation_mode(self.method):
            for images, *keys in batches:
                for name, values in read(to_float(images), *keys).items():
                    parts.setdefault(name, []).append(convert(values))
        return {name: np.concatenate(part) for name, part in parts.items()}

    def _read_one(self, batches: Iterable[tuple[Tensor, ...]], read: Callable[..., Tensor]) -> Floats:
        return self._read(batches, lambda *batch: {"": read(*batch)})[""]

    def _able(self, capability: type[Capability], what: str) -> Capability:
        """The method, if it has a capability; ``what`` it enables is named in the error otherwise."""
        if not isinstance(self.method, capability):
            raise self._unable(what)
        return self.method

    def _unable(self, what: str) -> WorkbenchError:
        name = self.run.info().get("method", "its method")
        return WorkbenchError(f"The run {self.run.id} cannot {what}: {name} does not support it; choose another run.")
