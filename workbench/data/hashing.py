"""Stable hashes of numbers and text, with numpy only.

They decide what must be the same on every machine and for every seed: the validation split, the probe set, the
generated images. The function is SplitMix64's (Steele, Lea & Flood, "Fast
splittable pseudorandom number generators", OOPSLA 2014).
"""

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

GAMMA = 0x9E3779B97F4A7C15  # 2**64 / golden ratio, odd: the generator's increment
MIX_1 = 0xBF58476D1CE4E5B9
MIX_2 = 0x94D049BB133111EB


def mix(numbers: NDArray[np.int64] | NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: a well-mixing bijection on 64-bit numbers; any shape."""
    z = numbers.astype(np.uint64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(MIX_1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(MIX_2)
    return z ^ (z >> np.uint64(31))


def mix_number(number: int) -> int:
    """:func:`mix` of one Python number, modulo 2**64."""
    z = number % 2**64
    z = ((z ^ (z >> 30)) * MIX_1) % 2**64
    z = ((z ^ (z >> 27)) * MIX_2) % 2**64
    return z ^ (z >> 31)


@lru_cache(maxsize=256)
def text_hash(text: str) -> int:
    """A signed 64-bit hash of a text, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def hash_ids(ids: NDArray[np.int64], salt: str) -> NDArray[np.uint64]:
    """Hashes (N,) of sample ids; another salt gives an independent order."""
    return mix(mix(ids) + np.uint64(text_hash(salt) % 2**64))


def uniform(seed: int, n: int) -> NDArray[np.float64]:
    """``n`` uniform numbers in [0, 1): the SplitMix64 generator's outputs from ``seed``, with 53 bits."""
    state = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(GAMMA) + np.uint64(seed)
    return (mix(state) >> np.uint64(11)).astype(np.float64) * 2.0**-53
