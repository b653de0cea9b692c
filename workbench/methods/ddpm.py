"""Denoising diffusion: a network that predicts the noise in an image, or what is the same, the image.

Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020 (arXiv 2006.11239). With x_0 in [-1, 1]
and x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps, the loss is the simplified bound

    L_simple = E_{t, x_0, eps} | eps - eps_theta(x_t, t) |^2   (equation 14), averaged over pixels,

or the same of another prediction (:mod:`workbench.probability.diffusion`), a score's error times 1 - abar_t.
``min_snr`` weights it (Hang et al. 2023), ``variational`` makes it the bound itself,

    L_vlb = KL(q(x_T | x_0) || N(0, 1)) + sum_t KL(q(x_t-1 | x_t, x_0) || p(x_t-1 | x_t)) - E ln p(x_0 | x_1)

(equation 5; :mod:`workbench.probability.discrete`), whose last term is the mass that a Gaussian gives to each pixel's
bin (equation 13). Where variances are learned, the loss is Nichol and Dhariwal's hybrid (ICML 2021, arXiv 2102.09672,
equations 15 and 16): the mean learns from the former, the variance alone from .001 T times the term of the bound at t
in bits per dimension. With labels, a part of them is dropped, so that guidance can compare with none (Ho and Salimans
2022, arXiv 2207.12598).

Exponentially averaged weights sample, reconstruct, evaluate and encode. Samplers are ancestral (algorithm 2), DDIM
(Song et al. 2021) and DPM-Solver++ (Lu et al. 2022), with any number of steps from pure noise at t = T - 1 down; all
clip their x_0 estimates to [-1, 1], as the published sampler does. Levels are counted from 0, so t = 0 here is the
paper's 1.
"""

import math
from typing import Any, ClassVar, NamedTuple

import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor, nn

from workbench.data import keyed
from workbench.errors import WorkbenchError, unknown
from workbench.methods.base import Batch, ImageSpec, Step
from workbench.methods.capabilities import Conditional, Denoises, Likelihood, ReadsAtNoiseLevels, Reconstructs, Samples
from workbench.methods.configs.ddpm import DDPMConfig, Loss
from workbench.networks.denoising import block_features, denoising_network
from workbench.networks.momentum import MomentumCopy, ema_decay
from workbench.probability import samplers
from workbench.probability.diffusion import Prediction, convert, min_snr_weight, prior_kl, target_of
from workbench.probability.discrete import DiscreteDiffusion
from workbench.probability.fixed_schedules import check_terminal, schedule_settings
from workbench.probability.names import SAMPLERS
from workbench.probability.observation import full, on_grid
from workbench.probability.samplers import Sampler, sampling_steps

DEFAULT_STEPS: dict[Sampler, int] = {"ancestral": 1000, "ddim": 50, "dpm-solver++": 20}
RECONSTRUCTION_STRIDE = 50  # of 1000 noise levels
LAYER_LEVELS = (0.01, 0.1, 0.25, 0.5)  # of the noise levels: where all layers are read, beside ``feature_steps``
HYBRID = 0.001  # Nichol and Dhariwal's lambda; as in their code, of the bound in bits per dimension


def level_weights(loss: Loss, gamma: Tensor, prediction: Prediction, min_snr: float) -> Tensor:
    """Weights (T,) of the mean squared error of a prediction at each noise level: those of L_simple (equation 14), in
    which a score's error counts as the noise's does, or min-SNR's (Hang et al. 2023, section 3.4)."""
    if loss == "min_snr":
        return min_snr_weight(gamma, prediction, min_snr)
    return torch.sigmoid(gamma) if prediction == "score" else torch.ones_like(gamma)


class Output(NamedTuple):
    """A network's output at x_t.

    Attributes:
        prediction: (B, C, H, W).
        fraction: how far ln of the step's variance is from the posterior's (0) to beta's (1); spreads over images.
    """

    prediction: Tensor
    fraction: Tensor


