"""MoCo v3: momentum contrast for vision transformers and ResNets.

Chen, Xie and He, "An Empirical Study of Training Self-Supervised Vision Transformers", ICCV 2021 (arXiv 2104.02057).

Two augmented views of an image, x1 and x2, give queries q = predictor(projector(encoder(x))) and, through a momentum
copy of encoder and projector, keys k. Each query must find the key of the same image among all keys of the batch:

    L = ctr(q1, k2) + ctr(q2, k1),   ctr(q, k) = -2 tau log[ exp(q k+ / tau) / sum_k exp(q k / tau) ]   (algorithm 1)
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.data.augment import Augmentation, View
from workbench.data.composition import two_views
from workbench.errors import WorkbenchError
from workbench.methods._recognition import Recognition
from workbench.methods.base import Batch, ImageSpec, Step
from workbench.methods.capabilities import Couples
from workbench.methods.configs.mocov3 import MoCoV3Config
from workbench.networks.heads import mlp_head
from workbench.networks.momentum import MomentumCopy
from workbench.parallel.collectives import gather, world

BatchNorms = (nn.BatchNorm1d, nn.BatchNorm2d)


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


class MoCoV3(Recognition, Couples):
    """Query encoder, projector and predictor, and the momentum copies of the first two.

    Features: the encoder's, as in :class:`Recognition`, and ``projector`` (B, out_dim).
    """

    def __init__(self, config: MoCoV3Config, images: ImageSpec) -> None:
        if config.batch_size < 2:
            raise WorkbenchError("MoCo v3 contrasts the images of a batch: --batch-size must be at least 2.")
        super().__init__(config, images)
        self.config = config
        layers = 3 if config.is_vit else 2
        self.projector = mlp_head(layers, self.width, config.hidden, config.out_dim, norm=config.head_norm)
        self.predictor: nn.Module = nn.Identity()
        if config.predictor:
            widths = (config.out_dim, config.hidden, config.out_dim)
            self.predictor = mlp_head(2, *widths, last_norm=config.is_vit, norm=config.head_norm)
        self.momentum_backbone = MomentumCopy(self.backbone)
        self.momentum_projector = MomentumCopy(self.projector)
        self.has_batch_norm = any(isinstance(module, BatchNorms) for module in self.backbone.modules())

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
        """Heads and loss, given the encoders' outputs (B, width) for the two views."""
        q1, q2 = (self.predictor(self.projector(embedding)) for embedding in embeddings)  # (B, out_dim)
        with torch.no_grad():
            k1, k2 = (gather(self.momentum_projector(key)) for key in keys)  # (B times processes, out_dim)
        first, temperature = world()[0] * len(q1), self.config.temperature
        loss = info_nce(q1, k2, temperature, first) + info_nce(q2, k1, temperature, first)
        with torch.no_grad():
            feature_std = F.normalize(q1.float(), dim=1).std(dim=0).mean() * self.config.out_dim**0.5
        return Step(loss, {"feature_std": feature_std})

    def _per_view(self, network: nn.Module, views: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """One forward over all views at once, unless BatchNorm needs each view's own statistics."""
        normalised = [self.normalise(view) for view in views]
        if self.has_batch_norm:
            return tuple(network(view) for view in normalised)
        return network(torch.cat(normalised)).chunk(len(views))

    def heads(self, output: Tensor) -> dict[str, Tensor]:
        return {"projector": self.projector(output)}
