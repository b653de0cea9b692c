"""The hierarchical variational autoencoder: groups of latent variables at several resolutions.

Sønderby et al., "Ladder Variational Autoencoders", NeurIPS 2016 (arXiv 1602.02282): a deterministic way up, and one way
down that prior and posterior share. Vahdat and Kautz, "NVAE", NeurIPS 2020 (arXiv 2007.03898): the posterior is
relative to the prior. Group 1 is the coarsest; each has the side of the image halved once less than the one before:

    p(z) = prod_l p(z_l | z_<l),   q(z|x) = prod_l q(z_l | z_<l, x)
    p(z_l | z_<l) = N(m, s^2),     q(z_l | z_<l, x) = N(m + s d, s^2 r)      (NVAE, section 3.2)
    -ELBO = -E_q[ln p(x|z)] + sum_l E_q KL(q_l || p_l),   KL(q_l || p_l) = sum 1/2 (d^2 + r - 1 - ln r)

so that e_l = (z_l - m) / s has the prior N(0, 1) and the posterior N(d, r): e is the code. A group whose posterior is
its prior (d = 0, r = 1) carries no information on the image. Against that, the KL terms' weight rises from 0
(Sønderby et al., section 2.2), and each group has free bits of its own (Kingma et al. 2016).
"""

import math
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.data import keyed
from workbench.errors import WorkbenchError
from workbench.methods.base import Batch, ImageSpec, Layer, Method, Step
from workbench.methods.capabilities import Latent, Likelihood, Reconstructs, Samples, check_one_pass
from workbench.methods.configs.hvae import HVAEConfig
from workbench.networks.autoencoder import Residual, checked_width
from workbench.probability.latent import active_units, free_kl, gaussian_kls, importance_weighted_nats, kl_weight
from workbench.probability.observation import LIKELIHOOD_NOTE, SIGMA_SPEED, full, observation

NORM_GROUPS = 4  # of channels; two or more of them in each, since the coarsest side may be a single pixel
POOLED = 4  # positions a side that a group's features are averaged to
LOG_VARIANCE = 6.0  # bound of the prior's and, relative to it, of the posterior's: beyond it exp() takes over training


class Group(NamedTuple):
    """One group of latent variables of a batch: mean d and log-variance ln r (B, D_l) of its code's posterior."""

    mean: Tensor
    log_variance: Tensor


class _Down(nn.Module):
    """One resolution of the way down: state (B, width, side, side) -> prior, posterior and the state with z."""

    def __init__(self, width: int, latent_channels: int, blocks: int, first: bool) -> None:
        super().__init__()
        self.prior = None if first else nn.Conv2d(width, 2 * latent_channels, 1)  # the first one's is N(0, 1)
        last = nn.Conv2d(width, 2 * latent_channels, 1)
        assert last.bias is not None
        nn.init.normal_(last.weight, std=0.05 / width**0.5)  # training starts near the prior
        nn.init.zeros_(last.bias)
        self.posterior = nn.Sequential(nn.Conv2d(2 * width, width, 1), *_chain(width, 1), last)
        self.latent = nn.Conv2d(latent_channels, width, 1)
        self.after = nn.Sequential(*_chain(width, blocks))

    def posterior_of(self, state: Tensor, bottom_up: Tensor) -> Group:
        """The posterior of e, from the state and the features of the way up, (B, width, side, side) each."""
        mean, log_variance = full(self.posterior(torch.cat([state, bottom_up], dim=1))).flatten(2).chunk(2, dim=1)
        bound = LOG_VARIANCE
        return Group(mean.flatten(1), (bound * (log_variance / bound).tanh()).flatten(1))

    def forward(self, state: Tensor, code: Tensor) -> Tensor:
        """The state with z = m + s e for e (B, D_l)."""
        z = code.unflatten(1, (-1, *state.shape[2:]))
        if self.prior is not None:
            mean, log_variance = full(self.prior(state)).chunk(2, dim=1)
            z = mean + (0.5 * LOG_VARIANCE * (log_variance / LOG_VARIANCE).tanh()).exp() * z
        return self.after(state + self.latent(z.to(state.dtype)))


