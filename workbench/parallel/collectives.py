"""Collective operations across processes; without a process group they leave their input alone."""

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


@torch.no_grad()
def average(tensors: list[Tensor], megabytes: int = 64) -> None:
    """Replace tensors by their mean over all processes, in place, in buckets of at most ``megabytes``."""
    _, size = world()
    if size == 1:
        return
    bucket: list[Tensor] = []
    for index, tensor in enumerate(tensors):
        bucket.append(tensor)
        full = sum(part.numel() * part.element_size() for part in bucket) >= megabytes * 2**20
        last = index + 1 == len(tensors)
        if full or last or tensors[index + 1].dtype != tensor.dtype:
            flat = torch.cat([part.reshape(-1) for part in bucket])
            dist.all_reduce(flat)
            for part, mean in zip(bucket, (flat / size).split([part.numel() for part in bucket]), strict=True):
                part.copy_(mean.view_as(part))
            bucket = []


def any_of(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set in any process."""
    if world()[1] == 1:
        return flag
    maximum = torch.tensor(float(flag), device=device)
    dist.all_reduce(maximum, dist.ReduceOp.MAX)
    return bool(maximum)


def shared(text: str) -> str:
    """The first process's text, in every process."""
    if world()[1] == 1:
        return text
    holder = [text]
    dist.broadcast_object_list(holder)
    return holder[0]
