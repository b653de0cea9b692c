"""BatchNorm over the batch of all processes, on any device; torch's SyncBatchNorm knows GPUs alone."""

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from workbench.networks.distributed import world
from workbench.networks.vit import TokenBatchNorm


class _Synchronised(nn.modules.batchnorm._BatchNorm):
    """Mean and variance of all processes' batches, which must be of equal size; gradients pass through both."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or world()[1] == 1:
            return super().forward(input)
        x = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
        dims = [0, *range(2, x.ndim)]
        n = x.numel() // x.shape[1] * world()[1]
        mean = all_reduce(x.sum(dims)) / n
        centred = x - self._wide(mean, x)
        variance = all_reduce(centred.square().sum(dims)) / n
        self._follow(mean.detach(), variance.detach() * n / max(n - 1, 1))
        normed = centred * self._wide((variance + self.eps).rsqrt(), x)
        if self.affine:
            normed = normed * self._wide(self.weight, x) + self._wide(self.bias, x)
        return normed.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        part = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), part)
        self.running_var.lerp_(variance.to(self.running_var.dtype), part)

    @staticmethod
    def _wide(values: Tensor, like: Tensor) -> Tensor:
        return values.view(1, -1, *[1] * (like.ndim - 2))


class _Synchronised1d(_Synchronised, nn.BatchNorm1d):
    pass


class _Synchronised2d(_Synchronised, nn.BatchNorm2d):
    pass


class _SynchronisedTokens(TokenBatchNorm, _Synchronised1d):
    pass


SYNCHRONISED = {
    nn.BatchNorm1d: _Synchronised1d,
    nn.BatchNorm2d: _Synchronised2d,
    TokenBatchNorm: _SynchronisedTokens,
}


def synchronise(module: nn.Module) -> None:
    """Let every BatchNorm in a module use the batches of all processes.

    Their class is exchanged in place, so that names, parameters and buffers stay what they are.
    """
    for part in module.modules():
        if type(part) in SYNCHRONISED:
            part.__class__ = SYNCHRONISED[type(part)]
