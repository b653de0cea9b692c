"""A lower bound of the MoCo v3 step on this machine: its matrix products alone.

    python -m benchmarks.matmul_limit

Records the shape of every matrix product and attention of one of our steps (see ``mocov3_step``), runs each of them
alone, warm, and adds up the medians. The rest of the step is all that better code could save.
"""

import collections
import statistics
import time
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks import turns
from benchmarks.mocov3_step import trainer

PRODUCTS = ("aten.mm", "aten.addmm", "aten._scaled_dot_product_flash_attention_for_cpu")


class Record(TorchDispatchMode):
    """Counts the calls of every product by shapes and strides."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: collections.Counter = collections.Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if str(func).startswith(PRODUCTS):
            tensors = tuple((tuple(a.shape), a.stride()) for a in args if isinstance(a, torch.Tensor))
            rest = tuple(a for a in args if not isinstance(a, torch.Tensor))
            self.calls[func, tensors, rest] += 1
        return func(*args, **(kwargs or {}))


def seconds(func: Any, tensors: Any, rest: Any, repeats: int) -> float:
    """Median seconds of one product of tensors of these (shape, stride), warm."""
    arguments = [torch.empty_strided(shape, stride).normal_() for shape, stride in tensors]
    times = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        func(*arguments, *rest)
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:])


def main() -> None:
    options = turns.parser(__doc__, steps=5, warmup=4, repeats=9).parse_args()
    ours = trainer(batch_size=128)
    record, times = Record(), []
    for step, images in zip(range(options.steps + options.warmup), ours.loader.epoch(0), strict=False):
        began = time.perf_counter()
        if step == 0:
            with record:
                ours.step(images, 0, step)
        else:
            ours.step(images, 0, step)
        times.append(time.perf_counter() - began)
    step_seconds = statistics.median(times[options.warmup :])
    alone = sum(
        count * seconds(func, tensors, rest, options.repeats) for (func, tensors, rest), count in record.calls.items()
    )
    print(f"step {step_seconds:.2f} s; its {record.calls.total()} matrix products alone {alone:.2f} s, ", end="")
    print(f"{100 * alone / step_seconds:.0f} % of it")


if __name__ == "__main__":
    main()
