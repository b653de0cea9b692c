"""Projection and prediction heads."""

from torch import nn


def mlp_head(
    layers: int, inputs: int, hidden: int, outputs: int, last_norm: bool = True, norm: bool = True
) -> nn.Sequential:
    """MoCo v3's head: linear layers without bias, BatchNorm and ReLU between them.

    Args:
        layers: number of linear layers.
        inputs, hidden, outputs: widths; (B, inputs) -> (B, outputs).
        norm: BatchNorm between the layers; without it none at the end either.
        last_norm: end with a BatchNorm without scale and shift (SimCLR's design, which MoCo v3 takes over).
    """
    widths = [inputs, *[hidden] * (layers - 1), outputs]
    modules: list[nn.Module] = []
    for index in range(layers):
        modules.append(nn.Linear(widths[index], widths[index + 1], bias=False))
        if index < layers - 1:
            modules += [nn.BatchNorm1d(widths[index + 1])] if norm else []
            modules.append(nn.ReLU(inplace=True))
        elif last_norm and norm:
            modules.append(nn.BatchNorm1d(widths[index + 1], affine=False))
    return nn.Sequential(*modules)
