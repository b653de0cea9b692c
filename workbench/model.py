"""A trained run as a thing to use: ``workbench.load("RUN")``."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.config import Device, TrainConfig
from workbench.data import keyed
from workbench.data.augment import to_float
from workbench.data.decode import Form, decoded
from workbench.errors import WorkbenchError
from workbench.methods.base import ImageSpec, Layer, Method, evaluation_mode
from workbench.methods.capabilities import Conditional, Latent, Likelihood, Reconstructs, Samples
from workbench.store import Run, find_run
from workbench.training.checkpoint import build_untrained, load_method_from
from workbench.training.hardware import pick_device

Name = TypeVar("Name", str, Layer)  # of a space
Images = NDArray[np.uint8] | NDArray[np.floating] | Sequence[np.ndarray]


class TrainedModel:
    """A run's weights with all that they need: images of any size and kind go in as they are.

    Attributes:
        run: where it comes from.
        config: what it was trained with.
        images: channels and side in pixels that it works at.
        checkpoint: which weights these are, in words.
        default: the space of :meth:`encode` that stands for the model where one is asked for.
    """

    def __init__(
        self, run: Run, method: Method, config: TrainConfig, images: ImageSpec, checkpoint: str, device: torch.device
    ) -> None:
        self.run, self.config, self.images, self.checkpoint, self.device = run, config, images, checkpoint, device
        if device.type == "cpu":  # convolutions are a third faster, above all the U-Net's
            method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._method, self._batch = method, 128 if device.type == "cpu" else 256
        self.default = method.default_feature

    def encode(self, images: Images, ids: NDArray[np.int64] | None = None) -> dict[str, NDArray[np.float32]]:
        """Features of images by the name of their space.

        Args:
            images: uint8 (N, H, W, C), one image (H, W, C) or (H, W), a list of such of different sizes, or floats in
                [0, 1]. They are resized and cropped to the run's size and turned into its number of channels.
            ids: (N,) from which noise is drawn where a method adds any, so that two versions of an image get the
                same; by default it is drawn from the images' content.

        Returns:
            float32 (N, D) each.
        """
        if ids is None:
            return self._read(self._batches(images), self._method.encode)
        return self._read(self._keyed(images, ids, 0), self._method.encode)

    def layers(self, images: Images, level: int | None = None) -> dict[Layer, NDArray[np.float32]]:
        """Features of images at every depth, in order through the network.

        Args:
            images: as in :meth:`encode`.
            level: one of :attr:`levels`.

        Returns:
            float32 (N, D) each.
        """
        return self._read(self._batches(images), partial(self._method.layers, level=level))

    @property
    def levels(self) -> tuple[int | None, ...]:
        """The noise levels at which layers can be read, or None alone where there is no noise."""
        return self._method.levels

    def _read(
        self, batches: Iterable[Tensor | tuple[Tensor, Tensor]], read: Callable[..., Mapping[Name, Tensor]]
    ) -> dict[Name, NDArray[np.float32]]:
        """What ``read`` makes of batches, which may come with keys."""
        parts: dict[Name, list[Tensor]] = {}
        with evaluation_mode(self._method):
            for batch in batches:
                images, *keys = batch if isinstance(batch, tuple) else (batch,)
                for name, features in read(to_float(images), *keys).items():
                    parts.setdefault(name, []).append(features.float().cpu())
        return {name: torch.cat(part).numpy() for name, part in parts.items()}

    def reconstruct(
        self, images: Images, ids: NDArray[np.int64] | None = None, seed: int = 0, default_only: bool = False
    ) -> dict[str, NDArray[np.uint8]]:
        """What the model makes of images when it has to draw them again, by variant, such as one per noise level.

        Args:
            images: as in :meth:`encode`.
            ids: (N,) the samples' ids, from which any noise is drawn; by default 0 … N - 1.
            seed: of the noise.
            default_only: leave out all variants but the default.

        Returns:
            uint8 (N, H, W, C) each, at the run's size; the first variant is the default.

        Raises:
            WorkbenchError: the method cannot.
        """
        method = self._method
        if not isinstance(method, Reconstructs):
            raise self._unable("reconstruct images")
        parts: dict[str, list[NDArray[np.uint8]]] = {}
        with evaluation_mode(method):
            for batch, keys in self._keyed(images, ids, seed):
                for name, drawn in method.reconstruct(to_float(batch), keys, default_only).items():
                    parts.setdefault(name, []).append(to_uint8(drawn))
        return {name: np.concatenate(part) for name, part in parts.items()}

    def sample(
        self, n: int = 64, seed: int = 0, steps: int | None = None, sampler: str | None = None
    ) -> NDArray[np.uint8]:
        """Images of the model's own, uint8 (n, H, W, C).

        Args:
            n: how many.
            seed: the same seed gives the same images.
            steps: of a sampler that has them; by default its own number.
            sampler: by default the run's own.

        Raises:
            WorkbenchError: the method cannot, or knows no such sampler.
        """
        method = self._method
        if not isinstance(method, Samples):
            raise self._unable("draw samples")
        with evaluation_mode(method):
            return to_uint8(method.sample(n, seed, steps, sampler))

    def nats(self, images: Images, ids: NDArray[np.int64] | None = None, seed: int = 0) -> NDArray[np.float32]:
        """Negative log-likelihood (N,) of images in nats, summed over pixels; arguments as in :meth:`reconstruct`.

        Raises:
            WorkbenchError: the method has no likelihood.
        """
        method = self._method
        if not isinstance(method, Likelihood):
            raise self._unable("say how probable an image is")
        with evaluation_mode(method):
            batches = self._keyed(images, ids, seed)
            parts = [method.nats_per_image(to_float(batch), keys).cpu() for batch, keys in batches]
        return torch.cat(parts).float().numpy()

    def nats_terms(
        self, images: Images, ids: NDArray[np.int64] | None = None, seed: int = 0, in_full: bool = False
    ) -> dict[str, NDArray[np.float32]]:
        """The named terms (N,) in nats that :meth:`nats` is the sum of; arguments as there.

        Args:
            in_full: compute sums of which a summand is drawn otherwise.

        Raises:
            WorkbenchError: the method has no likelihood.
        """
        method = self._method
        if not isinstance(method, Likelihood):
            raise self._unable("say how probable an image is")
        return self._read(self._keyed(images, ids, seed), method.full_nats_terms if in_full else method.nats_terms)

    def iwae_nats(
        self, images: Images, k: int, ids: NDArray[np.int64] | None = None, seed: int = 0
    ) -> NDArray[np.float32]:
        """The importance-weighted bound (N,) in nats with ``k`` samples; other arguments as in :meth:`nats`.

        Raises:
            WorkbenchError: the method has no latent variables, or ``k`` is below 1.
        """
        method = self._latent("weight samples of latent variables")
        read = self._read(self._keyed(images, ids, seed), lambda batch, keys: {"": method.iwae_nats(batch, keys, k)})
        return read[""]

    def label_nats(
        self, images: Images, label: int, ids: NDArray[np.int64] | None = None, seed: int = 0
    ) -> NDArray[np.float32]:
        """-ln (N,) of (a bound on) p(image | label) in nats, up to what all labels share; other arguments as above.

        Raises:
            WorkbenchError: the model is not class-conditional.
        """
        method = self._method
        if not isinstance(method, Conditional) or not method.label_count:
            raise self._unable("say how probable an image is among those of a class")
        read = self._read(
            self._keyed(images, ids, seed),
            lambda batch, keys: {"": method.label_nats(batch, keys, torch.full_like(keys, label))},
        )
        return read[""]

    def latents(
        self, images: Images, ids: NDArray[np.int64] | None = None, seed: int = 0
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Posterior means and KL terms in nats, (N, D) each, of the latent variables; arguments as above.

        Raises:
            WorkbenchError: the method has none.
        """
        method = self._latent("tell latent variables")
        names = ("mean", "kl")
        read = self._read(
            self._keyed(images, ids, seed),
            lambda batch, keys: dict(zip(names, method.latents(batch, keys), strict=True)),
        )
        return read["mean"], read["kl"]

    def codes(self, images: Images) -> NDArray[np.float32]:
        """Codes (N, D) of images, whose prior is N(0, 1).

        Raises:
            WorkbenchError: the method has none.
        """
        method = self._latent("tell codes")
        return self._read(self._batches(images), lambda batch: {"": method.codes(batch)})[""]

    def decode(self, codes: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Images uint8 (N, H, W, C) of codes (N, D).

        Raises:
            WorkbenchError: the method has no codes.
        """
        method = self._latent("decode codes")
        with evaluation_mode(self._method):
            whole = torch.from_numpy(np.asarray(codes, dtype=np.float32)).to(self.device)
            return np.concatenate([to_uint8(method.decode(part)) for part in whole.split(self._batch)])

    def _latent(self, what: str) -> Latent:
        if not isinstance(self._method, Latent):
            raise self._unable(what)
        return self._method

    @property
    def latent_groups(self) -> dict[str, int]:
        """Latent variables in each group, by name; empty where there are none."""
        return self._method.latent_groups if isinstance(self._method, Latent) else {}

    @property
    def label_count(self) -> int:
        """Classes that a class-conditional model knows; 0 for others."""
        return self._method.label_count if isinstance(self._method, Conditional) else 0

    @property
    def likelihood_note(self) -> str:
        """How pixels are scaled and a mass comes about, in one sentence."""
        return self._method.likelihood_note if isinstance(self._method, Likelihood) else ""

    @property
    def likelihood_sampled(self) -> bool:
        """Whether :meth:`nats_terms` draws summands of a sum that it can compute in full."""
        return isinstance(self._method, Likelihood) and self._method.likelihood_sampled

    @property
    def likelihood_kind(self) -> str:
        """What :meth:`nats` is: a lower bound (on the likelihood), exact or an estimate."""
        return self._method.likelihood_kind if isinstance(self._method, Likelihood) else ""

    @property
    def method(self) -> Method:
        """The networks themselves; outside of ``evaluation_mode`` their ``encode`` can be differentiated."""
        return self._method

    def can(self, capability: type[Reconstructs] | type[Samples] | type[Likelihood] | type[Latent]) -> bool:
        """Whether the method has a capability."""
        return isinstance(self._method, capability)

    def untrained(self, seed: int = 0) -> "TrainedModel":
        """The same network with random weights."""
        method = build_untrained(self.run, self.device, seed)
        return TrainedModel(self.run, method, self.config, self.images, f"random weights, seed {seed}", self.device)

    def _batches(self, images: Images) -> Iterator[Tensor]:
        """uint8 (B, C, H, W) on the device, at the run's size."""
        if isinstance(images, np.ndarray):
            whole = images[None] if images.ndim == 2 or (images.ndim == 3 and images.shape[-1] <= 4) else images
            for start in range(0, len(whole), self._batch):
                yield prepare(whole[start : start + self._batch], self.images).to(self.device)
        else:
            for start in range(0, len(images), self._batch):
                part = [prepare(np.asarray(image)[None], self.images) for image in images[start : start + self._batch]]
                yield torch.cat(part).to(self.device)

    def _keyed(self, images: Images, ids: NDArray[np.int64] | None, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        start = 0
        for batch in self._batches(images):
            rows = np.arange(start, start + len(batch)) if ids is None else np.array(ids[start : start + len(batch)])
            yield batch, keyed.sample_keys(seed, 0, torch.from_numpy(rows).to(self.device))
            start += len(batch)

    def _unable(self, what: str) -> WorkbenchError:
        name = self.run.info().get("method", "its method")
        return WorkbenchError(f"The run {self.run.id} cannot {what}: {name} has no way to; choose another run.")


def prepare(images: np.ndarray, spec: ImageSpec) -> Tensor:
    """Images (N, H, W, C) or (N, H, W), uint8 or float in [0, 1], as uint8 (N, C, size, size).

    What has another size or number of channels is brought to the model's as the data sets' images are.

    Raises:
        WorkbenchError: an array that is no batch of images.
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise WorkbenchError(f"Images must have the shape (N, H, W, C) with C 1, 3 or 4, not {tuple(images.shape)}.")
    if np.issubdtype(images.dtype, np.floating):
        low, high = float(images.min()), float(images.max())
        if not (low >= 0 and high <= 1):
            raise WorkbenchError(
                f"Float images must lie in [0, 1], not in [{low:.3g}, {high:.3g}]; give uint8 from 0 to 255."
            )
        images = np.rint(images * 255).astype(np.uint8)
    elif images.dtype != np.uint8:
        raise WorkbenchError(f"Images must be uint8 or float in [0, 1], not {images.dtype}.")
    if images.shape[1:] != (spec.size, spec.size, spec.channels):
        form = Form(spec.channels, spec.size)
        images = np.stack([decoded(image, form) for image in images])
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).contiguous()


def to_uint8(images: Tensor) -> NDArray[np.uint8]:
    """Float images (N, C, H, W) in [0, 1] as uint8 (N, H, W, C)."""
    rounded = (images.float().clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(rounded.permute(0, 2, 3, 1).cpu().numpy())


def load(
    reference: str | Path | Run,
    runs: str | Path = "runs",
    device: Device = "auto",
    checkpoint: Literal["last", "best"] = "last",
) -> TrainedModel:
    """A run, ready to use.

        model = workbench.load("RUN")
        features = model.encode(images)["class_token"]

    Args:
        reference: a run's id, a unique prefix of it, its name or its path.
        runs: the folder of the runs.
        device: where to compute.
        checkpoint: which weights to take.

    Raises:
        WorkbenchError: there is no such run, checkpoint or device.
    """
    run = reference if isinstance(reference, Run) else find_run(str(reference), Path(runs))
    place = pick_device(device)
    loaded = load_method_from(run, checkpoint, place)
    return TrainedModel(run, loaded.method, loaded.config, loaded.images, loaded.description, place)
