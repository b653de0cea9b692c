"""BatchNorm over the batch of all processes, on any device; torch's SyncBatchNorm needs GPUs."""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from workbench.parallel.collectives import world


class _Synchronised(nn.modules.batchnorm._BatchNorm):
    """BatchNorm with mean and variance of all processes' batches, of equal size; gradients pass through both."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or world()[1] == 1:
            return super().forward(input)
        x = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
        dims = [0, *range(2, x.ndim)]
        n = x.numel() // x.shape[1] * world()[1]
        mean = all_reduce(x.sum(dims)) / n
        centred = x - self._broadcast(mean, x)
        variance = all_reduce(centred.square().sum(dims)) / n
        self._update_running(mean.detach(), variance.detach() * n / max(n - 1, 1))
        normed = centred * self._broadcast((variance + self.eps).rsqrt(), x)
        if self.affine:
            normed = normed * self._broadcast(self.weight, x) + self._broadcast(self.bias, x)
        return normed.to(input.dtype)

    @torch.no_grad()
    def _update_running(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        part = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), part)
        self.running_var.lerp_(variance.to(self.running_var.dtype), part)

    @staticmethod
    def _broadcast(values: Tensor, like: Tensor) -> Tensor:
        return values.view(1, -1, *[1] * (like.ndim - 2))


@cache
def _synchronised(kind: type[nn.Module]) -> Any:
    """The subclass of a BatchNorm class that uses the statistics of all processes."""
    base = nn.BatchNorm2d if issubclass(kind, nn.BatchNorm2d) else nn.BatchNorm1d
    statistics = type(f"Synchronised{base.__name__}", (_Synchronised, base), {})
    return statistics if kind is base else type(f"Synchronised{kind.__name__}", (kind, statistics), {})


def synchronise(module: nn.Module) -> None:
    """Let every BatchNorm in a module use the batches of all processes.

    Only the class changes, in place; names, parameters and buffers stay the same.
    """
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) and not isinstance(part, _Synchronised):
            part.__class__ = _synchronised(type(part))
