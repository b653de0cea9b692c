"""Denoising diffusion: a network that predicts the noise in an image, or what is the same, the image.

Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020 (arXiv 2006.11239). With x_0 in [-1, 1]
and x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps, the loss is the simplified bound

    L_simple = E_{t, x_0, eps} | eps - eps_theta(x_t, t) |^2   (equation 14), averaged over pixels,

or the same of what else the network predicts (:mod:`workbench.probability.diffusion`), a score's error times
1 - abar_t;
``min_snr`` weighs it (Hang et al. 2023), ``variational`` makes it the bound itself,

    -ln p(x_0) <= KL(q(x_T | x_0) || N(0, 1)) + sum_t KL(q(x_t-1 | x_t, x_0) || p(x_t-1 | x_t)) - E ln p(x_0 | x_1)

(equation 5), whose last term is the mass that a Gaussian gives to each pixel's bin (equation 13). Where variances are
learned, the loss is Nichol and Dhariwal's hybrid (ICML 2021, arXiv 2102.09672, equations 15 and 16): the mean learns
from the former, the variance alone from .001 T times the term of the bound at t in bits per dimension. With labels, a
part of them is dropped, so that guidance can compare with none (Ho and Salimans 2022, arXiv 2207.12598).

Exponentially averaged weights draw, reconstruct, judge and encode. Samplers are ancestral (algorithm 2), DDIM (Song et
al. 2021) and DPM-Solver++ (Lu et al. 2022), with any number of steps from pure noise at t = T - 1 down; all clip their
x_0 estimates to [-1, 1], as the published sampler does. Levels are counted from 0, so t = 0 here is the paper's 1.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor, nn

from workbench.config import Probability, Range, TrainConfig
from workbench.data import keyed
from workbench.data.augment import Augmentation, plain
from workbench.errors import WorkbenchError, unknown
from workbench.methods.base import Batch, ImageSpec, Layer, Step
from workbench.methods.capabilities import Conditional, Denoises, Likelihood, ReadsAtNoiseLevels, Reconstructs, Samples
from workbench.networks.dit import Conditioning, DiT
from workbench.networks.encoder import fitting_patch
from workbench.networks.momentum import MomentumCopy
from workbench.networks.unet import UNetOptions, unet, unet_presets
from workbench.networks.unet_features import pooled_outputs
from workbench.probability.diffusion import (
    Prediction,
    convert,
    gamma_of,
    gaussian_decoder_nll,
    min_snr_weight,
    posterior,
    prior_kl,
    spread,
    step_weight,
    target_of,
)
from workbench.probability.observation import full, on_grid
from workbench.probability.samplers import SAMPLERS, Sampler, moves, sampling_steps

DEFAULT_STEPS: dict[Sampler, int] = {"ancestral": 1000, "ddim": 50, "dpm-solver++": 20}
RECONSTRUCTION_STRIDE = 50  # of 1000 noise levels
LAYER_LEVELS = (0.01, 0.1, 0.25, 0.5)  # of the noise levels: where all layers are read, beside ``feature_steps``
HYBRID = 0.001  # Nichol and Dhariwal's lambda; as in their code, of the bound in bits per dimension
SCHEDULES: dict[str, dict[str, Any]] = {  # as diffusers calls them
    "linear": {"beta_schedule": "linear"},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
    "zero_snr": {"beta_schedule": "linear", "rescale_betas_zero_snr": True},
}
BETAS = (1e-4, 0.02)  # the first and the last of Ho et al.'s 1000 linear ones


@dataclass(frozen=True, kw_only=True)
class DDPMConfig(UNetOptions, TrainConfig):
    """DDPM's own options."""

    network: Literal["unet", "vit"] = "unet"
    """A U-Net, or the vision transformer that mocov3 trains."""
    patch: Annotated[int, Range(1)] = 4
    """Side of a ViT's patch in pixels."""
    width: Annotated[int, Range(1)] = 192
    """Width of the ViT."""
    depth: Annotated[int, Range(1)] = 12
    """Blocks of the ViT."""
    heads: Annotated[int, Range(1)] = 3
    """Attention heads of the ViT."""
    conditioning: Conditioning = "adaptive"
    """How a ViT is told the noise level: by its norms (adaLN-Zero), or by a token, its blocks left as they are."""
    prediction: Prediction = "eps"
    """What the network predicts: the noise, the image, the velocity or the score."""
    loss: Literal["simple", "variational", "min_snr"] = "simple"
    """How squared errors are weighted over noise levels: not at all, as the bound does, or by min(SNR, --min-snr)."""
    min_snr: Annotated[float, Range(above=0)] = 5.0
    """Largest signal-to-noise ratio that min_snr weighs the image's error by."""
    variance: Literal["small", "large", "learned"] = "small"
    """Variance of a sampling step: the posterior's, beta, or one between them that the network predicts."""
    noise_steps: Annotated[int, Range(2)] = 1000
    """Steps T of the noising process; linear schedules take their betas times 1000 / T."""
    noise_schedule: Literal["linear", "cosine", "zero_snr"] = "linear"
    """How the noise grows over the steps; zero_snr is linear, rescaled to end in noise alone (Lin et al. 2024)."""
    conditional: bool = False
    """Tell the network the image's label."""
    label_dropout: Probability = 0.1
    """Probability that a label is withheld in training, so that the network can do without; between 0 and 1."""
    guidance: Annotated[float, Range(0)] = 0.0
    """Classifier-free guidance w of a conditional model's samples: (1 + w) times its estimate less w times that without
    a label."""
    likelihood_steps: Annotated[int, Range(1)] = 16
    """Noise levels per image at which the bound on its likelihood is estimated."""
    ema: Probability = 0.9999
    """Decay of the averaged weights; it is smaller in the first steps."""
    feature_steps: Annotated[tuple[int, ...], Range(0)] = (10, 100, 300)
    """Noise levels (of 1000) at which features are read."""
    reconstruct_steps: Annotated[tuple[int, ...], Range(0)] = (100, 250, 500, 750)
    """Noise levels (of 1000) from which images are drawn again."""
    sampler: Sampler = "dpm-solver++"
    """Default way of drawing samples."""
    flip: Probability = 0.5
    """Probability of a horizontal flip."""

    def for_classes(self, classes: int | None, data: str) -> Self:
        if self.conditional and not classes:
            raise WorkbenchError(
                f"The training images of {data} have no labels for --conditional; leave it out, or choose images with "
                "classes, such as a folder with one folder per class."
            )
        return self

    @classmethod
    def presets(cls, size: int) -> dict[str, dict[str, Any]]:
        presets, patch = unet_presets(size), fitting_patch(size)
        of_vit = {
            "cpu": {"patch": patch, "width": 128, "depth": 3, "heads": 4},
            "published": {"patch": min(patch, 4 if size <= 32 else 8 if size <= 64 else 16)}
            | {"width": 384, "depth": 12, "heads": 12},
        }
        return {name: presets[name] | of_vit[name] for name in presets}


