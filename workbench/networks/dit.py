"""The ViT that MoCo v3 trains, as the network of a diffusion model.

Depth, width, patch, heads, position table and initialisation are those of :mod:`workbench.networks.vit`. What diffusion
needs is added around the blocks: the noise level goes in, and every patch's token is projected back to its pixels by a
layer that starts at zero. The level goes in by adaptive normalisation (adaLN-Zero: shifts, scales and gates of every
block, which start at zero; Peebles and Xie, "Scalable Diffusion Models with Transformers", ICCV 2023, arXiv
2212.09748, section 3.2) or as a token (their "in-context conditioning"; U-ViT, Bao et al. 2023, arXiv 2209.12152),
which takes the class token's place and leaves the blocks as they are.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from workbench.networks.options import Conditioning, Token
from workbench.networks.vit import ViT

FREQUENCIES = 256  # of the sinusoidal embedding of the noise level


class Predicted(NamedTuple):
    """A diffusion network's output, as diffusers' networks give theirs."""

    sample: Tensor


class DiT(ViT):
    """Noised images (B, channels, size, size) and their noise levels -> predictions (B, channels_out, size, size).

    Args:
        size, channels: of the images.
        patch, width, depth, heads: of the transformer, as in :class:`~workbench.networks.vit.ViT`.
        channels_out: of the prediction; twice ``channels`` where variances are predicted, too.
        classes: labels 0 … classes - 1 that it accepts; ``classes`` itself stands for none. 0 without labels.
        conditioning: how noise level and label go in.

    Raises:
        WorkbenchError: sizes that do not fit.
    """

    def __init__(
        self,
        size: int,
        channels: int,
        patch: int,
        width: int,
        depth: int,
        heads: int,
        channels_out: int | None = None,
        classes: int = 0,
        conditioning: Conditioning = "adaptive",
    ) -> None:
        token: Token = "class" if conditioning == "token" else "mean"
        super().__init__(size, channels, patch, width, depth, heads, frozen_patch=False, token=token)
        self.patch, self.channels_out = patch, channels if channels_out is None else channels_out
        self.time = nn.Sequential(nn.Linear(FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        for layer in (self.time[0], self.time[2]):
            nn.init.normal_(layer.weight, std=0.02)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.label = nn.Embedding(classes + 1, width) if classes else None
        if self.label is not None:
            nn.init.normal_(self.label.weight, std=0.02)
        self.modulations = nn.ModuleList()
        self.final_modulation: nn.Linear | None = None
        if conditioning == "adaptive":
            self.modulations.extend(_zero_linear(width, 6 * width) for _ in range(depth))
            self.final_modulation = _zero_linear(width, 2 * width)
            self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.output = _zero_linear(width, patch**2 * self.channels_out)

    def forward(  # type: ignore[override]  # another network than timm's, of the same parts
        self, x: Tensor, timestep: Tensor | float, class_labels: Tensor | None = None
    ) -> Predicted:
        """The prediction.

        Args:
            x: (B, channels, size, size) in about [-1, 1].
            timestep: noise levels (B,), or one for all, on a scale of about 0 to 1000.
            class_labels: (B,) int64, for a network with classes.
        """
        condition = self._condition(x, timestep, class_labels)
        *_, tokens = self._walk(x, condition)
        if self.final_modulation is None:
            tokens = self.norm(tokens)[:, 1:]
        else:
            shift, scale = self.final_modulation(condition)[:, None].chunk(2, dim=2)
            tokens = self.norm(tokens) * (1 + scale) + shift
        return Predicted(unpatchify(self.output(tokens), self.patch, self.channels_out))

    def pooled(self, x: Tensor, timestep: Tensor | float, class_labels: Tensor | None = None) -> dict[str, Tensor]:
        """Patches (B, width) of the stem and of each block, averaged, in float32; arguments as in :meth:`forward`."""
        first = 0 if self.cls_token is None else 1
        walk = enumerate(self._walk(x, self._condition(x, timestep, class_labels)))
        names = ((f"block_{depth}" if depth else "stem", tokens) for depth, tokens in walk)
        return {name: tokens[:, first:].mean(dim=1).float() for name, tokens in names}

    def _walk(self, x: Tensor, condition: Tensor) -> Iterator[Tensor]:
        """Tokens (B, N, width) after the stem and after each block."""
        tokens = self.embed(x)
        if self.final_modulation is None:
            tokens = torch.cat([tokens[:, :1] + condition[:, None], tokens[:, 1:]], dim=1)
        yield tokens
        for index, block in enumerate(self.blocks):
            if self.final_modulation is None:
                tokens = self._run(block, tokens)
            else:
                tokens = self._modulated(block, tokens, self.modulations[index](condition))
            yield tokens

    def _condition(self, x: Tensor, timestep: Tensor | float, labels: Tensor | None) -> Tensor:
        """Noise level and label (B, width)."""
        steps = torch.as_tensor(timestep, device=x.device).expand(len(x))
        condition = self.time(get_timestep_embedding(steps, FREQUENCIES, flip_sin_to_cos=True, downscale_freq_shift=0))
        if self.label is not None:
            none = torch.full((len(x),), self.label.num_embeddings - 1, device=x.device)
            condition = condition + self.label(none if labels is None else labels)
        return nn.functional.silu(condition) if self.final_modulation is not None else condition

    def _modulated(self, block: Any, tokens: Tensor, modulation: Tensor) -> Tensor:
        if self.grad_checkpointing and torch.is_grad_enabled():
            return checkpoint(_adaptive, block, tokens, modulation, use_reentrant=False)  # type: ignore[no-any-return]
        return _adaptive(block, tokens, modulation)


def _zero_linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _adaptive(block: Any, tokens: Tensor, modulation: Tensor) -> Tensor:
    """timm's ``Block`` with shifts, scales and gates (B, 6 width) of tokens (B, N, width)."""
    shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = modulation[:, None].chunk(6, dim=2)
    tokens = tokens + gate_1 * block.attn(block.norm1(tokens) * (1 + scale_1) + shift_1)
    return tokens + gate_2 * block.mlp(block.norm2(tokens) * (1 + scale_2) + shift_2)


def unpatchify(tokens: Tensor, patch: int, channels: int) -> Tensor:
    """Pixels of square images (B, channels, side, side) from tokens (B, N, patch^2 channels), row by row."""
    side = round(tokens.shape[1] ** 0.5)
    pixels = tokens.unflatten(2, (patch, patch, channels)).unflatten(1, (side, side))
    return pixels.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)
