from collections.abc import Generator

import numpy as np
import pytest
import torch

from workbench.data.datasets import Split
from workbench.data.loader import Images, Loader, free_memory, ordered
from workbench.errors import WorkbenchError


def split(n: int = 103, size: int = 4, labelled: bool = True) -> Split:
    generator = np.random.default_rng(0)
    return Split(
        images=generator.integers(0, 256, (n, size, size, 3), dtype=np.uint8),
        labels=np.arange(n, dtype=np.int64) % 5 if labelled else None,
        factors=None,
        ids=np.arange(n, dtype=np.int64) + 1000,
    )


def same(a: Images, b: Images) -> bool:
    assert a.labels is not None and b.labels is not None
    return torch.equal(a.images, b.images) and torch.equal(a.ids, b.ids) and torch.equal(a.labels, b.labels)


def test_an_epoch_shows_every_image_once_and_drops_the_rest():
    data = split()
    loader = Loader(data, 20, seed=0)
    batches = list(loader.epoch(0))
    assert len(batches) == loader.steps_per_epoch == 5
    ids = torch.cat([batch.ids for batch in batches])
    assert len(set(ids.tolist())) == 100
    for images, batch_ids, labels in batches:
        rows = (batch_ids - 1000).numpy()
        assert images.dtype == torch.uint8 and images.shape == (20, 3, 4, 4) and images.is_contiguous()
        assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), data.images[rows])
        assert labels is not None and np.array_equal(labels.numpy(), rows % 5)
    assert not torch.equal(batches[0].ids, next(loader.epoch(1)).ids)


def test_streamed_batches_equal_resident_ones_with_a_budget_of_10_mb(tmp_path):
    data = split(4000, 32)
    np.save(tmp_path / "images.npy", data.images)
    mapped = Split(np.load(tmp_path / "images.npy", mmap_mode="r"), data.labels, None, data.ids)
    assert data.images.nbytes > 10**7
    whole, streamed = Loader(mapped, 128, seed=3), Loader(mapped, 128, seed=3, memory_mb=10)
    assert whole.resident and not streamed.resident
    assert all(same(a, b) for a, b in zip(whole.epoch(2), streamed.epoch(2), strict=True))


@pytest.mark.parametrize("memory_mb", [None, 0])
def test_starting_in_the_middle_of_an_epoch(memory_mb: int | None):
    loader = Loader(split(), 20, seed=0, memory_mb=memory_mb)
    rest = list(loader.epoch(1))[3:]
    assert all(same(a, b) for a, b in zip(loader.epoch(1, start_step=3), rest, strict=True))
    assert list(loader.epoch(1, start_step=5)) == []


@pytest.mark.parametrize("memory_mb", [None, 0])
def test_processes_share_each_batch(memory_mb: int | None):
    whole = Loader(split(), 20, seed=0).epoch(0)
    ranks = [Loader(split(), 20, seed=0, memory_mb=memory_mb, rank=rank, world=4).epoch(0) for rank in range(4)]
    for batch, *shares in zip(whole, *ranks, strict=True):
        assert torch.equal(batch.images, torch.cat([share.images for share in shares]))


def test_a_streamed_epoch_may_be_left_early():
    epoch = Loader(split(), 2, seed=0, memory_mb=0).epoch(0)
    next(epoch)
    assert isinstance(epoch, Generator)
    epoch.close()


def test_errors_of_reading_reach_the_reader():
    data = split()
    loader = Loader(data, 20, seed=0, memory_mb=0)
    loader.split = Split(data.images[:5], data.labels, None, data.ids)
    with pytest.raises(IndexError):
        list(loader.epoch(0))


def test_ordered_drops_nothing():
    batches = list(ordered(split(labelled=False), 50))
    assert [len(batch.ids) for batch in batches] == [50, 50, 3]
    assert torch.cat([batch.ids for batch in batches]).tolist() == list(range(1000, 1103))
    assert batches[0].labels is None and batches[0].images.shape == (50, 3, 4, 4)


def test_impossible_batches():
    with pytest.raises(WorkbenchError, match="batch size 104 is larger than the 103 training images"):
        Loader(split(), 104, seed=0)
    with pytest.raises(WorkbenchError, match="at least 1"):
        Loader(split(), 0, seed=0)
    with pytest.raises(WorkbenchError, match="divided among 3 processes"):
        Loader(split(), 20, seed=0, world=3)


def test_free_memory_is_a_sensible_number():
    assert 10**7 < free_memory(torch.device("cpu")) < 10**14


def test_a_container_has_less_memory_than_its_host(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("workbench.data.loader._CGROUP", tmp_path)
    (tmp_path / "memory.current").write_text("300000\n")
    (tmp_path / "memory.max").write_text("1000000\n")
    assert free_memory(torch.device("cpu")) == 700_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(torch.device("cpu")) > 10**7
