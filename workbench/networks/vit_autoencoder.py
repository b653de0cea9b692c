"""The ViT that MoCo v3 trains, as the encoder of an autoencoder, and its mirror as the decoder."""

from typing import Protocol

from torch import Tensor, nn

from workbench.networks.dit import unpatchify
from workbench.networks.vit import ViT, sincos_position


class Images(Protocol):
    """The part of an ``ImageSpec`` that is used."""

    @property
    def channels(self) -> int: ...
    @property
    def size(self) -> int: ...


class ViTEncoder(ViT):
    """Images (B, C, size, size) -> (B, out): a ViT, all of it trained, and a linear layer on its class token.

    Called ``ViTEncoder(images, width, depth, heads, patch, out)``. The parts whose gradients are monitored
    are ``patch_embed`` and ``blocks.0`` first, ``output`` last.

    Args:
        images: channels and side in pixels.
        width, depth, heads, patch: of the transformer, as in :class:`~workbench.networks.vit.ViT`.
        out: numbers that come out.

    Raises:
        WorkbenchError: sizes that do not fit.
    """

    def __init__(self, images: Images, width: int, depth: int, heads: int, patch: int, out: int) -> None:
        super().__init__(images.size, images.channels, patch, width, depth, heads, frozen_patch=False)
        self.output = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # has no masks
        return self.output(super().forward(x))

    def stages(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """The patches after each block, (B, width, rows, columns) each, and the output (B, out)."""
        tokens, stages = self.embed(x), []
        for block in self.blocks:
            tokens = block(tokens)
            stages.append(tokens[:, 1:].transpose(1, 2).unflatten(2, self.patch_embed.grid_size))
        return stages, self.output(self.norm(tokens)[:, 0])


class ViTDecoder(nn.Module):
    """Codes (B, latent_dim) -> images (B, channels_out, size, size), unbounded; the encoder's mirror.

    Called ``ViTDecoder(images, width, depth, heads, patch, latent_dim, channels_out)``. Every patch begins as its place
    in the position table plus one projection of the code; blocks and a norm follow, and a linear layer from each token
    to its pixels. The part whose gradients are monitored is ``output``.

    Raises:
        WorkbenchError: sizes that do not fit.
    """

    def __init__(
        self, images: Images, width: int, depth: int, heads: int, patch: int, latent_dim: int, channels_out: int
    ) -> None:
        super().__init__()
        mirrored, side = ViT(images.size, images.channels, patch, width, depth, heads), images.size // patch
        self.patch, self.channels_out = patch, channels_out
        self.code = nn.Linear(latent_dim, width)
        self.position: Tensor
        self.register_buffer("position", sincos_position(side, side, width)[:, 1:], persistent=False)
        self.blocks, self.norm = mirrored.blocks, mirrored.norm
        self.output = nn.Linear(width, patch**2 * channels_out)

    def forward(self, codes: Tensor) -> Tensor:
        tokens = self.position + self.code(codes)[:, None]
        for block in self.blocks:
            tokens = block(tokens)
        return unpatchify(self.output(self.norm(tokens)), self.patch, self.channels_out)
