"""One step's loss and gradients, for comparison: ``python -m tests.training.whole_batch OUT METHOD [KEY=VALUE …]``.

As a module to run, so that torchrun and `accelerate launch` can start it in several processes.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml

from tests.training.tiny import COMMON, TINY
from workbench.data.augment import View
from workbench.training.loop import resolve
from workbench.training.trainer import Trainer


def in_double(view: View, images: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    return view(images, keys).double()


def measured(method: str, changes: dict[str, Any], runs: str) -> dict[str, torch.Tensor]:
    """Loss of the fourth step, mostly in double precision, its gradients and BatchNorm's statistics, by name."""
    config, dataset = resolve(method, COMMON | TINY[method] | {"batch_size": 16, "runs": runs} | changes)
    trainer = Trainer(method, config, dataset)
    if method != "vae":  # which draws its latent vectors in single precision
        trainer.method.double()
        trainer.views = tuple(partial(in_double, view) for view in trainer.views)
    trainer.optimizer.step = lambda *_: None  # type: ignore[method-assign]
    trainer.optimizer.zero_grad = lambda *_, **__: None  # type: ignore[method-assign]
    images = next(iter(trainer.loader.epoch(0)))
    result = trainer.step(images, 0, 3)
    loss = result.loss.detach().clone()
    if trainer.world > 1:
        torch.distributed.all_reduce(loss)
        loss /= trainer.world
    tensors = {"world": torch.tensor(trainer.world), "loss": loss, "norm": trainer.gradients.norms[0]}
    tensors |= {name: p.grad for name, p in trainer.method.named_parameters() if p.grad is not None}
    return tensors | {name: b for name, b in trainer.method.named_buffers() if "running" in name}


def main(words: Sequence[str]) -> None:
    out, method, *pairs = words
    changes = {key: yaml.safe_load(value) for key, value in (pair.split("=", 1) for pair in pairs)}
    tensors = measured(method, changes, str(Path(out).parent))
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        torch.save(tensors, out)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1:])