def schedule_settings(name: str, noise_steps: int) -> dict[str, Any]:
    """What ``DDPMScheduler`` is told of a schedule with a number of steps T.

    Betas that grow linearly are those of 1000 steps times 1000 / T, as in Nichol and Dhariwal's code, so that the last
    level has about as little left of the image whatever T is.

    Raises:
        WorkbenchError: T is so small that the last beta would reach 1.
    """
    settings = {"num_train_timesteps": noise_steps, **SCHEDULES[name]}
    if settings["beta_schedule"] != "linear":
        return settings
    first, last = (beta * 1000 / noise_steps for beta in BETAS)
    if last >= 1:
        raise WorkbenchError(
            f"--noise-steps {noise_steps} are too few for --noise-schedule {name}, whose last beta would be "
            f"{last:.3g}; take more than {math.floor(1000 * BETAS[1])}, or --noise-schedule cosine."
        )
    return settings | {"beta_start": first, "beta_end": last}


def ema_decay(decay: float, step: int) -> float:
    """The decay at a step: at most ``(1 + step) / (10 + step)``, so that the random start is soon forgotten."""
    return min(decay, (1 + step) / (10 + step))


class Said(NamedTuple):
    """What a network says of x_t.

    Attributes:
        output: its prediction (B, C, H, W).
        fraction: how far ln of the step's variance is from the posterior's to beta's; spreads over the output.
    """

    output: Tensor
    fraction: Tensor


