"""A DDPM training step end to end, data included: ours against a loop like diffusers' unconditional example.

    python -m benchmarks.ddpm_step                      # fp32
    python -m benchmarks.ddpm_step --precision auto     # the defaults of each side: ours chooses, theirs is fp32

The U-Net of the preset for CPUs on 32 px images, averaged weights, AdamW, gradients clipped to 1. Theirs: a DataLoader
with two workers that flips, scales and normalises PIL images, Accelerate, DDPMScheduler.add_noise and EMAModel.
"""

import argparse
import tempfile
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import turns

SIZE, WIDTHS = 32, (32, 64, 64)


def ours(options: argparse.Namespace) -> list[float]:
    """Seconds of each step, data included."""
    from workbench.training.loop import resolve
    from workbench.training.trainer import Trainer

    with tempfile.TemporaryDirectory() as runs:
        settings = {
            "runs": runs, "data": "shapes", "preset": "cpu", "widths": list(WIDTHS), "batch_size": options.batch_size,
            "precision": options.precision, "flip": 0.5,
        }  # fmt: skip
        config, dataset = resolve("ddpm", settings)
        return turns.time_trainer(Trainer("ddpm", config, dataset), options)


class Pictures:
    """PIL images in memory, flipped, scaled to [-1, 1]."""

    def __init__(self, images: np.ndarray) -> None:
        from torchvision import transforms

        self.images = [Image.fromarray(image) for image in images]
        bilinear = transforms.InterpolationMode.BILINEAR
        steps = [transforms.Resize(SIZE, interpolation=bilinear), transforms.CenterCrop(SIZE)]
        steps += [transforms.RandomHorizontalFlip(), transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]
        self.transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> object:
        return self.transform(self.images[index])


def theirs(options: argparse.Namespace) -> list[float]:
    """Seconds of each step, from a loader with two workers."""
    import torch
    import torch.nn.functional as F
    from accelerate import Accelerator
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    from diffusers.training_utils import EMAModel
    from torch.utils.data import DataLoader

    from workbench.data import shapes
    from workbench.networks.unet import unet

    accelerator = Accelerator(cpu=True, mixed_precision="bf16" if options.precision == "bf16" else "no")
    model = unet(SIZE, 3, WIDTHS, 1, 8, 0.0)
    average = EMAModel(model.parameters(), decay=0.9999, use_ema_warmup=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    pixels = shapes.generate("train", (options.steps + options.warmup + 2) * options.batch_size).images
    loader = DataLoader(Pictures(pixels), options.batch_size, shuffle=True, num_workers=2)  # pyright: ignore[reportArgumentType]
    scheduler = DDPMScheduler(num_train_timesteps=1000)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)

    def step(images: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(images.shape)
        times: Any = torch.randint(0, 1000, (len(images),)).long()
        with accelerator.accumulate(model):
            predicted = model(scheduler.add_noise(images, noise, times), times).sample
            loss = F.mse_loss(predicted.float(), noise.float())
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        average.step(model.parameters())
        return loss.detach()

    return turns.time_steps(loader, step, options)


def main() -> None:
    options = turns.step_parser(__doc__, 64).parse_args()
    turns.run(options, {"workbench": ours, "diffusers' example": theirs}, options.precision)


if __name__ == "__main__":
    main()
