"""The optimiser and its learning rate."""

import math

import torch
from torch import nn

from workbench.config import OptimOptions


def adamw(module: nn.Module, options: OptimOptions, device: torch.device) -> torch.optim.AdamW:
    """AdamW over the trainable parameters, weight decay on all of them (MoCo v3, section 4)."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(
        trainable,
        lr=options.lr,
        betas=(0.9, options.beta2),
        weight_decay=options.weight_decay,
        fused=device.type in ("cpu", "cuda"),
    )


def learning_rate(options: OptimOptions, batch_size: int, step: int, steps_per_epoch: int, steps: int) -> float:
    """The learning rate of a step, counted from 0: linear warm-up from zero, then a cosine to zero or a constant.

    Source: MoCo v3's per-iteration schedule, ``lr x batch / 256`` where lr scaling is on (Goyal et al. 2017).
    """
    peak = options.lr * (batch_size / 256 if options.scale_lr else 1.0)
    warmup = min(options.warmup_epochs * steps_per_epoch, steps)
    if step < warmup:
        return peak * step / warmup
    if options.schedule == "constant":
        return peak
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))
