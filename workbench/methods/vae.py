"""The variational autoencoder with one latent vector.

Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014 (arXiv 1312.6114); the learned observation noise is
the sigma-VAE of Rybkin et al. 2021 (arXiv 2006.13202). With x in [-1, 1] the loss is the negative evidence lower bound
in nats, summed over dimensions and averaged over images:

    -ELBO = -E_q(z|x)[ln p(x|z)] + beta KL( N(mu, diag s^2) || N(0, 1) )   (their equation 3, where beta is 1)

p(x|z) is an observation model of :mod:`workbench.probability.observation`, by default N(decoder(z), sigma^2). Beta is
that of Higgins et al. 2017; it may rise from 0 (``kl_warmup``), and each latent dimension may be given ``free_bits``
nats (Kingma et al. 2016). A class-conditional model gets the label y beside x and z (Sohn et al. 2015) and bounds
ln p(x) = ln sum_y p(x|y) / C.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from workbench.data import keyed
from workbench.errors import WorkbenchError
from workbench.methods.base import Batch, ImageSpec, Layer, Method, Step
from workbench.methods.capabilities import Conditional, Latent, Likelihood, Reconstructs, Samples, check_one_pass
from workbench.methods.configs.vae import VAEConfig
from workbench.networks.autoencoder import ConvDecoder, ConvEncoder
from workbench.networks.vit_autoencoder import ViTDecoder, ViTEncoder
from workbench.probability.latent import active_units, free_kl, gaussian_kls, importance_weighted_nats, kl_weight
from workbench.probability.observation import LIKELIHOOD_NOTE, SIGMA_SPEED, full, observation

LABEL_DROPOUT = 0.1  # part of the images whose label is withheld from a conditional model, so that it can do without
UNKNOWN = -1  # in the place of a label


class VAE(Method, Reconstructs, Samples, Likelihood, Conditional, Latent):
    """Encoder to a Gaussian posterior, decoder to an observation model of the pixels.

    Pixels are scaled to [-1, 1]. Features: ``posterior_mean`` (B, latent_dim); all layers are this and the encoder's
    stages (blocks of a ViT) before it, pooled. A class-conditional model encodes, reconstructs and decodes codes
    without a label, and samples the classes in turn.
    """

    default_feature = "posterior_mean"
    likelihood_kind: ClassVar[str] = "lower bound"
    likelihood_note = LIKELIHOOD_NOTE

    def __init__(self, config: VAEConfig, images: ImageSpec) -> None:
        super().__init__(config, images)
        self.config, self.images = config, images
        self.latent_groups = {"z": config.latent_dim}
        self.observation = observation(config.observation, images.channels, images.levels)
        if config.noise is not None and not self.observation.has_sigma:
            raise WorkbenchError(
                "--noise is the standard deviation of a gaussian observation, and --observation "
                f"{config.observation} has none; leave one of them out."
            )
        labels = self.label_count
        if config.conditional and not labels:
            raise WorkbenchError("A class-conditional VAE needs images with labels; leave out --conditional.")
        outputs, inputs = self.observation.outputs, config.latent_dim + labels
        inputs_spec = images._replace(channels=images.channels + labels)
        self.encoder: ConvEncoder | ViTEncoder
        self.decoder: ConvDecoder | ViTDecoder
        if config.network == "conv":
            self.encoder = ConvEncoder(inputs_spec.channels, images.size, config.width, 2 * config.latent_dim)
            self.decoder = ConvDecoder(outputs, images.size, config.width, inputs)
            self.first_block, self.last_block = "encoder.0", "decoder"
        else:
            size = (config.vit_width, config.depth, config.heads, config.patch)
            self.encoder = ViTEncoder(inputs_spec, *size, 2 * config.latent_dim)
            self.decoder = ViTDecoder(images, *size, inputs, outputs)
            self.first_block, self.last_block = "encoder.patch_embed", "decoder.output"
        if self.observation.has_sigma:
            start = torch.tensor(math.log(0.5 if config.noise is None else config.noise) / SIGMA_SPEED)
            self.scaled_log_sigma = nn.Parameter(start, requires_grad=config.noise is None)

    @property
    def log_sigma(self) -> Tensor:
        """ln of the observation noise's standard deviation, for pixels in [-1, 1]; 0 where the model has none."""
        return SIGMA_SPEED * self.scaled_log_sigma if self.observation.has_sigma else torch.zeros(())

    @property
    def label_count(self) -> int:
        return self.images.classes if self.config.conditional else 0

    def _one_hot(self, n: int, labels: Tensor | None, device: torch.device) -> Tensor:
        """(n, classes) of labels (n,); zeros where a label is unknown."""
        labels = torch.full((n,), UNKNOWN, device=device) if labels is None else labels
        return (labels[:, None] == torch.arange(self.label_count, device=device)).float()

    def _inputs(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """The encoder's input (B, C + classes, H, W): pixels in [-1, 1], and a plane of ones or zeros a class."""
        if not self.label_count:
            return 2 * images - 1
        planes = self._one_hot(len(images), labels, images.device).to(images.dtype)[:, :, None, None]
        return torch.cat([2 * images - 1, planes.expand(-1, -1, *images.shape[2:])], dim=1)

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """The decoder's output (B, outputs, H, W) for codes (B, latent_dim)."""
        if self.label_count:
            codes = torch.cat([codes, self._one_hot(len(codes), labels, codes.device).to(codes.dtype)], dim=1)
        return full(self.decoder(codes))

    def posterior(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, latent_dim) of q(z|x), or q(z|x, y), for images in [0, 1]."""
        mean, log_variance = full(self.encoder(self._inputs(images, labels))).chunk(2, dim=1)
        return mean, log_variance.clamp(-20, 10)

    def _noise(self, keys: Tensor, like: Tensor) -> Tensor:
        return keyed.normal(keys, self.config.latent_dim).to(like.dtype)

    def forward(self, batch: Batch, progress: float) -> Step:
        (images,), labels = batch.views, None
        if self.label_count:
            if batch.labels is None:
                raise WorkbenchError("The images of this batch have no labels; leave out --conditional.")
            dropped = keyed.uniform(keyed.fork(batch.keys, "label"), 1)[:, 0] < LABEL_DROPOUT
            labels = torch.where(dropped, UNKNOWN, batch.labels)
        mean, log_variance = self.posterior(images, labels)
        noise = self._noise(keyed.fork(batch.keys, "posterior"), mean)
        outputs = self._decode(mean + (0.5 * log_variance).exp() * noise, labels)
        with torch.autocast(images.device.type, enabled=False):
            reconstruction = self.observation.training_nats(images, outputs, self.log_sigma).mean()
            kls = gaussian_kls(mean, log_variance)
            charged = free_kl(kls, self.config.free_bits)
        weight = kl_weight(progress, self.config.kl_warmup, self.config.beta)
        logs = {
            "reconstruction_nats": reconstruction.detach(),
            "kl_nats": kls.detach().sum(dim=1).mean(),
            "active_units": active_units(mean.detach()),
        }
        if self.observation.has_sigma:
            logs["sigma"] = self.log_sigma.detach().exp()
        return Step(reconstruction + weight * charged, logs)

    def encode(self, images: Tensor, keys: Tensor | None = None) -> dict[str, Tensor]:
        return {"posterior_mean": self.posterior(images)[0]}

    def layers(self, images: Tensor, level: int | None = None) -> dict[Layer, Tensor]:
        stages, encoded = self.encoder.stages(self._inputs(images, None))
        place = "stage" if self.config.network == "conv" else "block"
        values = {
            Layer(f"{place}_{index}", f"{place}_{index}", index - 1): stage.mean(dim=(2, 3)).float()
            for index, stage in enumerate(stages, start=1)
        }
        mean = encoded.float().chunk(2, dim=1)[0]
        return values | {Layer("posterior_mean", "posterior_mean", len(stages), "vector"): mean}

    def codes(self, images: Tensor) -> Tensor:
        return self.posterior(images)[0]

    def latents(self, images: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.posterior(images)
        return mean, gaussian_kls(mean, log_variance)

    def decode(self, codes: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1], the mean of p(x|z) for codes (B, latent_dim)."""
        return self.observation.mean(self._decode(codes, None))

    def reconstruct(self, images: Tensor, keys: Tensor, default_only: bool = False) -> dict[str, Tensor]:
        return {"": self.decode(self.posterior(images)[0])}

    def sample(self, n: int, seed: int, steps: int | None = None, sampler: str | None = None) -> Tensor:
        """As in :class:`Samples`, in one pass; ``steps`` and ``sampler`` are refused."""
        check_one_pass(steps, sampler)
        numbers = torch.arange(n, device=next(self.parameters()).device)
        codes = keyed.normal(keyed.sample_keys(seed, 0, numbers), self.config.latent_dim)
        labels = numbers % self.label_count if self.label_count else None
        return self.observation.mean(self._decode(codes, labels))

    def nats_terms(self, images: Tensor, keys: Tensor) -> dict[str, Tensor]:
        """Terms ``reconstruction`` and ``kl`` (B,).

        A class-conditional model has one more, ``label``: for any q(y|x) the terms' means under q and KL(q || uniform)
        bound -ln sum_y p(x|y) / C. The best q is in proportion to exp(-nats of x given y); these are of noise of their
        own, since q of the terms' noise would prefer the labels that it favours, and bound nothing.
        """
        if not self.label_count:
            return self._terms(images, keys, None)
        labels = [torch.full_like(keys, label) for label in range(self.label_count)]
        nats = torch.stack([self.label_nats(images, keyed.fork(keys, "label"), label) for label in labels])
        log_q = (-nats).log_softmax(dim=0)
        per_label = [self._terms(images, keys, label) for label in labels]
        means = {
            name: (log_q.exp() * torch.stack([terms[name] for terms in per_label])).sum(dim=0) for name in per_label[0]
        }
        return means | {"label": (log_q.exp() * log_q).sum(dim=0) + math.log(self.label_count)}

    def label_nats(self, images: Tensor, keys: Tensor, labels: Tensor) -> Tensor:
        return torch.stack(list(self._terms(images, keys, labels).values())).sum(dim=0)

    def _terms(self, images: Tensor, keys: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """Reconstruction and KL (B,) of the bound on p(x|y), or on p(x) where labels are None."""
        mean, log_variance = self.posterior(images, labels)
        noise = self._noise(keyed.fork(keys, "posterior"), mean)
        outputs = self._decode(mean + (0.5 * log_variance).exp() * noise, labels)
        reconstruction = self.observation.mass_nats(images, outputs, self.log_sigma)
        return {"reconstruction": reconstruction, "kl": gaussian_kls(mean, log_variance).sum(dim=1)}

    def iwae_nats(self, images: Tensor, keys: Tensor, k: int) -> Tensor:
        """Burda et al. 2016, equation 8; of a class-conditional model with ``k`` samples for every label."""
        if not self.label_count:
            return self._importance_weighted(images, keys, k, None)
        labels = (torch.full_like(keys, label) for label in range(self.label_count))
        each = torch.stack([self._importance_weighted(images, keys, k, label) for label in labels])
        return math.log(self.label_count) - (-each).logsumexp(dim=0)

    def _importance_weighted(self, images: Tensor, keys: Tensor, k: int, labels: Tensor | None) -> Tensor:
        mean, log_variance = self.posterior(images, labels)
        keys = keyed.fork(keys, "importance")

        def log_weight(index: int) -> Tensor:
            """ln p(x|z) + ln p(z) - ln q(z|x) (B,), in which the normal densities' constants cancel."""
            noise = self._noise(keyed.fork(keys, index), mean)
            codes = mean + (0.5 * log_variance).exp() * noise
            log_ratio = 0.5 * (noise.square() + log_variance - codes.square()).sum(dim=1)
            return log_ratio - self.observation.mass_nats(images, self._decode(codes, labels), self.log_sigma)

        return importance_weighted_nats(log_weight, k)
