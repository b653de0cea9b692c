"""Randomness as a function of (seed, epoch, sample id): without state, so neither order nor a resume changes it.

A key is one 64-bit number per sample. The random numbers of a key are the outputs of the SplitMix64 generator (Steele,
Lea & Flood, OOPSLA 2014) that starts at the key: output i is ``mix(key + (i + 1) * GAMMA)``, which is a few int64
tensor operations for a whole batch, on any device.

    keys = sample_keys(seed=0, epoch=3, ids=ids)      # (B,)
    noise = normal(fork(keys, "noise"), 3, 32, 32)    # (B, 3, 32, 32)
"""

import math

import torch
from torch import Tensor

from workbench.data.hashing import GAMMA, MIX_1, MIX_2, mix_number, text_hash


def _signed(number: int) -> int:
    """A 64-bit number as torch's int64 holds it."""
    return (number + 2**63) % 2**64 - 2**63


_GAMMA, _MIX_1, _MIX_2 = _signed(GAMMA), _signed(MIX_1), _signed(MIX_2)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical right shift: torch's is arithmetic on int64, so the sign bits are masked off."""
    return (z >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def mix(z: Tensor) -> Tensor:
    """SplitMix64's finaliser, a bijection on int64; any shape."""
    z = (z ^ _shift(z, 30)).mul_(_MIX_1)
    z = z.bitwise_xor_(_shift(z, 27)).mul_(_MIX_2)
    return z.bitwise_xor_(_shift(z, 31))


def bits(keys: Tensor, n: int) -> Tensor:
    """The first ``n`` outputs (B, n) int64 of each key's SplitMix64 generator."""
    counter = torch.arange(1, n + 1, device=keys.device, dtype=torch.int64).mul_(_GAMMA)
    return mix(keys[:, None] + counter)


def sample_keys(seed: int, epoch: int, ids: Tensor) -> Tensor:
    """Keys (B,) int64 of samples by their stable ids (B,) int64."""
    return mix(ids + _signed(mix_number(mix_number(seed) + epoch)))


def fork(keys: Tensor, stream: int | str) -> Tensor:
    """Keys (B,) of an independent stream; the same keys and stream give the same numbers."""
    number = text_hash(stream) if isinstance(stream, str) else stream
    return mix(keys ^ _signed(mix_number(number + GAMMA)))


def uniform(keys: Tensor, *shape: int) -> Tensor:
    """Uniform numbers (B, *shape) float32 in [0, 1), with 24 bits."""
    number = _shift(bits(keys, math.prod(shape)), 40).to(torch.float32)
    return number.mul_(2.0**-24).view(len(keys), *shape)


def normal(keys: Tensor, *shape: int) -> Tensor:
    """Standard normal numbers (B, *shape) float32, finite (at most 6.7), by Box and Muller's transform."""
    n = math.prod(shape)
    number = bits(keys, (n + 1) // 2)  # each gives a pair: the high half the radius, the low half the angle
    radius = _shift(number, 32).add_(1).to(torch.float32).mul_(2.0**-32).log_().mul_(-2.0).sqrt_()
    angle = number.bitwise_and_(0xFFFFFFFF).to(torch.float32).mul_(2.0 * math.pi * 2.0**-32)
    pairs = torch.stack((radius * angle.cos(), radius * angle.sin()), dim=-1)
    return pairs.flatten(1)[:, :n].reshape(len(keys), *shape)


def integers(keys: Tensor, high: int) -> Tensor:
    """Whole numbers (B,) int64, uniform over 0 … high - 1, for ``high`` up to 2**31."""
    return _shift(bits(keys, 1)[:, 0], 33).mul_(high) >> 31


def permutation(seed: int, epoch: int, n: int) -> Tensor:
    """A random order (n,) int64 of 0 … n - 1 on the CPU, one for each seed and epoch."""
    keys = sample_keys(seed, epoch, torch.arange(n))
    return torch.argsort(fork(keys, "order"), stable=True)


def content_keys(images: Tensor) -> Tensor:
    """Keys (B,) int64 of float images (B, …) in [0, 1] by their pixels, rounded to 8 bits: equal images, equal keys."""
    levels = (images.flatten(1) * 255).round().long()
    place = torch.arange(levels.shape[1], device=images.device)
    return mix(mix(levels + 256 * place).sum(dim=1))