class DDPM(ReadsAtNoiseLevels, Reconstructs, Samples, Denoises, Likelihood, Conditional):
    """Network, noise schedule and averaged weights.

    Pixels are scaled to [-1, 1]; the likelihood is that of their discrete levels, without dequantisation.

    Features: pooled outputs (B, width) of a U-Net's middle and upward blocks, or pooled patches of each of a ViT's
    blocks, at each of ``feature_steps``, such as ``up_1@t=100`` or ``block_6@t=100``; the input is noised to that step
    with noise that depends on the image alone. All layers are those and the downward blocks, or the stem. A U-Net's
    block is read after its last residual block, before the side changes again. A conditional model is told no label.
    """

    weights = "EMA weights"
    likelihood_kind: ClassVar[str] = "lower bound"

    def __init__(self, config: DDPMConfig, images: ImageSpec) -> None:
        super().__init__(config, images)
        self.config, self.images, self.prediction = config, images, config.prediction
        self._check()
        outputs = images.channels * (2 if config.variance == "learned" else 1)
        self.add_module(config.network, self._built(outputs))
        self.ema = MomentumCopy(self.network)
        self.updates: Tensor
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self._updates = 0
        self.schedule = schedule_settings(config.noise_schedule, config.noise_steps)
        self._tabulate(DDPMScheduler(**self.schedule).alphas_cumprod)
        number = len(config.widths)
        if config.network == "unet":
            self.first_block, self.last_block = "unet.conv_in", "unet.up_blocks.-1"
            place = f"up_{min(1, number - 1)}"
        else:
            self.first_block, self.last_block = "vit.patch_embed", f"vit.blocks.{config.depth - 1}"
            place = f"block_{math.ceil(config.depth / 2)}"
        self.default_feature = f"{place}@t={config.feature_steps[0]}"
        shares = {min(round(share * config.noise_steps), config.noise_steps - 1) for share in LAYER_LEVELS}
        self.levels = tuple(sorted({*shares, *config.feature_steps}))
        self.likelihood_note = (
            "Pixels are scaled to [-1, 1] and not dequantised; the last step gives each level a Gaussian's mass in its "
            "bin, the outer ones open; estimates of the image are clipped to [-1, 1], and variances are those that the "
            f"run samples with (--variance {config.variance})."
            f"{' The bound is that of the model without a label.' if config.conditional else ''}"
        )
        terms, drawn = config.noise_steps - 1, config.likelihood_steps
        self.likelihood_sampled = drawn < terms
        self.likelihood_in_full = f"The sum over {terms:,} noise levels is computed in full."
        self.likelihood_drawn = self.likelihood_in_full
        if self.likelihood_sampled:
            self.likelihood_drawn = f"Of the sum over {terms:,} noise levels {drawn} terms are drawn per image."

    def _check(self) -> None:
        """Refuse options that do not go together, each in one sentence."""
        config = self.config
        for flag, levels in (
            ("--feature-steps", config.feature_steps),
            ("--reconstruct-steps", config.reconstruct_steps),
        ):
            for level in levels:
                if not 0 <= level < config.noise_steps:
                    raise WorkbenchError(
                        f"{flag} {level} is outside 0 … {config.noise_steps - 1}; choose levels below --noise-steps "
                        f"{config.noise_steps}."
                    )
        if config.noise_schedule == "zero_snr" and config.prediction in ("eps", "score"):
            raise WorkbenchError(
                "--noise-schedule zero_snr ends in noise alone, where nothing of the image follows from "
                f"--prediction {config.prediction}; choose --prediction v or x0."
            )
        if config.noise_schedule == "zero_snr" and config.loss == "min_snr":
            raise WorkbenchError(
                "--loss min_snr gives the last level of --noise-schedule zero_snr, noise alone, where every sampler "
                "starts, no weight; choose --loss simple, or another schedule."
            )
        if config.conditional and not 0 < config.label_dropout < 1:
            lacking = "what a label is" if config.label_dropout else "to do without a label, as features and bounds do"
            raise WorkbenchError(
                f"With --label-dropout {config.label_dropout:g} a --conditional model never learns {lacking}; choose "
                "one between 0 and 1."
            )
        if config.conditional and not self.images.classes:
            raise WorkbenchError("These images have no labels for --conditional; leave it out, or choose others.")
        if config.guidance and not config.conditional:
            raise WorkbenchError("--guidance compares with and without a label; it needs --conditional.")

    def _built(self, channels_out: int) -> nn.Module:
        config, images, classes = self.config, self.images, self.label_count
        if config.network == "unet":
            sizes = (tuple(config.widths), config.layers, config.attention_size, config.dropout)
            return unet(images.size, images.channels, *sizes, channels_out, classes)
        sizes = (config.patch, config.width, config.depth, config.heads)
        return DiT(images.size, images.channels, *sizes, channels_out, classes, config.conditioning)

    def _tabulate(self, signal: Tensor) -> None:
        """Keep numbers of the schedule by noise level (T,): computed in double precision, used in single.

        The decoder at level 0 has the variance that the posterior has at level 1, and learned ones reach from there to
        beta, as in Ho et al.'s and Nichol and Dhariwal's code.
        """
        gamma, prediction = gamma_of(signal.double()), self.config.prediction
        before, after, nothing = gamma[:-1], gamma[1:], torch.zeros_like(gamma[:1])
        _, log_small = posterior(torch.zeros_like(after), torch.zeros_like(after), before, after)
        log_ratio = nn.functional.logsigmoid(after) - nn.functional.logsigmoid(before)
        learned = nn.functional.logsigmoid(gamma[:1]) - log_small[:1]
        weights = min_snr_weight(gamma, prediction, self.config.min_snr)
        if self.config.loss != "min_snr":
            weights = torch.sigmoid(gamma) if prediction == "score" else torch.ones_like(gamma)
        self._exact_gamma = gamma  # of which samplers take Python's numbers
        self.signal: Tensor
        self.gamma: Tensor
        self.numbers: Tensor
        self.loss_weight: Tensor
        self.output_weight: Tensor
        self.image_weight: Tensor
        self.log_small: Tensor
        self.log_ratio: Tensor
        tables = {
            "gamma": gamma,
            "loss_weight": weights,
            "output_weight": torch.cat([nothing, step_weight(before, after, prediction)]),
            "image_weight": torch.cat([nothing, step_weight(before, after, "x0")]),
            "log_small": torch.cat([log_small[:1], log_small]),
            "log_ratio": torch.cat([learned if self.config.variance == "learned" else nothing, log_ratio]),
        }
        inverse = 1 / torch.arange(1, len(gamma), dtype=torch.float64)
        probability = 0.5 * inverse / inverse.sum() + 0.5 / len(inverse)
        self.draw_probability: Tensor
        self.draw_below: Tensor
        tables |= {"draw_probability": probability, "draw_below": probability.cumsum(0)}
        self.register_buffer("signal", signal, persistent=False)
        self.register_buffer("numbers", torch.arange(len(gamma)), persistent=False)
        for name, table in tables.items():
            self.register_buffer(name, table.float(), persistent=False)

    @property
    def network(self) -> nn.Module:
        """The network that is trained."""
        return self.get_submodule(self.config.network)

    @property
    def label_count(self) -> int:
        return self.images.classes if self.config.conditional else 0

    @classmethod
    def augmentations(cls, config: DDPMConfig, images: ImageSpec) -> tuple[Augmentation, ...]:
        return (plain(images.size, config.flip),)

    def noised(self, images: Tensor, steps: Tensor, noise: Tensor) -> Tensor:
        """x_t for images (B, C, H, W) in [-1, 1], steps (B,) and standard normal noise."""
        signal = self.signal[steps][:, None, None, None]
        return signal.sqrt() * images + (1 - signal).sqrt() * noise

    # Training --------------------------------------------------------------------------------------------------------

    def forward(self, batch: Batch, progress: float) -> Step:
        config, images = self.config, 2 * batch.views[0] - 1
        steps = keyed.integers(keyed.fork(batch.keys, "step"), config.noise_steps)
        noise = keyed.normal(keyed.fork(batch.keys, "noise"), *images.shape[1:])
        noised = self.noised(images, steps, noise)
        said = self._said(self.network, noised, steps, self._labels(batch))
        squared = (said.output - target_of(images, noise, self.gamma[steps], config.prediction)).square()
        errors = squared.flatten(1).mean(dim=1)
        with torch.no_grad():
            early = steps < config.noise_steps // 4
            logs = {"mse_low_noise": (errors * early).sum() / early.sum().clamp_min(1)}
        loss = (self.loss_weight[steps] * errors).mean()
        if config.loss == "variational" or config.variance == "learned":
            mean_learns = config.loss == "variational"
            known = said if mean_learns else Said(said.output.detach(), said.fraction)
            kept = squared if mean_learns else squared.detach()
            nats = self._step_nats(on_grid(batch.views[0], self.images.levels), noised, steps, known, kept)
            bits = config.noise_steps * nats.mean() / (images[0].numel() * math.log(2))
            loss = bits if mean_learns else loss + HYBRID * bits
            with torch.no_grad():  # the bound's last term, of which nothing learns
                prior = prior_kl(images, self.gamma[-1]).mean() / (images[0].numel() * math.log(2))
            logs["bits_per_dim"] = bits.detach() + prior
        return Step(loss, logs)

    def _labels(self, batch: Batch) -> Tensor | None:
        """The batch's labels (B,), some of them withheld."""
        if not self.config.conditional:
            return None
        if batch.labels is None:
            raise WorkbenchError("The images of this batch have no labels for --conditional; leave it out.")
        withheld = keyed.uniform(keyed.fork(batch.keys, "label"), 1)[:, 0] < self.config.label_dropout
        return torch.where(withheld, self.images.classes, batch.labels)

    def _said(self, network: nn.Module, x: Tensor, steps: Tensor, labels: Tensor | None) -> Said:
        """What a network says of x_t (B, C, H, W) at steps (B,), or one for all, in single precision at least."""
        if self.config.conditional:
            none = torch.full((len(x),), self.images.classes, device=x.device)
            output = full(network(x, steps, none if labels is None else labels).sample)
        else:
            output = full(network(x, steps).sample)
        if self.config.variance == "learned":
            output, between = output.chunk(2, dim=1)
            return Said(output, 0.5 * (between + 1))
        return Said(output, (torch.ones if self.config.variance == "large" else torch.zeros)((), device=x.device))

    def _step_nats(self, images: Tensor, x: Tensor, steps: Tensor, said: Said, squared: Tensor) -> Tensor:
        """The term of the bound (B,) in nats at each image's level; ``squared`` errors are the prediction's."""
        kl = self._kl(steps, self.output_weight, said.fraction, squared)
        first = spread(steps == 0, images)
        estimate = convert(said.output, x, self.gamma[steps], self.config.prediction, "x0")
        # Elsewhere a perfect one, so that no gradient of a tail's far end is multiplied by zero.
        return torch.where(steps == 0, self._decoder_nats(images, torch.where(first, estimate, images), said), kl)

    def _kl(self, steps: Tensor, weight: Tensor, fraction: Tensor, squared: Tensor) -> Tensor:
        """KL(q(x_u | x_t, x_0) || p(x_u | x_t)) in nats (B,), where ``weight`` (T,) is that of squared errors under the
        posterior's variance, of which p's is e^gap times as small."""
        gap = -fraction * spread(self.log_ratio[steps], squared)
        terms = spread(weight[steps], squared) * squared * gap.exp() + 0.5 * (torch.expm1(gap) - gap)
        return terms.flatten(1).sum(dim=1)

    def _decoder_nats(self, images: Tensor, estimate: Tensor, said: Said) -> Tensor:
        """-ln p(x_0 | x_1) in nats (B,) of images on their levels' grid in [-1, 1]."""
        log_sigma = 0.5 * (self.log_small[0] + said.fraction * self.log_ratio[0])
        return gaussian_decoder_nll(images, estimate, log_sigma, self.images.levels)

    def after_step(self, progress: float) -> None:
        self._updates += 1
        self.updates += 1
        self.ema.update(self.network, ema_decay(self.config.ema, self._updates))

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        result = super().load_state_dict(state_dict, strict, assign)
        self._updates = int(self.updates)
        return result

    # Features --------------------------------------------------------------------------------------------------------

    def _read(self, images: Tensor, step: int, noise: Tensor) -> dict[Layer, Tensor]:
        """Features at every depth of images (B, C, H, W) in [0, 1] under this noise at one level."""
        steps, network = torch.full((len(images),), step, device=images.device), self.ema.module
        noised = self.noised(2 * images - 1, steps, noise)
        if isinstance(network, DiT):
            found = network.pooled(noised, steps)
        else:
            assert isinstance(network, UNet2DModel)
            found = pooled_outputs(network, lambda: self._said(self.ema, noised, steps, None))
        return {
            Layer(f"{name}@t={step}", name, depth, t=step): features
            for depth, (name, features) in enumerate(found.items())
        }

    # Drawing ---------------------------------------------------------------------------------------------------------

    def reconstruct(self, images: Tensor, keys: Tensor, default_only: bool = False) -> dict[str, Tensor]:
        noise = keyed.normal(keyed.fork(keys, "reconstruct"), *images.shape[1:])
        drawn = {}
        for level in self.config.reconstruct_steps[: 1 if default_only else None]:
            x = self.noised(2 * images - 1, torch.full((len(images),), level, device=images.device), noise)
            drawn[f"t={level}"] = self._draw(x, sampling_steps(level + 1, -(-(level + 1) // RECONSTRUCTION_STRIDE)))
        return drawn

    def sample(self, n: int, seed: int, steps: int | None = None, sampler: str | None = None) -> Tensor:
        """As :meth:`Samples.sample`; a conditional model's images have the labels 0, 1, 2 … in turn."""
        name: Sampler | None = next((known for known in SAMPLERS if known == (sampler or self.config.sampler)), None)
        if name is None:
            raise unknown("sampler", str(sampler), DEFAULT_STEPS)
        steps = min(DEFAULT_STEPS[name], self.config.noise_steps) if steps is None else steps
        if not 1 <= steps <= self.config.noise_steps:
            raise WorkbenchError(
                f"The number of sampling steps must be from 1 to {self.config.noise_steps}, not {steps}."
            )
        keys, device = keyed.sample_keys(seed, 0, torch.arange(n)), self.signal.device
        x = keyed.normal(keys, self.images.channels, self.images.size, self.images.size).to(device)
        labels = torch.arange(n, device=device) % self.images.classes if self.config.conditional else None
        return self._draw(x, sampling_steps(self.config.noise_steps, steps), name, labels, keys)

    def _draw(
        self,
        x: Tensor,
        levels: list[int],
        sampler: Sampler = "ddim",
        labels: Tensor | None = None,
        keys: Tensor | None = None,
    ) -> Tensor:
        """Images (B, C, H, W) in [0, 1] from x_t at the first of the levels, by a sampler over all of them."""
        # A generator per image keeps it independent of the batch.
        generators = [torch.Generator().manual_seed(int(key) & (2**63 - 1)) for key in keys] if keys is not None else []
        former = x
        for level, move in zip(levels, moves(sampler, self._exact_gamma[levels]), strict=True):
            start, fraction = self._estimate(x, self.numbers[level], labels, self.config.guidance)
            x = move.keep * x + move.start * start + move.former * former
            if move.noise:
                x = x + move.noise * (0.5 * move.log_ratio * fraction).exp() * _drawn(generators, x)
            former = start
        if not torch.isfinite(x).all():
            raise WorkbenchError(
                f"The {sampler} sampler gave images that are not finite after {len(levels)} steps, so the weights are "
                "not; look at the run's loss, and train again with a lower --optim.lr or with --optim.clip."
            )
        return self.pictures(x)

    def _estimate(
        self, x: Tensor, steps: Tensor, labels: Tensor | None = None, guidance: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """The averaged weights' estimate of x_0 (B, C, H, W), clipped, and the variance's :attr:`Said.fraction`."""
        said = self._said(self.ema, x, steps, labels)
        output = said.output
        if (
            labels is not None and guidance
        ):  # what is predicted is an affine function of any other, so this holds for all
            output = (1 + guidance) * output - guidance * self._said(self.ema, x, steps, None).output
        return convert(output, x, self.gamma[steps], self.config.prediction, "x0").clamp(-1, 1), said.fraction

    # Denoising -------------------------------------------------------------------------------------------------------

    def log_snr(self, t: Tensor) -> Tensor:
        return -self._exact_gamma.cpu()[self._step_at(t).cpu()]

    def denoise(self, x: Tensor, t: Tensor) -> Tensor:
        return self._said(self.ema, x, self._step_at(t), None).output

    def scaled(self, images: Tensor) -> Tensor:
        return 2 * images - 1

    def pictures(self, x: Tensor) -> Tensor:
        return (x / 2 + 0.5).clamp(0, 1)

    def _step_at(self, t: Tensor) -> Tensor:
        """The level (B,) nearest to times (B,) in [0, 1]."""
        return (t * (self.config.noise_steps - 1)).round().long()

    # Likelihood ------------------------------------------------------------------------------------------------------

    def nats_terms(self, images: Tensor, keys: Tensor) -> dict[str, Tensor]:
        """``prior``, ``diffusion`` and ``reconstruction``, (B,) each; the second from ``likelihood_steps`` levels, so
        that its mean over keys is the full sum."""
        return self._bound(images, keys, min(self.config.likelihood_steps, self.config.noise_steps - 1))

    def full_nats_terms(self, images: Tensor, keys: Tensor) -> dict[str, Tensor]:
        return self._bound(images, keys, self.config.noise_steps - 1)

    def label_nats(self, images: Tensor, keys: Tensor, labels: Tensor) -> Tensor:
        count = min(self.config.likelihood_steps, self.config.noise_steps - 1)
        return torch.stack(list(self._bound(images, keys, count, labels).values())).sum(dim=0)

    def _bound(self, images: Tensor, keys: Tensor, count: int, labels: Tensor | None = None) -> dict[str, Tensor]:
        """The bound's terms, with ``count`` of the levels 1 … T - 1 drawn, or with T - 1 each of them.

        Terms of the sum fall about as 1/t, and low levels are few: half of the draws go to t in proportion to 1/t, half
        to all alike, one in each equal part of this distribution, each weighed by its inverse probability.
        """
        x0, last = on_grid(images, self.images.levels), self.config.noise_steps - 1

        def seen(steps: Tensor, stream: str) -> Said:
            """At the steps (B,), under noise of its own."""
            noise = keyed.normal(keyed.fork(keys, stream), *images.shape[1:])
            return Said(*self._estimate(self.noised(x0, steps, noise), steps, labels))

        diffusion = torch.zeros_like(x0[:, 0, 0, 0])
        for part in range(count):
            if count == last:
                steps, weight = torch.full_like(keys, part + 1), 1.0
            else:
                place = (part + keyed.uniform(keyed.fork(keys, f"bound {part}"))) / count
                steps = 1 + torch.searchsorted(self.draw_below, place).clamp_max(last - 1)
                weight = 1 / (count * self.draw_probability[steps - 1])
            said = seen(steps, f"bound noise {part}")
            diffusion += weight * self._kl(steps, self.image_weight, said.fraction, (x0 - said.output).square())
        first = seen(torch.zeros_like(keys), "decoder noise")
        return {
            "prior": prior_kl(x0, self.gamma[last]),
            "diffusion": diffusion,
            "reconstruction": self._decoder_nats(x0, first.output, first),
        }


def _drawn(generators: list[torch.Generator], like: Tensor) -> Tensor:
    """Standard normal numbers (B, …), each image's from its own generator, sent without waiting for the device."""
    numbers = torch.stack([torch.randn(like.shape[1:], generator=generator) for generator in generators])
    return (numbers.pin_memory() if like.is_cuda else numbers).to(like.device, non_blocking=True)
