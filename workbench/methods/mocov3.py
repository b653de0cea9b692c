"""MoCo v3: momentum contrast for vision transformers and ResNets.

Chen, Xie and He, "An Empirical Study of Training Self-Supervised Vision Transformers", ICCV 2021 (arXiv 2104.02057).

Two augmented views of an image, x1 and x2, give queries q = predictor(projector(encoder(x))) and, through a momentum
copy of encoder and projector, keys k. Each query must find the key of the same image among all keys of the batch:

    L = ctr(q1, k2) + ctr(q2, k1),   ctr(q, k) = -2 tau log[ exp(q k+ / tau) / sum_k exp(q k / tau) ]   (algorithm 1)
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.config import Probability, Range
from workbench.data.augment import Augmentation, View
from workbench.data.composition import TwoViewConfig, two_views
from workbench.errors import WorkbenchError
from workbench.methods.base import Batch, ImageSpec, Layer, Method, Step
from workbench.methods.capabilities import Couples
from workbench.networks.encoder import EncoderOptions, encoder, features, fitting_patch, normalisation, places
from workbench.networks.heads import mlp_head
from workbench.networks.momentum import MomentumCopy
from workbench.parallel.collectives import gather, world

BatchNorms = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True, kw_only=True)
class MoCoV3Config(EncoderOptions, TwoViewConfig):
    """MoCo v3's own options."""

    hidden: Annotated[int, Range(1)] = 4096
    """Hidden width of projector and predictor."""
    out_dim: Annotated[int, Range(1)] = 256
    """Width of the space in which views are compared."""
    head_norm: bool = True
    """BatchNorm in projector and predictor."""
    predictor: bool = True
    """Predict keys from queries by a head of their own."""
    temperature: Annotated[float, Range(above=0)] = 0.2
    """Softmax temperature tau."""
    momentum: Probability = 0.99
    """Momentum of the key encoder at the start; it rises to 1 by a cosine."""
    crop_min: Annotated[float, Range(above=0, high=1)] = 0.08
    """Smallest part of the image's area that a crop may have."""
    flip: Probability = 0.5
    """Probability of a horizontal flip."""
    jitter: Probability = 0.8
    """Probability of colour jitter (brightness and contrast .4, saturation .2, hue .1)."""
    grey: Probability = 0.2
    """Probability of turning grey."""
    blur: Annotated[tuple[float, float], Range(0, 1)] = (1.0, 0.1)
    """Probability of Gaussian blur in each of the two views."""
    solarise: Annotated[tuple[float, float], Range(0, 1)] = (0.0, 0.2)
    """Probability of solarisation in each of the two views."""

    @classmethod
    def presets(cls, size: int) -> dict[str, dict[str, Any]]:
        small = size <= 64
        patch = fitting_patch(size)
        return {
            "cpu": {
                "patch": patch,
                "width": 128,
                "depth": 3,
                "heads": 4,
                "conv_width": 16,
                "stem": "conv" if size >= 32 else "patch",
                "hidden": 512,
                "out_dim": 128,
                "crop_min": 0.2,
                "blur": (0.0, 0.0) if small else (1.0, 0.1),
                "epochs": 20,
                "batch_size": 256,
                "optim.lr": 1e-3,
                "optim.warmup_epochs": 2.0,
            },
            "published": {
                "patch": min(patch, 4 if size <= 32 else 8 if small else 16),
                "width": 384,
                "depth": 12,
                "heads": 12,
                "blur": (0.0, 0.0) if small else (1.0, 0.1),
                "epochs": 300,
                "batch_size": 1024,
                "optim.lr": 1.5e-4,
                "optim.warmup_epochs": 40.0,
            },
        }


def info_nce(queries: Tensor, keys: Tensor, temperature: float, first: int = 0) -> Tensor:
    """The contrastive loss of one direction, ``2 tau CE(q k^T / tau)`` (algorithm 1 of the paper).

    Args:
        queries: (B, D), not necessarily normalised.
        keys: (N, D), N >= B; the positive of query i is key ``first + i``.
        temperature: tau.

    Returns:
        scalar, the mean over queries.
    """
    dtype = torch.promote_types(queries.dtype, torch.float32)  # at least
    with torch.autocast(queries.device.type, enabled=False):  # which would round cosines near 1 to steps of 0.004
        queries, keys = F.normalize(queries.to(dtype), dim=1), F.normalize(keys.to(dtype), dim=1)
        positives = torch.arange(first, first + len(queries), device=queries.device)
        return F.cross_entropy(queries @ keys.T / temperature, positives) * (2 * temperature)


