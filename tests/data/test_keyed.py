import math

import numpy as np
import torch

from workbench.data import hashing, keyed


def splitmix64(state: int, n: int) -> list[int]:
    """The published generator in whole numbers of any length."""
    outputs = []
    for _ in range(n):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        outputs.append(z ^ (z >> 31))
    return outputs


def unsigned(numbers: torch.Tensor) -> list[int]:
    return [int(number) % 2**64 for number in numbers]


def test_the_published_sequence_of_splitmix64():
    assert splitmix64(1234567, 3) == [6457827717110365317, 3203168211198807973, 9817491932198370423]
    for key in (1234567, 0, -1, 2**63 - 1, -(2**63)):
        assert unsigned(keyed.bits(torch.tensor([key]), 8)[0]) == splitmix64(key % 2**64, 8)


def test_numpy_and_torch_hash_alike():
    numbers = np.arange(-50, 50, dtype=np.int64) * 10**15
    assert unsigned(keyed.mix(torch.from_numpy(numbers))) == [int(number) for number in hashing.mix(numbers)]


def test_uniform_moments_and_range():
    numbers = keyed.uniform(keyed.sample_keys(0, 0, torch.arange(1000)), 500).double()
    assert numbers.min() >= 0 and numbers.max() < 1
    assert abs(numbers.mean() - 0.5) < 0.002 and abs(numbers.var() - 1 / 12) < 0.001


def test_normal_moments_and_odd_shapes():
    numbers = keyed.normal(keyed.sample_keys(0, 0, torch.arange(1000)), 3, 13, 13).double()
    assert numbers.shape == (1000, 3, 13, 13) and numbers.isfinite().all()
    assert abs(numbers.mean()) < 0.01 and abs(numbers.std() - 1) < 0.01
    assert abs((numbers**3).mean()) < 0.03 and abs((numbers**4).mean() - 3) < 0.06


def test_keys_and_streams_are_independent():
    keys = keyed.sample_keys(0, 0, torch.arange(400))
    rows = [keys, keyed.fork(keys, 0), keyed.fork(keys, 1), keyed.fork(keys, "noise")]
    rows += [keyed.sample_keys(seed, epoch, torch.arange(400)) for seed, epoch in ((0, 1), (1, 0))]
    together = torch.cat([keyed.normal(row, 256) for row in rows]).double()
    correlation = torch.corrcoef(together) - torch.eye(len(together))
    assert correlation.abs().max() < 6 / math.sqrt(256)
    assert abs(correlation.mean()) < 1e-3
    assert len(set(torch.cat(rows).tolist())) == 2400


def test_neither_order_nor_batch_matters():
    ids = torch.tensor([7, 3, 10**9 + 5, 2])
    keys = keyed.sample_keys(5, 2, ids)
    assert torch.equal(keyed.normal(keys, 5).flip(0), keyed.normal(keyed.sample_keys(5, 2, ids.flip(0)), 5))
    assert torch.equal(keyed.uniform(keys[2:3], 9)[:, :4], keyed.uniform(keys, 4)[2:3])
    assert torch.equal(keyed.fork(keys, "a")[1:2], keyed.fork(keys[1:2], "a"))


def test_integers_are_uniform():
    counts = torch.bincount(keyed.integers(keyed.sample_keys(0, 0, torch.arange(70_000)), 7), minlength=7)
    assert len(counts) == 7 and (counts - 10_000).abs().max() < 500


def test_permutation_is_one_and_changes_with_seed_and_epoch():
    order = keyed.permutation(0, 0, 1000)
    assert torch.equal(order.sort().values, torch.arange(1000))
    for other in (keyed.permutation(0, 1, 1000), keyed.permutation(1, 0, 1000)):
        assert (order == other).sum() < 20
    assert torch.equal(order, keyed.permutation(0, 0, 1000))


def test_numbers_are_mixed_as_tensors_are():
    numbers = [0, 1, -1, 2**63 - 1, -(2**63), 0x9E3779B97F4A7C15 - 2**64]
    mixed = keyed.mix(torch.tensor(numbers)).tolist()
    assert [hashing.mix_number(number) for number in numbers] == [number % 2**64 for number in mixed]
