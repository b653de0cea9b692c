"""Batches on the device, in an order that depends only on seed and epoch.

Images that fit into the memory budget are copied to the device as a whole; larger sets are read ahead by a thread. The
batches are the same.
"""

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.data import keyed
from workbench.data.datasets import Split
from workbench.errors import WorkbenchError

_CGROUP = Path("/sys/fs/cgroup")
_AHEAD = 4  # batches read ahead


class Images(NamedTuple):
    """A batch: images (B, C, H, W) uint8, sample ids (B,) int64, labels (B,) int64 or None; all on the device."""

    images: Tensor
    ids: Tensor
    labels: Tensor | None


class Loader:
    """Shuffled batches of one split, for training; the incomplete batch at an epoch's end is dropped.

    Args:
        split: the images.
        batch_size: images per step, over all processes.
        seed: the order's seed.
        device: of the batches.
        memory_mb: largest size in MB (10**6 bytes) of images that are held on the device; by default a quarter of its
            free memory.
        rank: this process among ``world``; each takes its slice of every batch.
        world: number of processes.

    Raises:
        WorkbenchError: the batch is larger than the data, or cannot be divided evenly among the processes.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        seed: int,
        device: torch.device | str = "cpu",
        memory_mb: int | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch_size < 1:
            raise WorkbenchError(f"The batch size must be at least 1, not {batch_size}.")
        if batch_size > len(split):
            raise WorkbenchError(
                f"The batch size {batch_size} is larger than the {len(split):,} training images; "
                f"lower --batch-size to at most {len(split)}."
            )
        if batch_size % world:
            raise WorkbenchError(
                f"The batch size {batch_size} cannot be divided among {world} processes; make it a multiple of {world}."
            )
        self.split, self.batch_size, self.seed = split, batch_size, seed
        self.device, self.rank, self.world = torch.device(device), rank, world
        budget = free_memory(self.device) // 4 if memory_mb is None else memory_mb * 10**6
        self.resident = split.images.nbytes <= budget
        self.steps_per_epoch = len(split) // batch_size
        self._ids = torch.from_numpy(np.array(split.ids))
        self._labels = None if split.labels is None else torch.from_numpy(np.array(split.labels))
        if self.resident:
            self._images = _to_device(split.images, self.device)
            self._ids = self._ids.to(self.device)
            self._labels = None if self._labels is None else self._labels.to(self.device)

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Images]:
        """The batches of an epoch from its step ``start_step`` on, each (batch_size / world) images."""
        order = keyed.permutation(self.seed, epoch, len(self.split))
        order = order.to(self.device) if self.resident else order
        share, steps = self.batch_size // self.world, range(start_step, self.steps_per_epoch)
        chosen = (order[step * self.batch_size + self.rank * share :][:share] for step in steps)
        if not self.resident:
            return _streamed(self.split.images, self._ids, self._labels, chosen, self.device)
        return map(self._take, chosen)

    def rows(self, step: int) -> Tensor:
        """Positions (batch_size,) in the split of the images of one step of training, counted from 0, on the CPU."""
        epoch, within = divmod(step, self.steps_per_epoch)
        order = keyed.permutation(self.seed, epoch, len(self.split))
        return order[within * self.batch_size :][: self.batch_size]

    def _take(self, rows: Tensor) -> Images:
        images = self._images[rows].permute(0, 3, 1, 2).contiguous()
        return Images(images, self._ids[rows], None if self._labels is None else self._labels[rows])


def ordered(split: Split, batch_size: int, device: torch.device | str = "cpu") -> Iterator[Images]:
    """All images of a split in their own order, for evaluation; the last batch may be smaller."""
    ids = torch.from_numpy(np.array(split.ids))
    labels = None if split.labels is None else torch.from_numpy(np.array(split.labels))
    chosen = iter(torch.arange(len(split)).split(batch_size))
    return _streamed(split.images, ids, labels, chosen, torch.device(device))


def free_memory(device: torch.device) -> int:
    """Bytes of free memory on a device, or on the host if the device shares its memory."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            available = next(line for line in file if line.startswith("MemAvailable:"))
        free = int(available.split()[1]) * 1024
    except (OSError, StopIteration):
        return 4 * 2**30  # macOS and Windows have no such file
    try:  # a container's limit may be lower
        most, used = (int((_CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        return min(free, max(most - used, 0))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return free


def _to_device(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Memory-mapped images (N, H, W, C) as one tensor, copied in pieces, so that the host never holds a second copy."""
    whole = torch.empty(images.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(images), 4096):
        piece = np.array(images[start : start + 4096])
        whole[start : start + len(piece)] = torch.from_numpy(piece).to(device)
    return whole


def _streamed(
    images: NDArray[np.uint8], ids: Tensor, labels: Tensor | None, chosen: Iterator[Tensor], device: torch.device
) -> Iterator[Images]:
    """Batches of the chosen rows, read from the memory map by a thread a few batches ahead."""
    pinned = device.type == "cuda"
    ready: queue.Queue[tuple[Tensor, Tensor, Tensor | None] | BaseException | None] = queue.Queue(maxsize=_AHEAD)
    stop = threading.Event()

    def put(item: tuple[Tensor, Tensor, Tensor | None] | BaseException | None) -> None:
        while not stop.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def read() -> None:
        try:
            for rows in chosen:
                if stop.is_set():
                    return
                index = rows.numpy()
                nearby = np.argsort(index)  # read the disk in order
                batch = np.empty((len(index), *images.shape[1:]), dtype=np.uint8)
                batch[nearby] = images[index[nearby]]
                tensor = torch.from_numpy(batch).permute(0, 3, 1, 2).contiguous()
                put((tensor.pin_memory() if pinned else tensor, ids[rows], None if labels is None else labels[rows]))
            put(None)
        except BaseException as error:  # raised by the consumer
            put(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            batch, batch_ids, batch_labels = item
            on_device = None if batch_labels is None else batch_labels.to(device)
            yield Images(batch.to(device, non_blocking=pinned), batch_ids.to(device), on_device)
    finally:
        stop.set()
        reader.join()
