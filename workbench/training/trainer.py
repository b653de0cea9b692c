"""The components of a training run, built from its configuration and data, and one training step."""

from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from timm.models.vision_transformer import VisionTransformer

from workbench.config import TrainConfig
from workbench.data import keyed
from workbench.data.datasets import Dataset
from workbench.data.loader import Images, Loader
from workbench.errors import WorkbenchError, first_line
from workbench.methods import METHODS, load_method
from workbench.methods.base import Batch, ImageSpec, Method, Step
from workbench.parallel.batch_norm import synchronise
from workbench.parallel.collectives import average
from workbench.training.accumulate import step_in_parts
from workbench.training.cost import count_parameters, flops_per_image
from workbench.training.gradients import TOTAL, GradientWatch
from workbench.training.hardware import describe_hardware, describe_versions, keep_freed_memory
from workbench.training.optim import build, learning_rate


class Trainer:
    """Method, optimiser, loader and device.

    Args:
        name: the method.
        config: complete, as returned by :func:`workbench.training.loop.resolve`.

    Raises:
        WorkbenchError: batch size, number of processes and data do not fit together.
    """

    def __init__(self, name: str, config: TrainConfig, dataset: Dataset) -> None:
        self.name, self.config, self.dataset = name, config, dataset
        method_class, _ = load_method(name)
        keep_freed_memory()
        AcceleratorState._reset_state()  # an earlier run in this process may have used another precision
        precision = "bf16" if config.precision == "bf16" else "no"
        self.accelerator = Accelerator(cpu=config.device == "cpu", mixed_precision=precision)
        self.rank, self.world = self.accelerator.process_index, self.accelerator.num_processes
        device = self.accelerator.device
        self.device = torch.device("cpu") if device.type == "cpu" else device  # cpu:0 with several processes
        self.images = ImageSpec.of(dataset)
        place = (self.device, config.data_options.memory_mb, self.rank, self.world)
        self.loader = Loader(dataset.train, config.batch_size, config.seed, *place)
        if (share := config.batch_size // self.world) % config.accumulate:
            raise WorkbenchError(
                f"{share} images per step cannot be computed in {config.accumulate} equal parts; "
                "choose another --accumulate or --batch-size."
            )
        self.steps_per_epoch = self.loader.steps_per_epoch
        steps = self.steps_per_epoch * config.epochs
        self.steps = steps if config.max_steps is None else min(steps, config.max_steps)
        torch.manual_seed(config.seed)
        self.method: Method = method_class(config, self.images).to(self.device)
        if self.device.type == "cpu":  # makes convolutions a third faster
            self.method.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        if self.world > 1:
            synchronise(self.method)
        if config.recompute:
            self._recompute()
        if config.compile:
            self.method.compile_networks()
        self.views = method_class.augmentations(config, self.images)
        self.optimizer = build(self.method, config.optim, self.device)
        self.gradients = GradientWatch(self.method, self.device)
        # First steps at which the loss, and the gradient, were not finite; -1 for none.
        self.first_bad = torch.full((2,), -1, dtype=torch.int64, device=self.device)

    def step(self, images: Images, epoch: int, step: int) -> Step:
        """Update the weights once, without waiting for the device.

        Args:
            images: this process's share of the batch.
            step: counted from 0.

        Returns:
            the loss with its terms.
        """
        config, progress = self.config, step / self.steps
        keys = keyed.sample_keys(config.seed, epoch, images.ids)
        views = tuple(view(images.images, keyed.fork(keys, index)) for index, view in enumerate(self.views))
        rate = learning_rate(config.optim, config.batch_size, step, self.steps_per_epoch, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.method.train()
        self.method.before_step(progress)
        result = self._losses(Batch(views, keys, images.labels), progress, step)
        average([parameter.grad for parameter in self.method.parameters() if parameter.grad is not None])
        self.gradients.update()
        if config.optim.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.method.parameters(), config.optim.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.method.after_step(progress)
        # The gradient may be non-finite where the loss is finite, and is the same on all processes.
        finite = torch.isfinite(torch.stack([result.loss.detach().float(), self.gradients.norms[TOTAL]]))
        self.first_bad = torch.where((self.first_bad < 0) & ~finite, step + 1, self.first_bad)
        return result

    def _losses(self, batch: Batch, progress: float, step: int) -> Step:
        """The loss of this process's share of the batch; adds its gradients to the parameters'."""

        def reseed(part: int) -> None:
            """Seed dropout; all other randomness is keyed by sample."""
            place = (step + 0x9E3779B1 * (4096 * self.rank + part)) % 2**32
            torch.manual_seed((self.config.seed << 32) + place)

        try:
            with self.accelerator.autocast():
                if self.config.accumulate > 1:
                    parts, backward = self.config.accumulate, self.accelerator.backward
                    return step_in_parts(self.method, batch, progress, parts, backward, reseed)
                reseed(0)
                result = self.method(batch, progress)
            self.accelerator.backward(result.loss)
            return result
        except RuntimeError as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise
            reason = first_line(error)
            raise WorkbenchError(f"The networks could not be compiled ({reason}); train without --compile.") from error

    def _recompute(self) -> None:
        """Let ViTs recompute activations instead of storing them."""
        vits = [part for part in self.method.modules() if isinstance(part, VisionTransformer)]
        if not vits:
            raise WorkbenchError(f"{self.name} has no ViT blocks to recompute; remove --recompute.")
        for part in vits:
            part.set_grad_checkpointing(True)

    def info(self) -> dict[str, Any]:
        """The content of ``run.json`` at the start of training."""
        entry, (parameters, trainable) = METHODS[self.name], count_parameters(self.method)
        flops = flops_per_image(self.method, self.images, self.device)
        return {
            "name": self.config.name,
            "method": self.name,
            "family": entry.family,
            "capabilities": list(entry.capabilities),
            "data": self.dataset.described(),
            "seed": self.config.seed,
            "versions": describe_versions(),
            "hardware": describe_hardware(self.device),
            "cost": {"parameters": parameters, "trainable": trainable, "flops_per_image": flops},
        }