class HVAE(Method, Reconstructs, Samples, Likelihood, Latent):
    """Way up, way down with groups of latent variables, and an observation model of the pixels.

    Pixels are scaled to [-1, 1]. Features: ``z_1``, ``z_2`` … (B, D), the groups' posterior means, averaged to at most
    4 x 4 positions, of which the finest stands for the model; all layers are these and the stages of the way up before
    them, pooled.
    """

    likelihood_kind: ClassVar[str] = "lower bound"
    likelihood_note = LIKELIHOOD_NOTE
    first_block, last_block = "up.0", "output"

    def __init__(self, config: HVAEConfig, images: ImageSpec) -> None:
        super().__init__(config, images)
        self.config, self.images = config, images
        self.sides = [images.size // 2**halved for halved in range(config.groups, 0, -1)]  # of groups 1, 2, …
        if self.sides[0] < 1:
            raise WorkbenchError(
                f"Images of {images.size} px cannot be halved {config.groups} times; --groups is at most "
                f"{int(math.log2(images.size))} for them."
            )
        channels = config.latent_channels
        self.latent_groups = {f"z_{number}": channels * side**2 for number, side in enumerate(self.sides, start=1)}
        self.default_feature = f"z_{config.groups}"
        self.observation = observation(config.observation, images.channels, images.levels)
        width, blocks = checked_width(config.width), config.blocks
        self.stem = nn.Conv2d(images.channels, width, 3, padding=1)
        self.up = nn.ModuleList(  # finest first
            nn.Sequential(nn.Conv2d(width, width, 4, stride=2, padding=1), *_chain(width, blocks))
            for side in self.sides[::-1]
        )
        self.start = nn.Parameter(torch.zeros(1, width, self.sides[0], self.sides[0]))
        self.down = nn.ModuleList(  # coarsest first
            _Down(width, config.latent_channels, blocks, first=number == 0) for number in range(config.groups)
        )
        self.output = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            *_chain(width, blocks),
            nn.GroupNorm(NORM_GROUPS, width),
            nn.SiLU(),
            nn.Conv2d(width, self.observation.outputs, 3, padding=1),
        )
        if self.observation.has_sigma:
            self.scaled_log_sigma = nn.Parameter(torch.tensor(math.log(0.5) / SIGMA_SPEED))

    @property
    def log_sigma(self) -> Tensor:
        """ln of a Gaussian observation's standard deviation, for pixels in [-1, 1]; 0 where the model has none."""
        return SIGMA_SPEED * self.scaled_log_sigma if self.observation.has_sigma else torch.zeros(())

    def _bottom_up(self, images: Tensor) -> list[Tensor]:
        """Features of the way up at each group's resolution, (B, width, side, side), coarsest first."""
        x, features = self.stem(2 * images - 1), []
        for stage in self.up:
            x = stage(x)
            features.append(x)
        return features[::-1]

    def _noise(self, keys: Tensor) -> list[Tensor]:
        """Standard normal numbers (B, D_l) for each group."""
        return [keyed.normal(keyed.fork(keys, name), dims) for name, dims in self.latent_groups.items()]

    def _top_down(
        self, bottom_up: list[Tensor], noise: list[Tensor] | None
    ) -> tuple[list[Group], list[Tensor], Tensor]:
        """Posteriors and codes (B, D_l) of each group, and the state after them; without noise codes are means."""
        groups, codes = [], []
        state = self.start.repeat(len(bottom_up[0]), 1, 1, 1)
        for number, (part, here) in enumerate(zip(self.down, bottom_up, strict=True)):
            assert isinstance(part, _Down)
            state = _resized(state, self.sides[number])
            group = part.posterior_of(state, here)
            code = group.mean
            if noise is not None:
                code = code + (0.5 * group.log_variance).exp() * noise[number].to(code.dtype)
            state = part(state, code)
            groups.append(group)
            codes.append(code)
        return groups, codes, state

    def _output(self, state: Tensor) -> Tensor:
        return full(self.output(_resized(state, self.images.size)))

    def forward(self, batch: Batch, progress: float) -> Step:
        (images,) = batch.views
        groups, _, state = self._top_down(self._bottom_up(images), self._noise(keyed.fork(batch.keys, "posterior")))
        outputs = self._output(state)
        with torch.autocast(images.device.type, enabled=False):
            reconstruction = self.observation.training_nats(images, outputs, self.log_sigma).mean()
            kls = [gaussian_kls(*group) for group in groups]
            of_groups = torch.stack([of_group.sum(dim=1) for of_group in kls], dim=1)
            charged = free_kl(of_groups, self.config.free_bits)
        logs = {"reconstruction_nats": reconstruction.detach()}
        for number, (group, of_group) in enumerate(zip(groups, kls, strict=True), start=1):
            logs[f"kl_{number}_nats"] = of_group.detach().sum(dim=1).mean()
            logs[f"active_units_{number}"] = active_units(group.mean.detach())
        if self.observation.has_sigma:
            logs["sigma"] = self.log_sigma.detach().exp()
        return Step(reconstruction + kl_weight(progress, self.config.kl_warmup) * charged, logs)

    def encode(self, images: Tensor, keys: Tensor | None = None) -> dict[str, Tensor]:
        return self._means(self._bottom_up(images))

    def layers(self, images: Tensor, level: int | None = None) -> dict[Layer, Tensor]:
        bottom_up = self._bottom_up(images)
        stages = {
            Layer(f"stage_{index}", f"stage_{index}", index - 1): stage.mean(dim=(2, 3)).float()
            for index, stage in enumerate(bottom_up[::-1], start=1)
        }
        means = self._means(bottom_up).items()
        return stages | {Layer(name, name, len(bottom_up) + i, "vector"): mean for i, (name, mean) in enumerate(means)}

    def _means(self, bottom_up: list[Tensor]) -> dict[str, Tensor]:
        """Posterior means of each group, where those before it have theirs, averaged to at most 4 x 4 positions."""
        groups, _, _ = self._top_down(bottom_up, None)
        return {
            name: F.adaptive_avg_pool2d(group.mean.unflatten(1, (-1, side, side)), min(side, POOLED)).flatten(1).float()
            for (name, side, group) in zip(self.latent_groups, self.sides, groups, strict=True)
        }

    def codes(self, images: Tensor) -> Tensor:
        return torch.cat(self._top_down(self._bottom_up(images), None)[1], dim=1)

    def latents(self, images: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        groups, _, _ = self._top_down(self._bottom_up(images), self._noise(keyed.fork(keys, "posterior")))
        kls = [gaussian_kls(*group) for group in groups]
        return torch.cat([group.mean for group in groups], dim=1), torch.cat(kls, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1], the mean of p(x|z), for codes e (B, D) of all groups, coarsest first."""
        state = self.start.repeat(len(codes), 1, 1, 1)
        groups = codes.split(list(self.latent_groups.values()), dim=1)
        for side, part, code in zip(self.sides, self.down, groups, strict=True):
            state = part(_resized(state, side), code)
        return self.observation.mean(self._output(state))

    def reconstruct(self, images: Tensor, keys: Tensor, default_only: bool = False) -> dict[str, Tensor]:
        return {"": self.observation.mean(self._output(self._top_down(self._bottom_up(images), None)[2]))}

    def sample(self, n: int, seed: int, steps: int | None = None, sampler: str | None = None) -> Tensor:
        """As in :class:`Samples`, in one pass; ``steps`` and ``sampler`` are refused."""
        check_one_pass(steps, sampler)
        keys = keyed.sample_keys(seed, 0, torch.arange(n, device=self.start.device))
        return self.decode(torch.cat(self._noise(keys), dim=1))

    def nats_terms(self, images: Tensor, keys: Tensor) -> dict[str, Tensor]:
        """Terms ``reconstruction`` and, for each group, ``kl_1`` (the coarsest), ``kl_2`` … (B,)."""
        groups, _, state = self._top_down(self._bottom_up(images), self._noise(keyed.fork(keys, "posterior")))
        outputs = self._output(state)
        terms = {"reconstruction": self.observation.mass_nats(images, outputs, self.log_sigma)}
        kls = {f"kl_{number}": gaussian_kls(*group).sum(dim=1) for number, group in enumerate(groups, start=1)}
        return terms | kls

    def iwae_nats(self, images: Tensor, keys: Tensor, k: int) -> Tensor:
        keys, bottom_up = keyed.fork(keys, "importance"), self._bottom_up(images)

        def log_weight(index: int) -> Tensor:
            """ln p(x|z) + ln p(e) - ln q(e|x) (B,); z and e differ by the same change of variables in both."""
            noise = self._noise(keyed.fork(keys, index))
            groups, codes, state = self._top_down(bottom_up, noise)
            ratios = [
                0.5 * (own.square() + group.log_variance - code.square()).sum(dim=1)
                for own, group, code in zip(noise, groups, codes, strict=True)
            ]
            nats = self.observation.mass_nats(images, self._output(state), self.log_sigma)
            return torch.stack(ratios).sum(dim=0) - nats

        return importance_weighted_nats(log_weight, k)


def _chain(width: int, blocks: int) -> list[nn.Module]:
    return [Residual(width, NORM_GROUPS) for _ in range(blocks)]


def _resized(state: Tensor, side: int) -> Tensor:
    """The state (B, width, side, side) at another resolution."""
    return state if state.shape[-1] == side else F.interpolate(state, size=(side, side), mode="nearest")
