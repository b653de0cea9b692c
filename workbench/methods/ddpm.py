"""Denoising diffusion: a U-Net that predicts the noise in an image.

Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020 (arXiv 2006.11239). With x_0 in [-1, 1]
and x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps, the loss is the simplified bound

    L_simple = E_{t, x_0, eps} | eps - eps_theta(x_t, t) |^2   (equation 14), averaged over pixels.

Exponentially averaged weights draw, reconstruct and encode. Samplers are ancestral (algorithm 2), DDIM (Song et al.
2021) and DPM-Solver++ (Lu et al. 2022), with any number of steps from pure noise at t = T - 1 down; all clip their x_0
estimates to [-1, 1], as the published sampler does.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from torch import Tensor

from workbench.config import Probability, Range, TrainConfig
from workbench.data import keyed
from workbench.data.augment import Augmentation, plain
from workbench.errors import WorkbenchError, unknown
from workbench.methods.base import Batch, ImageSpec, Layer, Method, Reconstructs, Samples, Step
from workbench.networks.momentum import MomentumCopy
from workbench.networks.unet import unet

DEFAULT_STEPS = {"ancestral": 1000, "ddim": 50, "dpm-solver++": 20}
RECONSTRUCTION_STRIDE = 50  # of 1000 noise levels
LAYER_LEVELS = (0.01, 0.1, 0.25, 0.5)  # of the noise levels: where all layers are read, beside ``feature_steps``


@dataclass(frozen=True, kw_only=True)
class DDPMConfig(TrainConfig):
    """DDPM's own options."""

    widths: Annotated[tuple[int, ...], Range(1)] = (128, 256, 256, 256)
    """Channels of the U-Net at each resolution."""
    layers: Annotated[int, Range(1)] = 2
    """Residual blocks per resolution."""
    attention_size: Annotated[int | None, Range(1)] = 16
    """Side in pixels at which self-attention is added."""
    dropout: Probability = 0.1
    """Dropout in the residual blocks."""
    noise_steps: Annotated[int, Range(2)] = 1000
    """Steps T of the noising process."""
    noise_schedule: Literal["linear", "cosine"] = "linear"
    """How the noise grows over the steps."""
    ema: Probability = 0.9999
    """Decay of the averaged weights; it is smaller in the first steps."""
    feature_steps: Annotated[tuple[int, ...], Range(0)] = (10, 100, 300)
    """Noise levels (of 1000) at which features are read."""
    reconstruct_steps: Annotated[tuple[int, ...], Range(0)] = (100, 250, 500, 750)
    """Noise levels (of 1000) from which images are drawn again."""
    sampler: Literal["ancestral", "ddim", "dpm-solver++"] = "dpm-solver++"
    """Default way of drawing samples."""
    flip: Probability = 0.5
    """Probability of a horizontal flip."""

    @classmethod
    def presets(cls, size: int) -> dict[str, dict[str, Any]]:
        levels = next(n for n in (4, 3, 2, 1) if size % 2 ** (n - 1) == 0 and size // 2 ** (n - 1) >= min(4, size))
        return {
            "cpu": {
                "widths": (32, 64, 64)[:levels],
                "layers": 1,
                "attention_size": 8 if size > 8 else 4,
                "dropout": 0.0,
                "ema": 0.999,
                "feature_steps": (100,),
                "epochs": 20,
                "batch_size": 64,
                "optim.lr": 1e-3,
                "optim.scale_lr": False,
                "optim.weight_decay": 0.0,
                "optim.warmup_epochs": 0.5,
                "optim.clip": 1.0,
            },
            "published": {
                "widths": (128, 256, 256, 256)[:levels],
                "attention_size": size // 2 if size <= 64 else size // 8,
                "epochs": 2048,
                "batch_size": 128,
                "optim.lr": 2e-4,
                "optim.scale_lr": False,
                "optim.weight_decay": 0.0,
                "optim.warmup_epochs": 12.8,
                "optim.schedule": "constant",
                "optim.clip": 1.0,
            },
        }


def ema_decay(decay: float, step: int) -> float:
    """The decay at a step: at most ``(1 + step) / (10 + step)``, so that the random start is soon forgotten."""
    return min(decay, (1 + step) / (10 + step))


def sampling_steps(noise_steps: int, n: int) -> list[int]:
    """``n`` noise levels from ``noise_steps - 1`` down, evenly spread; the first is pure noise, whatever ``n``."""
    return [(2 * (n - i) * noise_steps + n) // (2 * n) - 1 for i in range(n)]


def ddim_step(x: Tensor, noise: Tensor, signal: Tensor, signal_after: Tensor | float) -> Tensor:
    """One deterministic step of DDIM (Song et al. 2021, equation 12 with sigma = 0), the x_0 estimate clipped.

    Args:
        x: x_t (B, C, H, W).
        noise: the noise predicted in it.
        signal: abar_t.
        signal_after: abar at the step that follows, 1 for the last.
    """
    start = ((x - (1 - signal).sqrt() * noise) / signal.sqrt()).clamp(-1, 1)
    noise = (x - signal.sqrt() * start) / (1 - signal).sqrt()
    return signal_after**0.5 * start + (1 - signal_after) ** 0.5 * noise


class DDPM(Method, Reconstructs, Samples):
    """U-Net, noise schedule and averaged weights.

    Features: pooled outputs (B, width) of the middle and of each upward block at each of ``feature_steps``, such as
    ``up_1@t=100``; the input is noised to that step with noise that depends on the image alone. All layers are those
    and the downward blocks. A block is read after its last residual block, before the side changes again.
    """

    weights = "EMA weights"

    def __init__(self, config: DDPMConfig, images: ImageSpec) -> None:
        super().__init__(config, images)
        self.config, self.images = config, images
        self.unet = unet(
            images.size, images.channels, tuple(config.widths), config.layers, config.attention_size, config.dropout
        )
        self.ema = MomentumCopy(self.unet)
        self.updates: Tensor
        self.signal: Tensor
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        schedule = {"linear": "linear", "cosine": "squaredcos_cap_v2"}[config.noise_schedule]
        self.schedule: dict[str, Any] = {"num_train_timesteps": config.noise_steps, "beta_schedule": schedule}
        self.register_buffer("signal", DDPMScheduler(**self.schedule).alphas_cumprod, persistent=False)
        self.first_block, self.last_block = "unet.conv_in", "unet.up_blocks.-1"
        self.default_feature = f"up_{min(1, len(config.widths) - 1)}@t={config.feature_steps[0]}"
        shares = {min(round(share * config.noise_steps), config.noise_steps - 1) for share in LAYER_LEVELS}
        self.levels = tuple(sorted({*shares, *config.feature_steps}))
        self._updates = 0
        for step in (*config.feature_steps, *config.reconstruct_steps):
            if not 0 <= step < config.noise_steps:
                raise WorkbenchError(
                    f"A noise level of {step} is outside 0 … {config.noise_steps - 1} (--noise-steps)."
                )

    @classmethod
    def augmentations(cls, config: DDPMConfig, images: ImageSpec) -> tuple[Augmentation, ...]:
        return (plain(images.size, config.flip),)

    def noised(self, images: Tensor, steps: Tensor, noise: Tensor) -> Tensor:
        """x_t for images (B, C, H, W) in [-1, 1], steps (B,) and standard normal noise."""
        signal = self.signal[steps][:, None, None, None]
        return signal.sqrt() * images + (1 - signal).sqrt() * noise

    def forward(self, batch: Batch, progress: float) -> Step:
        images = 2 * batch.views[0] - 1
        steps = keyed.integers(keyed.fork(batch.keys, "step"), self.config.noise_steps)
        noise = keyed.normal(keyed.fork(batch.keys, "noise"), *images.shape[1:])
        predicted = self.unet(self.noised(images, steps, noise), steps).sample
        squared = F.mse_loss(predicted.float(), noise, reduction="none").flatten(1).mean(dim=1)
        with torch.no_grad():
            early = steps < self.config.noise_steps // 4
            logs = {"mse_low_noise": (squared * early).sum() / early.sum().clamp_min(1)}
        return Step(squared.mean(), logs)

    def after_step(self, progress: float) -> None:
        self._updates += 1
        self.updates += 1
        self.ema.update(self.unet, ema_decay(self.config.ema, self._updates))

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        result = super().load_state_dict(state_dict, strict, assign)
        self._updates = int(self.updates)
        return result

    def encode(self, images: Tensor, keys: Tensor | None = None) -> dict[str, Tensor]:
        noise = self._feature_noise(images, keys)
        found = [self._read(images, step, noise) for step in self.config.feature_steps]
        return {
            layer.space: features
            for layers in found
            for layer, features in layers.items()
            if not layer.name.startswith("down")
        }

    def layers(self, images: Tensor, level: int | None = None) -> dict[Layer, Tensor]:
        step = self.config.feature_steps[0] if level is None else level
        return self._read(images, step, self._feature_noise(images, None))

    def _feature_noise(self, images: Tensor, keys: Tensor | None) -> Tensor:
        return keyed.normal(
            keyed.content_keys(images) if keys is None else keyed.fork(keys, "features"), *images.shape[1:]
        )

    def _read(self, images: Tensor, step: int, noise: Tensor) -> dict[Layer, Tensor]:
        """Features at every depth of images (B, C, H, W) in [0, 1] under this noise at one level."""
        modules, numbers = dict(self.ema.module.named_modules()), range(len(self.config.widths))
        blocks = {
            f"down_{index}": modules[f"down_blocks.{index}.resnets.{self.config.layers - 1}"] for index in numbers
        }
        blocks["middle"] = modules["mid_block"]
        blocks |= {f"up_{index}": modules[f"up_blocks.{index}.resnets.{self.config.layers}"] for index in numbers}
        steps = torch.full((len(images),), step, device=images.device)
        with _Outputs(blocks) as outputs:
            self.ema(self.noised(2 * images - 1, steps, noise), steps)
        return {
            Layer(f"{name}@t={step}", name, depth, t=step): outputs[name].mean(dim=(2, 3)).float()
            for depth, name in enumerate(blocks)
        }

    def reconstruct(self, images: Tensor, keys: Tensor, default_only: bool = False) -> dict[str, Tensor]:
        noise = keyed.normal(keyed.fork(keys, "reconstruct"), *images.shape[1:])
        drawn = {}
        for level in self.config.reconstruct_steps[: 1 if default_only else None]:
            x = self.noised(2 * images - 1, torch.full((len(images),), level, device=images.device), noise)
            x = self._ddim(x, sampling_steps(level + 1, -(-(level + 1) // RECONSTRUCTION_STRIDE)))
            drawn[f"t={level}"] = (x / 2 + 0.5).clamp(0, 1)
        return drawn

    def sample(self, n: int, seed: int, steps: int | None = None, sampler: str | None = None) -> Tensor:
        name = sampler or self.config.sampler
        if name not in DEFAULT_STEPS:
            raise unknown("sampler", name, DEFAULT_STEPS)
        steps = min(DEFAULT_STEPS[name], self.config.noise_steps) if steps is None else steps
        if not 1 <= steps <= self.config.noise_steps:
            raise WorkbenchError(
                f"The number of sampling steps must be from 1 to {self.config.noise_steps}, not {steps}."
            )
        levels = sampling_steps(self.config.noise_steps, steps)
        keys = keyed.sample_keys(seed, 0, torch.arange(n))
        x = keyed.normal(keys, self.images.channels, self.images.size, self.images.size).to(self.signal.device)
        if name == "ddim":
            x = self._ddim(x, levels)
        elif name == "ancestral":
            scheduler = DDPMScheduler(**self.schedule)
            scheduler.set_timesteps(timesteps=levels)
            # A generator per image keeps it independent of the batch; the other samplers need none.
            generators: Any = [torch.Generator().manual_seed(int(key) & (2**63 - 1)) for key in keys]
            for step in scheduler.timesteps:
                x = scheduler.step(self._noise(x, step), int(step), x, generator=generators, return_dict=False)[0]
        else:
            # Thresholding at 1 is what diffusers calls clipping here.
            scheduler = DPMSolverMultistepScheduler(**self.schedule, thresholding=True, sample_max_value=1.0)
            scheduler.set_timesteps(timesteps=levels)
            for step in scheduler.timesteps:
                x = scheduler.step(self._noise(x, step), step, x, return_dict=False)[0]
        return (x / 2 + 0.5).clamp(0, 1)

    def _noise(self, x: Tensor, step: int | Tensor) -> Tensor:
        """The noise that the averaged weights see in x_t (B, C, H, W)."""
        return self.ema(x, step).sample

    def _ddim(self, x: Tensor, levels: list[int]) -> Tensor:
        """x_0 from x_t at the first of the levels, by DDIM over all of them."""
        signals = [*self.signal[levels], 1.0]
        for level, signal, after in zip(levels, signals[:-1], signals[1:], strict=True):
            x = ddim_step(x, self._noise(x, level), signal, after)
        return x


class _Outputs(dict[str, Tensor]):
    """Context that catches what named modules put out."""

    def __init__(self, modules: dict[str, torch.nn.Module]) -> None:
        super().__init__()
        self.modules = modules

    def __enter__(self) -> "_Outputs":
        self.hooks = [module.register_forward_hook(partial(self._keep, name)) for name, module in self.modules.items()]
        return self

    def _keep(self, name: str, _module: torch.nn.Module, _inputs: object, output: Tensor) -> None:
        self[name] = output

    def __exit__(self, *error: object) -> None:
        for hook in self.hooks:
            hook.remove()
