"""The variational autoencoder with one latent vector and a Gaussian decoder.

Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014 (arXiv 1312.6114); the learned observation noise is
the sigma-VAE of Rybkin et al. 2021 (arXiv 2006.13202). With x in [-1, 1] the loss is the negative evidence lower bound
in nats, summed over dimensions and averaged over images:

    -ELBO = -E_q(z|x)[ln N(x; decoder(z), sigma^2)] + KL( N(mu, diag s^2) || N(0, 1) )   (their equation 3)
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from workbench.config import Probability, Range, TrainConfig
from workbench.data import keyed
from workbench.data.augment import Augmentation, plain
from workbench.methods.base import Batch, ImageSpec, Layer, Likelihood, Method, Reconstructs, Samples, Step
from workbench.networks.autoencoder import ConvDecoder, ConvEncoder

LOG_2PI = math.log(2 * math.pi)
SIGMA_SPEED = 20.0  # Adam moves a parameter by about the learning rate a step: too slow for one that spans decades


@dataclass(frozen=True, kw_only=True)
class VAEConfig(TrainConfig):
    """The VAE's own options."""

    latent_dim: Annotated[int, Range(1)] = 128
    """Dimensions of the latent vector."""
    width: Annotated[int, Range(1)] = 64
    """Channels of the first layer, a multiple of 8; deeper ones have up to four times as many."""
    beta: Annotated[float, Range(0)] = 1.0
    """Weight of the KL term; only 1 gives a bound on the likelihood."""
    noise: Annotated[float | None, Range(above=0)] = None
    """Standard deviation of the observation noise for pixels in [-1, 1]; learned by default."""
    flip: Probability = 0.0
    """Probability of a horizontal flip."""

    @classmethod
    def presets(cls, size: int) -> dict[str, dict[str, Any]]:
        return {
            "cpu": {
                "latent_dim": 32 if size >= 16 else 8,
                "width": 16,
                "epochs": 20,
                "batch_size": 128,
                "optim.lr": 1e-3,
                "optim.scale_lr": False,
                "optim.weight_decay": 0.0,
                "optim.warmup_epochs": 0.5,
                "optim.clip": 100.0,
            },
            "published": {
                "epochs": 200,
                "batch_size": 256,
                "optim.lr": 1e-3,
                "optim.scale_lr": False,
                "optim.weight_decay": 0.0,
                "optim.warmup_epochs": 5.0,
                "optim.clip": 100.0,
            },
        }


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) in nats, summed over dimensions: (B, D) -> (B,).

    Source: Kingma and Welling, appendix B.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(dim=1)


def gaussian_nll(x: Tensor, mean: Tensor, log_sigma: Tensor) -> Tensor:
    """-ln N(x; mean, sigma^2) in nats, summed over all dimensions but the first: (B, …) -> (B,)."""
    return (0.5 * ((x - mean) / log_sigma.exp()).square() + log_sigma + 0.5 * LOG_2PI).flatten(1).sum(dim=1)


def discretised_gaussian_nll(x: Tensor, mean: Tensor, log_sigma: Tensor, levels: int = 256) -> Tensor:
    """-ln of the mass that N(mean, sigma^2) gives to the pixel's bin, in nats, summed: (B, …) -> (B,).

    ``x`` in [-1, 1] on a grid of ``levels`` values; the outer bins are open (Ho et al. 2020, equation 13).
    """
    device = x.device
    if device.type == "mps":  # has no double precision
        x, mean, log_sigma = x.cpu(), mean.cpu(), log_sigma.cpu()
    half, normal = 1.0 / (levels - 1), torch.distributions.Normal(0.0, 1.0)
    upper = torch.where(x > 1 - half, torch.inf, (x + half - mean) / log_sigma.exp())
    lower = torch.where(x < -1 + half, -torch.inf, (x - half - mean) / log_sigma.exp())
    swap = lower > 0  # both in the upper tail, where differences of the distribution function cancel
    upper, lower = torch.where(swap, -lower, upper), torch.where(swap, -upper, lower)
    mass = (normal.cdf(upper.double()) - normal.cdf(lower.double())).clamp_min(1e-300)
    return -mass.log().flatten(1).sum(dim=1).float().to(device)