class DDPM(ReadsAtNoiseLevels, Reconstructs, Samples, Denoises, Likelihood, Conditional):
    """Network, noise schedule and averaged weights.

    Pixels are scaled to [-1, 1]; the likelihood is that of their discrete levels, without dequantisation.

    Features: pooled outputs (B, width) of a U-Net's middle and upward blocks, or pooled patches of each of a ViT's
    blocks, at each of ``feature_steps``, such as ``up_1@t=100`` or ``block_6@t=100``; the input is noised to that step
    with noise that depends on the image alone. All layers are those and the downward blocks, or the stem. A U-Net's
    block is read after its last residual block, before the side changes again. A conditional model gets no label.
    """

    weights = "EMA weights"
    likelihood_kind: ClassVar[str] = "lower bound"

    def __init__(self, config: DDPMConfig, images: ImageSpec) -> None:
        super().__init__(config, images)
        self.config, self.images, self.prediction = config, images, config.prediction
        self._check()
        self.schedule = schedule_settings(config.noise_schedule, config.noise_steps)
        outputs = images.channels * (2 if config.variance == "learned" else 1)
        network = denoising_network(config, images.size, images.channels, outputs, self.label_count)
        self.add_module(config.network, network)
        self.ema = MomentumCopy(self.network)
        self.updates: Tensor
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self._updates = 0
        signal = DDPMScheduler(**self.schedule).alphas_cumprod
        self.process = DiscreteDiffusion(signal, config.prediction, learned=config.variance == "learned")
        weights = level_weights(config.loss, self.process.exact_gamma, config.prediction, config.min_snr)
        self.loss_weight: Tensor
        self.register_buffer("loss_weight", weights.float(), persistent=False)
        self.first_block, self.last_block = (f"{config.network}.{part}" for part in config.ends)
        self.default_feature = f"{config.default_block}@t={config.feature_steps[0]}"
        shares = {min(round(share * config.noise_steps), config.noise_steps - 1) for share in LAYER_LEVELS}
        self.levels = tuple(sorted({*shares, *config.feature_steps}))
        self.likelihood_note = (
            "Pixels are scaled to [-1, 1] and not dequantised; the last step gives each level a Gaussian's mass in its "
            "bin, the outer ones open; estimates of the image are clipped to [-1, 1], and variances are those that the "
            f"run samples with (--variance {config.variance})."
            f"{' The bound is that of the model without a label.' if config.conditional else ''}"
        )
        terms, draws = config.noise_steps - 1, config.likelihood_steps
        self.likelihood_sampled = draws < terms
        self.likelihood_in_full = self.likelihood_drawn = f"The sum over {terms:,} noise levels is computed in full."
        if self.likelihood_sampled:
            self.likelihood_drawn = f"Of the sum over {terms:,} noise levels {draws} terms are drawn per image."

    def _check(self) -> None:
        """Refuse options that do not go together, each in one sentence."""
        config = self.config
        named = {"--feature-steps": config.feature_steps, "--reconstruct-steps": config.reconstruct_steps}
        for flag, levels in named.items():
            for level in levels:
                if not 0 <= level < config.noise_steps:
                    raise WorkbenchError(
                        f"{flag} {level} is outside 0 … {config.noise_steps - 1}; choose levels below --noise-steps "
                        f"{config.noise_steps}."
                    )
        check_terminal(config.noise_schedule, config.prediction)
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

    @property
    def network(self) -> nn.Module:
        """The network that is trained."""
        return self.get_submodule(self.config.network)

    @property
    def label_count(self) -> int:
        return self.images.classes if self.config.conditional else 0

    def forward(self, batch: Batch, progress: float) -> Step:
        config, process, images = self.config, self.process, self.scaled(batch.views[0])  # (B, C, H, W)
        steps = keyed.integers(keyed.fork(batch.keys, "step"), config.noise_steps)
        noise = keyed.normal(keyed.fork(batch.keys, "noise"), *images.shape[1:])
        x_t = process.noised(images, steps, noise)
        output = self._output(self.network, x_t, steps, self._labels(batch))
        # 1. The simple loss (equation 14), or one with other weights.
        target = target_of(images, noise, process.gamma[steps], config.prediction)
        squared = (output.prediction - target).square()
        errors = squared.flatten(1).mean(dim=1)
        loss = (self.loss_weight[steps] * errors).mean()
        with torch.no_grad():
            early = steps < config.noise_steps // 4
            logs = {"mse_low_noise": (errors * early).sum() / early.sum().clamp_min(1)}
        # 2. The bound (equation 5) at the same levels, in its place, or beside it for the variance alone (hybrid).
        if config.loss == "variational" or config.variance == "learned":
            prediction = output.prediction
            if config.loss != "variational":
                prediction, squared = prediction.detach(), squared.detach()
            x0, per_dim = on_grid(batch.views[0], self.images.levels), images[0].numel() * math.log(2)
            nats = process.step_nats(x0, x_t, steps, prediction, output.fraction, squared, self.images.levels)
            bits = config.noise_steps * nats.mean() / per_dim
            loss = bits if config.loss == "variational" else loss + HYBRID * bits
            with torch.no_grad():  # the bound's first term, from which nothing learns
                prior = prior_kl(images, process.gamma[-1]).mean() / per_dim
            logs["bits_per_dim"] = bits.detach() + prior
        return Step(loss, logs)

    def _labels(self, batch: Batch) -> Tensor | None:
        """The batch's labels (B,), some of them dropped."""
        if not self.config.conditional:
            return None
        if batch.labels is None:
            raise WorkbenchError("The images of this batch have no labels for --conditional; leave it out.")
        dropped = keyed.uniform(keyed.fork(batch.keys, "label"), 1)[:, 0] < self.config.label_dropout
        return torch.where(dropped, self.images.classes, batch.labels)

    def _no_labels(self, x: Tensor) -> Tensor | None:
        """What a conditional network gets where images (B, C, H, W) have no label; None for others."""
        return torch.full((len(x),), self.label_count, device=x.device) if self.config.conditional else None

    def _output(self, network: nn.Module, x: Tensor, steps: Tensor, labels: Tensor | None) -> Output:
        """A network's output at x_t (B, C, H, W) and steps (B,), or one for all, in single precision at least."""
        labels = self._no_labels(x) if labels is None else labels
        prediction = full(network(x, steps, labels).sample)
        if self.config.variance == "learned":
            prediction, between = prediction.chunk(2, dim=1)
            return Output(prediction, 0.5 * (between + 1))
        return Output(prediction, torch.full((), float(self.config.variance == "large"), device=x.device))

    def after_step(self, progress: float) -> None:
        self._updates += 1
        self.updates += 1
        self.ema.update(self.network, ema_decay(self.config.ema, self._updates))

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        result = super().load_state_dict(state_dict, strict, assign)
        self._updates = int(self.updates)
        return result

    def block_features(self, images: Tensor, step: int, noise: Tensor) -> dict[str, Tensor]:
        steps = torch.full((len(images),), step, device=images.device)
        x_t = self.process.noised(self.scaled(images), steps, noise)
        return block_features(self.ema.module, x_t, steps, self._no_labels(x_t))

    # Sampling

    def reconstruct(self, images: Tensor, keys: Tensor, default_only: bool = False) -> dict[str, Tensor]:
        noise = keyed.normal(keyed.fork(keys, "reconstruct"), *images.shape[1:])
        reconstructions = {}
        for step in self.config.reconstruct_steps[: 1 if default_only else None]:
            x_t = self.process.noised(self.scaled(images), torch.full_like(keys, step), noise)
            steps = sampling_steps(step + 1, -(-(step + 1) // RECONSTRUCTION_STRIDE))
            reconstructions[f"t={step}"] = self._sample_from(x_t, steps, "ddim")
        return reconstructions

    def sample(self, n: int, seed: int, steps: int | None = None, sampler: str | None = None) -> Tensor:
        """As :meth:`Samples.sample`; a conditional model's images have the labels 0, 1, 2 … in turn."""
        name = sampler or self.config.sampler
        if name not in SAMPLERS:
            raise unknown("sampler", name, SAMPLERS)
        steps = min(DEFAULT_STEPS[name], self.config.noise_steps) if steps is None else steps
        if not 1 <= steps <= self.config.noise_steps:
            raise WorkbenchError(
                f"The number of sampling steps must be from 1 to {self.config.noise_steps}, not {steps}."
            )
        keys, device = keyed.sample_keys(seed, 0, torch.arange(n)), self.process.signal.device
        x = keyed.normal(keys, self.images.channels, self.images.size, self.images.size).to(device)
        labels = torch.arange(n, device=device) % self.images.classes if self.config.conditional else None
        return self._sample_from(x, sampling_steps(self.config.noise_steps, steps), name, labels, keys)

    def _sample_from(
        self, x: Tensor, steps: list[int], sampler: Sampler, labels: Tensor | None = None, keys: Tensor | None = None
    ) -> Tensor:
        """Images (B, C, H, W) in [0, 1] from x_t at the first of the steps, by a sampler over all of them."""
        process, guidance = self.process, self.config.guidance

        def estimate(x_t: Tensor, number: int) -> tuple[Tensor, Tensor]:
            return self._estimate(x_t, process.numbers[steps[number]], labels, guidance)

        return self.pictures(samplers.run(sampler, process.exact_gamma[steps], x, estimate, keys))

    def _estimate(
        self, x: Tensor, steps: Tensor, labels: Tensor | None = None, guidance: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """The averaged weights' estimate of x_0 (B, C, H, W), clipped, and :attr:`Output.fraction`."""
        prediction, fraction = self._output(self.ema, x, steps, labels)
        if labels is not None and guidance:  # the same for every prediction, each an affine function of any other
            unconditional = self._output(self.ema, x, steps, None).prediction
            prediction = (1 + guidance) * prediction - guidance * unconditional
        estimate = convert(prediction, x, self.process.gamma[steps], self.config.prediction, "x0")
        return estimate.clamp(-1, 1), fraction

    # Denoising

    def log_snr(self, t: Tensor) -> Tensor:
        return -self.process.exact_gamma.cpu()[self._step_at(t).cpu()]

    def denoise(self, x: Tensor, t: Tensor) -> Tensor:
        return self._output(self.ema, x, self._step_at(t), None).prediction

    def scaled(self, images: Tensor) -> Tensor:
        return 2 * images - 1

    def pictures(self, x: Tensor) -> Tensor:
        return (x / 2 + 0.5).clamp(0, 1)

    def _step_at(self, t: Tensor) -> Tensor:
        """The level (B,) nearest to times (B,) in [0, 1]."""
        return (t * (self.config.noise_steps - 1)).round().long()

    # Likelihood

    def nats_terms(self, images: Tensor, keys: Tensor) -> dict[str, Tensor]:
        """``prior``, ``diffusion`` and ``reconstruction``, (B,) each; the second from ``likelihood_steps`` levels, so
        that its mean over keys is the full sum."""
        return self._bound(images, keys, self.config.likelihood_steps)

    def full_nats_terms(self, images: Tensor, keys: Tensor) -> dict[str, Tensor]:
        return self._bound(images, keys, self.config.noise_steps - 1)

    def label_nats(self, images: Tensor, keys: Tensor, labels: Tensor) -> Tensor:
        terms = self._bound(images, keys, self.config.likelihood_steps, labels)
        return torch.stack(list(terms.values())).sum(dim=0)

    def _bound(self, images: Tensor, keys: Tensor, count: int, labels: Tensor | None = None) -> dict[str, Tensor]:
        x0, levels = on_grid(images, self.images.levels), self.images.levels
        return self.process.bound(x0, keys, count, levels, lambda x_t, steps: self._estimate(x_t, steps, labels))
