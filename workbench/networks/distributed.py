"""What contrastive losses need of several processes."""

import torch
from torch import Tensor
from torch import distributed as dist


def world() -> tuple[int, int]:
    """(rank, number of processes); (0, 1) outside a process group."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


@torch.no_grad()
def gather(tensor: Tensor) -> Tensor:
    """The rows of all processes, in rank order, without gradient: (B, …) -> (world B, …)."""
    _, size = world()
    if size == 1:
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(size)]
    dist.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)
