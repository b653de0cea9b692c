"""Slowly moving copies of a network: the momentum encoder of contrastive methods, the averaged weights of others."""

import copy

import torch
from torch import Tensor, nn


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
        copies: list[Tensor] = list(self.module.parameters())
        originals: list[Tensor] = list(module.parameters())
        torch._foreach_lerp_(copies, originals, 1.0 - momentum)  # pyright: ignore[reportPrivateImportUsage]

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)


def ema_decay(decay: float, updates: int) -> float:
    """The decay after n updates: at most ``(1 + n) / (10 + n)``, so that the random start is soon forgotten."""
    return min(decay, (1 + updates) / (10 + updates))


class AveragedCopy(MomentumCopy):
    """Exponentially averaged weights, for sampling, encoding and evaluating; ``decay`` as of :func:`ema_decay`."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        super().__init__(module)
        self.decay, self._updates = decay, 0
        self.updates: Tensor
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_load_state_dict_post_hook(AveragedCopy._resume)  # not self's, which a copy would keep

    def _resume(self, _keys: object) -> None:
        self._updates = int(self.updates)

    def follow(self, module: nn.Module) -> None:
        """One update towards ``module``."""
        self._updates += 1
        self.updates += 1
        self.update(module, ema_decay(self.decay, self._updates))
