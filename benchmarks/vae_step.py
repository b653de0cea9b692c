"""A VAE training step end to end, data included: ours against pythae's trainer on the same networks.

    pip install --target PLACE --no-deps pythae && pip install --target PLACE 'pydantic<2'
    PYTHONPATH=PLACE python -m benchmarks.vae_step      # likewise --precision auto

Encoder and decoder of the preset for CPUs, 32 latent dimensions, 32 px images in memory, a fixed observation noise.
pythae's figure is the time of an epoch divided by its steps, with its loader's default of no workers.
"""

import argparse
import tempfile
import time
from typing import Any

from benchmarks import turns

LATENTS, WIDTH, SIZE = 32, 16, 32


def ours(options: argparse.Namespace) -> list[float]:
    """Seconds of each step, data included."""
    from workbench.training.loop import resolve
    from workbench.training.trainer import Trainer

    with tempfile.TemporaryDirectory() as runs:
        settings = {
            "runs": runs, "data": "shapes", "preset": "cpu", "batch_size": options.batch_size,
            "precision": options.precision, "noise": 0.5, "latent_dim": LATENTS, "width": WIDTH,
        }  # fmt: skip
        config, dataset = resolve("vae", settings)
        return turns.time_trainer(Trainer("vae", config, dataset), options)


def theirs(options: argparse.Namespace) -> list[float]:
    """Mean seconds of a step, for each of a few epochs."""
    import torch
    from pythae.data.datasets import BaseDataset  # pyright: ignore[reportMissingImports]
    from pythae.models import VAE, VAEConfig  # pyright: ignore[reportMissingImports]
    from pythae.models.base.base_utils import ModelOutput  # pyright: ignore[reportMissingImports]
    from pythae.models.nn import BaseDecoder, BaseEncoder  # pyright: ignore[reportMissingImports]
    from pythae.trainers import BaseTrainer, BaseTrainerConfig  # pyright: ignore[reportMissingImports]
    from torch import Tensor

    from workbench.data import shapes
    from workbench.networks.autoencoder import ConvDecoder, ConvEncoder

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.network = ConvEncoder(3, SIZE, WIDTH, 2 * LATENTS)

        def forward(self, x: Tensor) -> Any:
            mean, log_variance = self.network(2 * x - 1).chunk(2, dim=1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.network = ConvDecoder(3, SIZE, WIDTH, LATENTS)

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.network(z))

    pixels = shapes.generate("train", options.steps * options.batch_size).images
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    model = VAE(VAEConfig(input_dim=(3, SIZE, SIZE), latent_dim=LATENTS), Encoder(), Decoder())
    with tempfile.TemporaryDirectory() as place:
        config = BaseTrainerConfig(
            output_dir=place, num_epochs=1, per_device_train_batch_size=options.batch_size, learning_rate=1e-3,
            amp=options.precision == "bf16", no_cuda=True,
        )  # fmt: skip
        trainer = BaseTrainer(model, BaseDataset(images, torch.zeros(len(images))), training_config=config)
        trainer.prepare_training()
        seconds = []
        for epoch in range(1, 4):
            began = time.perf_counter()
            trainer.train_step(epoch)
            seconds.append((time.perf_counter() - began) / options.steps)
    return seconds[1:]


def main() -> None:
    options = turns.step_parser(__doc__, 128).parse_args()
    turns.run(options, {"workbench": ours, "pythae's trainer": theirs}, options.precision)


if __name__ == "__main__":
    main()
