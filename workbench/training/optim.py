"""The optimiser and its learning rate."""

import math
from typing import Any

import torch
from timm.optim.lamb import Lamb
from torch import nn

from workbench.config import OptimOptions
from workbench.training.lars import LARS


def build(module: nn.Module, options: OptimOptions, device: torch.device) -> torch.optim.Optimizer:
    """The optimiser of the trainable parameters.

    Weight decay applies to all of them (MoCo v3, section 4), or, without ``decay_vectors``, only to matrices and
    kernels. LARS never decays vectors. LAMB is timm's in the published form, without gradient clipping (You et al.,
    "Large batch optimization for deep learning", ICLR 2020, algorithm 2).
    """
    groups = _groups(module, options)
    if options.name == "lars":
        return LARS(groups, options.lr, options.momentum, options.weight_decay, options.trust)
    if options.name == "sgd":
        return torch.optim.SGD(groups, options.lr, options.momentum, weight_decay=options.weight_decay)
    adam: Any = {"lr": options.lr, "betas": (0.9, options.beta2), "weight_decay": options.weight_decay}
    if options.name == "lamb":
        return Lamb(groups, **adam, max_grad_norm=None, always_adapt=True)
    return torch.optim.AdamW(groups, **adam, fused=device.type in ("cpu", "cuda"))


def _groups(module: nn.Module, options: OptimOptions) -> list[dict[str, object]]:
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if options.decay_vectors:
        return [{"params": trainable}]
    matrices, vectors = ([p for p in trainable if (p.squeeze().ndim > 1) is wide] for wide in (True, False))
    return [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]


def learning_rate(options: OptimOptions, batch_size: int, step: int, steps_per_epoch: int, steps: int) -> float:
    """The learning rate of a step, counted from 0: linear warm-up from zero, then a cosine to zero or a constant.

    Source: MoCo v3's per-iteration schedule; with lr scaling the peak is ``lr x batch / 256`` (Goyal et al. 2017).
    """
    peak = options.lr * (batch_size / 256 if options.scale_lr else 1.0)
    warmup = min(options.warmup_epochs * steps_per_epoch, steps)
    if step < warmup:
        return peak * step / warmup
    if options.schedule == "constant":
        return peak
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))