def momentum_schedule(start: float, progress: float) -> float:
    """Cosine from ``start`` to 1: ``1 - (1 - m0)(1 + cos(pi progress)) / 2``."""
    return 1.0 - (1.0 - start) * (1.0 + math.cos(math.pi * progress)) / 2


class MoCoV3(Method, Couples):
    """Query encoder, projector and predictor, and the momentum copies of the first two.

    Features: for a ViT ``class_token`` and ``pooled_patches`` (B, width), for a ResNet ``pooled`` (B, 512 or 2048),
    for convolutions ``embedding`` (B, 4 conv_width); for all ``projector`` (B, out_dim). All layers are these and,
    before them, the pooled patches of the stem, class token and pooled patches of each block (the last one read after
    the final norm, as above), or a ResNet's stem and stages, pooled, or the stages of convolutions.
    """

    def __init__(self, config: MoCoV3Config, images: ImageSpec) -> None:
        super().__init__(config, images)
        self.config = config
        if config.batch_size < 2:
            raise WorkbenchError("MoCo v3 tells the images of a batch apart: --batch-size must be at least 2.")
        self.backbone, width = encoder(config, images.channels, images.size)
        self.default_feature = config.default_feature
        self.first_block, self.last_block = (f"backbone.{part}" for part in config.ends)
        layers = 3 if config.is_vit else 2
        self.projector = mlp_head(layers, width, config.hidden, config.out_dim, norm=config.head_norm)
        self.predictor: nn.Module = nn.Identity()
        if config.predictor:
            self.predictor = mlp_head(
                2, config.out_dim, config.hidden, config.out_dim, last_norm=config.is_vit, norm=config.head_norm
            )
        self.momentum_backbone = MomentumCopy(self.backbone)
        self.momentum_projector = MomentumCopy(self.projector)
        self.has_batch_norm = any(isinstance(module, BatchNorms) for module in self.backbone.modules())
        mean, std = normalisation(images.channels)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    @classmethod
    def augmentations(cls, config: MoCoV3Config, images: ImageSpec) -> tuple[View, ...]:
        first, second = (
            Augmentation(
                size=images.size,
                crop_min=config.crop_min,
                flip=config.flip,
                jitter=config.jitter,
                grey=config.grey,
                blur=blur,
                solarise=solarise,
            )
            for blur, solarise in zip(config.blur, config.solarise, strict=True)
        )
        return two_views(config, images.size, first, second)

    def before_step(self, progress: float) -> None:
        momentum = momentum_schedule(self.config.momentum, progress)
        self.momentum_backbone.update(self.backbone, momentum)
        self.momentum_projector.update(self.projector, momentum)

    def forward(self, batch: Batch, progress: float) -> Step:
        return self.objective(batch, self.embed(batch.views), self.embed_keys(batch.views))

    def embed(self, views: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The encoder's output (B, width) for each view."""
        return self._per_view(self.backbone, views)

    @torch.no_grad()
    def embed_keys(self, views: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The momentum encoder's output (B, width) for each view."""
        return self._per_view(self.momentum_backbone, views)

    def objective(self, batch: Batch, embeddings: tuple[Tensor, ...], keys: tuple[Tensor, ...]) -> Step:
        """Heads and loss, given the encoders' outputs for the two views."""
        queries = [self.predictor(self.projector(embedding)) for embedding in embeddings]
        with torch.no_grad():
            found = [gather(self.momentum_projector(key)) for key in keys]
        first = world()[0] * len(queries[0])
        terms = [
            info_nce(queries[0], found[1], self.config.temperature, first),
            info_nce(queries[1], found[0], self.config.temperature, first),
        ]
        loss = terms[0] + terms[1]
        with torch.no_grad():
            spread = F.normalize(queries[0].float(), dim=1).std(dim=0).mean() * self.config.out_dim**0.5
        return Step(loss, {"feature_std": spread})

    def _per_view(self, network: nn.Module, views: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """One forward over all views at once, unless BatchNorm needs each view's own statistics."""
        normalised = [self._normalise(view) for view in views]
        if self.has_batch_norm:
            return tuple(network(view) for view in normalised)
        return network(torch.cat(normalised)).chunk(len(views))

    def _normalise(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std

    def encode(self, images: Tensor, keys: Tensor | None = None) -> dict[str, Tensor]:
        found = features(self.backbone, self._normalise(images))
        return found | {"projector": self.projector(found[self.default_feature])}

    def layers(self, images: Tensor, level: int | None = None) -> dict[Layer, Tensor]:
        found = {Layer(*place): value for place, value in places(self.backbone, self._normalise(images)).items()}
        last = next(layer for layer in found if layer.space == self.default_feature)
        return found | {Layer("projector", "projector", last.depth + 1, last.reading): self.projector(found[last])}
