"""The vision transformer as MoCo v3 trains it: timm's, with a fixed position table and MoCo v3's initialisation."""

import math
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from workbench.errors import WorkbenchError
from workbench.networks.options import MLPNorm, Position, Stem, Token


class ConvStem(nn.Module):
    """Stride-two 3x3 convolutions in place of the patch projection (Xiao et al. 2021, section 4).

    Images (B, C, H, W) -> tokens (B, (H / patch_size)(W / patch_size), embed_dim). The signature is that of timm's
    ``embed_layer``.
    """

    def __init__(self, img_size: int, patch_size: int, in_chans: int, embed_dim: int, **_: object) -> None:
        super().__init__()
        stages = int(math.log2(patch_size))
        if 2**stages != patch_size:
            wanted = f"a patch size that is a power of two, not {patch_size}"
            raise WorkbenchError(f"A conv stem needs {wanted}; choose another --patch.")
        widths = [in_chans, *[max(embed_dim // 2 ** (stages - i), 16) for i in range(1, stages + 1)]]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.proj = nn.Sequential(*layers, nn.Conv2d(widths[-1], embed_dim, 1))
        self.patch_size = (patch_size, patch_size)
        self.grid_size = (img_size // patch_size, img_size // patch_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images).flatten(2).transpose(1, 2)


class TokenBatchNorm(nn.BatchNorm1d):
    """BatchNorm of tokens (B, N, D) over images and tokens, for ViT-BN."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.flatten(0, 1)).view(input.shape)


class ViT(VisionTransformer):
    """timm's vision transformer without classifier, initialised as in MoCo v3.

    :meth:`forward` computes only what its output needs: where the last block's output is read at the class token alone,
    its query, attention, projection and MLP are computed for that one token: the same numbers and gradients as timm's,
    for the price of about one block less.

    Args:
        size, channels: of the images (B, channels, size, size).
        patch: side of a patch in pixels; must divide ``size``.
        width, depth, heads: of the transformer; ``width`` must be a multiple of 4 and of ``heads``.
        stem: a linear patch projection, or convolutions.
        frozen_patch: leave the random patch projection untrained (MoCo v3, section 4.1); a conv stem is always trained.
        position: the fixed sine-cosine table, a learned one, or none (section 4.3, "position embedding").
        token: what stands for the image: a class token, or the mean of the patches, then without class token and final
            norm (section 4.3, "class token").
        mlp_norm: of the MLP blocks: LayerNorm, or BatchNorm, which makes a ViT-BN (section 5, "ViT-BN").

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
        stem: Stem = "patch",
        frozen_patch: bool = True,
        position: Position = "sincos",
        token: Token = "class",
        mlp_norm: MLPNorm = "layer",
    ) -> None:
        if size % patch:
            fitting = [p for p in range(1, size + 1) if size % p == 0]
            raise WorkbenchError(
                f"Images of {size} px cannot be cut into patches of {patch} px; choose --patch from {fitting} "
                "or another --data.image-size."
            )
        if width % heads or width % 4:
            raise WorkbenchError(f"--width {width} must be a multiple of 4 and of --heads {heads}.")
        super().__init__(
            img_size=size,
            patch_size=patch,
            in_chans=channels,
            num_classes=0,
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            weight_init="skip",
            embed_layer=ConvStem if stem == "conv" else PatchEmbed,
            class_token=token == "class",
            global_pool="token" if token == "class" else "avg",
            final_norm=token == "class",
            fc_norm=False,
            pos_embed="none" if position == "none" else "learn",
        )
        if mlp_norm == "batch":
            for block in self.blocks:
                block.norm2 = TokenBatchNorm(width)
        initialise(self)
        if position == "learned":
            assert isinstance(self.pos_embed, nn.Parameter)
            nn.init.trunc_normal_(self.pos_embed, std=0.02)  # timm leaves it empty, as its other weights
        if position == "sincos":
            assert isinstance(self.pos_embed, nn.Parameter)
            side = math.isqrt(self.patch_embed.num_patches)
            with torch.no_grad():
                self.pos_embed.copy_(sincos_position(side, side, width)[:, int(token == "mean") :])
            self.pos_embed.requires_grad_(False)
        if stem == "patch" and frozen_patch:
            self.patch_embed.requires_grad_(False)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """Class tokens, or the mean of the patches' (B, embed_dim), of images (B, C, H, W); masks are not supported."""
        x = self.embed(x)
        *blocks, last = self.blocks
        for block in blocks:
            x = self._run(block, x)
        if self.cls_token is None:
            return self.norm(self._run(last, x)).mean(dim=1)
        if isinstance(last.norm2, TokenBatchNorm):  # whose statistics are those of all tokens
            return self.norm(self._run(last, x)[:, 0])
        return self.norm(_first_token(last, x))

    def embed(self, x: Tensor) -> Tensor:
        """The tokens (B, N, embed_dim) before the first block."""
        return self.norm_pre(self.patch_drop(self._pos_embed(self.patch_embed(x))))

    def _run(self, block: nn.Module, x: Tensor) -> Tensor:
        if self.grad_checkpointing and torch.is_grad_enabled():
            return checkpoint(block, x, use_reentrant=False)  # type: ignore[no-any-return]
        return block(x)


def _first_token(block: Any, x: Tensor) -> Tensor:
    """timm's ``Block`` for the first of its tokens alone: (B, N, D) -> (B, D)."""
    attention, dim = block.attn, x.shape[2]
    (query_weight, pair_weight), (query_bias, pair_bias) = (
        parameter.split([dim, 2 * dim]) for parameter in (attention.qkv.weight, attention.qkv.bias)
    )
    normed = block.norm1(x)
    query = F.linear(normed[:, :1], query_weight, query_bias)
    key, value = F.linear(normed, pair_weight, pair_bias).chunk(2, dim=2)
    query, key, value = (part.unflatten(2, (attention.num_heads, -1)).transpose(1, 2) for part in (query, key, value))
    attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(1)
    token = x[:, 0] + attention.proj(attended)
    return token + block.mlp(block.norm2(token))


def sincos_position(width: int, height: int, dim: int, temperature: float = 10_000.0) -> Tensor:
    """The fixed 2-D sine-cosine position table, (1, 1 + width height, dim); the class token's row is zero.

    Source: MoCo v3, section 4; the layout is that of the authors' code, so that weights are interchangeable.
    """
    columns, rows = torch.meshgrid(torch.arange(width).float(), torch.arange(height).float(), indexing="ij")
    frequency = temperature ** -(torch.arange(dim // 4).float() / (dim // 4))
    x, y = columns.flatten()[:, None] * frequency, rows.flatten()[:, None] * frequency
    table = torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], dim=1)
    return torch.cat([torch.zeros(1, dim), table])[None]


def initialise(model: VisionTransformer) -> None:
    """MoCo v3's initialisation: Xavier-uniform linear layers with q, k and v as three matrices, zero biases,
    class token with standard deviation 1e-6, patch projection uniform as one linear layer."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            if name.endswith("qkv"):
                bound = math.sqrt(6.0 / (module.weight.shape[0] // 3 + module.weight.shape[1]))
                nn.init.uniform_(module.weight, -bound, bound)
            else:
                nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    if model.cls_token is not None:
        nn.init.normal_(model.cls_token, std=1e-6)
    projection = model.patch_embed.proj
    if isinstance(projection, nn.Conv2d):
        inputs = projection.in_channels * math.prod(projection.kernel_size)
        bound = math.sqrt(6.0 / (inputs + model.embed_dim))
        nn.init.uniform_(projection.weight, -bound, bound)
        assert projection.bias is not None
        nn.init.zeros_(projection.bias)
