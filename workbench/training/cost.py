"""Parameters and floating-point operations of a method."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from workbench.methods.base import ImageSpec, Method, evaluation_mode
from workbench.networks.momentum import MomentumCopy


def count_parameters(method: Method) -> tuple[int, int]:
    """(all, trainable) parameters, without momentum copies."""
    copies = {id(p) for m in method.modules() if isinstance(m, MomentumCopy) for p in m.parameters()}
    own = [parameter for parameter in method.parameters() if id(parameter) not in copies]
    return sum(p.numel() for p in own), sum(p.numel() for p in own if p.requires_grad)


def flops_per_image(method: Method, images: ImageSpec, device: torch.device) -> int:
    """Floating-point operations of one image's forward pass through the encoder, two per multiply-add."""
    image = torch.zeros(1, images.channels, images.size, images.size, device=device)
    with evaluation_mode(method), FlopCounterMode(display=False) as counter:
        method.encode(image)
    return counter.get_total_flops()
