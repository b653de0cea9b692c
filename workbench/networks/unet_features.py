"""Pooled outputs of a U-Net's blocks: the features of diffusion models."""

from collections.abc import Callable
from functools import partial
from typing import Any

from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor, nn


def blocks_of(network: UNet2DModel) -> dict[str, nn.Module]:
    """Where a U-Net is read, in order through it: down_0 …, middle, up_0 …

    A block is read after its last residual block, before the side changes again.
    """
    down: dict[str, Any] = {f"down_{index}": block for index, block in enumerate(network.down_blocks)}
    up: dict[str, Any] = {f"up_{index}": block for index, block in enumerate(network.up_blocks)}
    read = {name: block.resnets[-1] for name, block in down.items()}
    assert network.mid_block is not None
    return read | {"middle": network.mid_block} | {name: block.resnets[-1] for name, block in up.items()}


def pooled_outputs(network: UNet2DModel, run: Callable[[], object]) -> dict[str, Tensor]:
    """Outputs (B, width) of :func:`blocks_of`, averaged over positions, in float32, while ``run`` uses the network."""
    with BlockOutputs(blocks_of(network)) as outputs:
        run()
    return {name: output.mean(dim=(2, 3)).float() for name, output in outputs.items()}


class BlockOutputs(dict[str, Tensor]):
    """Context that records the outputs of named modules, in the order in which they run."""

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        super().__init__()
        self.modules = modules

    def __enter__(self) -> "BlockOutputs":
        self.hooks = [module.register_forward_hook(partial(self._keep, name)) for name, module in self.modules.items()]
        return self

    def _keep(self, name: str, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        self[name] = output

    def __exit__(self, *error: object) -> None:
        for hook in self.hooks:
            hook.remove()
