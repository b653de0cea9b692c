"""A slowly moving copy of a network: the momentum encoder of contrastive methods, the averaged weights of others."""

import copy

import torch
from torch import nn


class MomentumCopy(nn.Module):
    """A copy whose parameters follow the original's: ``p' <- m p' + (1 - m) p``.

    Buffers (BatchNorm's statistics) are left alone: the copy gathers its own, as MoCo v3's momentum encoder does.

    Args:
        module: the network to follow; it is copied, not kept.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).requires_grad_(False)

    @torch.no_grad()
    def update(self, module: nn.Module, momentum: float) -> None:
        """Move towards ``module`` by ``1 - momentum``."""
        copies: list[torch.Tensor] = list(self.module.parameters())
        originals: list[torch.Tensor] = list(module.parameters())
        torch._foreach_lerp_(copies, originals, 1.0 - momentum)  # pyright: ignore[reportPrivateImportUsage]

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)
