"""LARS: SGD with momentum whose step is scaled, layer by layer, to the size of the weights.

You, Gitman and Ginsburg, "Large batch training of convolutional networks", 2017 (arXiv 1708.03888), as the
authors of MoCo v3 and SimCLR use it: decay and scaling only for matrices and kernels. timm's ``Lars``
divides by the sum of the norms of gradient and decay instead of the norm of their sum.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class LARS(torch.optim.Optimizer):
    """For a parameter w of two or more dimensions, with gradient g::

        u = g + weight_decay w
        v <- momentum v + trust ||w|| / ||u|| u
        w <- w - lr v

    For one of fewer dimensions (biases, norms) u = g, without the scaling, which is also omitted where a norm is zero.

    Args:
        params: parameters or groups.
        lr: learning rate.
        momentum: of v.
        weight_decay: added to the gradient.
        trust: the trust coefficient.
    """

    def __init__(
        self, params: Iterable[Any], lr: float, momentum: float = 0.9, weight_decay: float = 0.0, trust: float = 0.001
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                velocity = self.state[weight].setdefault("velocity", torch.zeros_like(weight))
                velocity.mul_(group["momentum"]).add_(self._update(weight, group))
                weight.sub_(velocity, alpha=group["lr"])
        return loss

    @staticmethod
    def _update(weight: Tensor, group: dict[str, Any]) -> Tensor:
        if weight.ndim < 2:
            return weight.grad  # type: ignore[return-value]
        update = weight.grad + group["weight_decay"] * weight  # type: ignore[operator]
        norm, size = weight.norm(), update.norm()
        scale = group["trust"] * norm / size
        return update * torch.where((norm > 0) & (size > 0), scale, torch.ones_like(scale))