class VAE(Method, Reconstructs, Samples, Likelihood):
    """Encoder to a Gaussian posterior, decoder to a Gaussian over pixels.

    Features: ``posterior_mean`` (B, latent_dim); all layers are this and the encoder's stages before it, pooled.
    """

    default_feature = "posterior_mean"
    likelihood_kind: ClassVar[str] = "lower bound"
    likelihood_note: ClassVar[str] = (
        "Pixels are scaled to [-1, 1]; the mass of a level is the observation model's integral over its bin, the outer "
        "bins being open; nothing is dequantised."
    )
    first_block, last_block = "encoder.0", "decoder"

    def __init__(self, config: VAEConfig, images: ImageSpec) -> None:
        super().__init__(config, images)
        self.config, self.images = config, images
        self.encoder = ConvEncoder(images.channels, images.size, config.width, 2 * config.latent_dim)
        self.decoder = ConvDecoder(images.channels, images.size, config.width, config.latent_dim)
        start = torch.tensor(math.log(0.5 if config.noise is None else config.noise) / SIGMA_SPEED)
        self.scaled_log_sigma = nn.Parameter(start, requires_grad=config.noise is None)

    @classmethod
    def augmentations(cls, config: VAEConfig, images: ImageSpec) -> tuple[Augmentation, ...]:
        return (plain(images.size, config.flip),)

    @property
    def log_sigma(self) -> Tensor:
        """ln of the observation noise's standard deviation, for pixels in [-1, 1]."""
        return SIGMA_SPEED * self.scaled_log_sigma

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, latent_dim) of q(z|x) for images in [0, 1]."""
        mean, log_variance = self.encoder(2 * images - 1).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-20, 10)

    def forward(self, batch: Batch, progress: float) -> Step:
        (images,) = batch.views
        mean, log_variance = self.posterior(images)
        noise = keyed.normal(keyed.fork(batch.keys, "posterior"), self.config.latent_dim)
        drawn = self.decoder(mean + (0.5 * log_variance).exp() * noise).float()
        reconstruction = gaussian_nll(2 * images - 1, drawn, self.log_sigma).mean()
        kl = gaussian_kl(mean, log_variance).mean()
        logs = {
            "reconstruction_nats": reconstruction.detach(),
            "kl_nats": kl.detach(),
            "sigma": self.log_sigma.detach().exp(),
        }
        return Step(reconstruction + self.config.beta * kl, logs)

    def encode(self, images: Tensor, keys: Tensor | None = None) -> dict[str, Tensor]:
        return {"posterior_mean": self.posterior(images)[0]}

    def layers(self, images: Tensor, level: int | None = None) -> dict[Layer, Tensor]:
        stages, encoded = self.encoder.stages(2 * images - 1)
        found = {
            Layer(f"stage_{index}", f"stage_{index}", index - 1): stage.mean(dim=(2, 3)).float()
            for index, stage in enumerate(stages, start=1)
        }
        mean = encoded.float().chunk(2, dim=1)[0]
        return found | {Layer("posterior_mean", "posterior_mean", len(stages), "vector"): mean}

    def decode(self, codes: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1], the mean of p(x|z) for codes (B, latent_dim)."""
        return (self.decoder(codes).float() / 2 + 0.5).clamp(0, 1)

    def reconstruct(self, images: Tensor, keys: Tensor, default_only: bool = False) -> dict[str, Tensor]:
        return {"": self.decode(self.posterior(images)[0])}

    def sample(self, n: int, seed: int, steps: int | None = None, sampler: str | None = None) -> Tensor:
        device = self.log_sigma.device
        keys = keyed.sample_keys(seed, 0, torch.arange(n, device=device))
        return self.decode(keyed.normal(keys, self.config.latent_dim))

    def nats_terms(self, images: Tensor, keys: Tensor) -> dict[str, Tensor]:
        mean, log_variance = self.posterior(images)
        noise = keyed.normal(keyed.fork(keys, "posterior"), self.config.latent_dim)
        drawn = self.decoder(mean + (0.5 * log_variance).exp() * noise).float()
        reconstruction = discretised_gaussian_nll(2 * images - 1, drawn, self.log_sigma, self.images.levels)
        return {"reconstruction": reconstruction, "kl": gaussian_kl(mean, log_variance)}
