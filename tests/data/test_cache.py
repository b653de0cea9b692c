import errno
import json
import multiprocessing
import os
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from workbench.data import cache
from workbench.data.cache import ArrayWriter, cache_root, stored
from workbench.errors import WorkbenchError


def build_slowly(folder: Path) -> dict[str, int]:
    with open(folder.parent / "builds", "a") as file:
        file.write("one\n")
    time.sleep(0.5)
    np.save(folder / "x.npy", np.arange(3))
    return {"answer": 42}


def ask(root: Path) -> None:
    entry = stored(root, "slow", {"a": 1}, build_slowly)
    assert entry.array("x").tolist() == [0, 1, 2] and entry.meta == {"answer": 42}


def test_processes_that_start_at_once_build_once(tmp_path: Path):
    spawn = multiprocessing.get_context("fork")
    processes = [spawn.Process(target=ask, args=(tmp_path,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (tmp_path / "decoded" / "builds").read_text() == "one\n"
    assert not list((tmp_path / "decoded").glob("*.lock*"))


def test_another_key_is_another_entry(tmp_path: Path):
    first = stored(tmp_path, "x", {"a": 1}, lambda folder: {"n": 1})
    assert stored(tmp_path, "x", {"a": 2}, lambda folder: {"n": 2}).meta == {"n": 2}
    assert stored(tmp_path, "x", {"a": 1}, lambda folder: {"n": 3}).meta == first.meta == {"n": 1}


def lock_of(root: Path, name: str, key: dict[str, int]) -> Path:
    entry = stored(root / "elsewhere", name, key, lambda folder: {})
    folder = root / "decoded"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{entry.folder.name}.lock"


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path):
    dead = multiprocessing.get_context("fork").Process(target=int)
    dead.start()
    dead.join()
    lock_of(tmp_path, "x", {"a": 1}).write_text(f"{dead.pid} {socket.gethostname()} 0")
    assert stored(tmp_path, "x", {"a": 1}, lambda folder: {"n": 1}).meta == {"n": 1}


def test_a_lock_without_heartbeat_is_taken_over(tmp_path: Path):
    lock = lock_of(tmp_path, "x", {"a": 1})
    lock.write_text("1 another-host 0")
    os.utime(lock, (0, 0))
    assert stored(tmp_path, "x", {"a": 1}, lambda folder: {"n": 1}).meta == {"n": 1}
    assert not list((tmp_path / "decoded").glob("*.lock*"))


def test_a_waiting_process_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    lock = lock_of(tmp_path, "cats", {"a": 1})
    lock.write_text("1 another-host 0")
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr(cache.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(cache.time, "sleep", lambda seconds: os.utime(lock, (0, 0)))
    stored(tmp_path, "cats", {"a": 1}, lambda folder: {})
    assert "Waiting for another process that is decoding cats" in capsys.readouterr().err


def test_a_full_disk_is_one_clear_sentence_and_leaves_nothing(tmp_path: Path):
    def build(folder: Path) -> dict[str, int]:
        (folder / "half.npy").write_bytes(b"0" * 100)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(WorkbenchError, match=r"disk of the cache folder .* is full"):
        stored(tmp_path, "x", {"a": 1}, build)
    assert list((tmp_path / "decoded").iterdir()) == []


def test_an_unwritable_folder_names_the_variable(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkbenchError, match=r"cannot be written .*\$WORKBENCH_CACHE"):
        stored(tmp_path / "file", "x", {"a": 1}, lambda folder: {})


def test_other_errors_pass_and_leave_nothing(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        stored(tmp_path, "x", {"a": 1}, lambda folder: json.loads((folder / "missing").read_text()))
    assert list((tmp_path / "decoded").iterdir()) == []


def test_the_folder_is_the_option_then_the_variable_then_the_home(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORKBENCH_CACHE", "/elsewhere")
    assert cache_root(Path("/here")) == Path("/here") and cache_root(None) == Path("/elsewhere")
    monkeypatch.delenv("WORKBENCH_CACHE")
    assert cache_root(None) == Path.home() / ".cache" / "workbench"


def test_rows_are_written_in_any_order_and_gaps_are_closed(tmp_path: Path):
    items = np.random.default_rng(0).integers(0, 256, (1200, 2, 3), dtype=np.uint8)
    digests = []
    for order in (range(1200), reversed(range(1200))):
        writer = ArrayWriter(tmp_path / "x.npy", (2, 3), 1200)
        for row in order:
            if row % 7:
                writer.write(row, items[row])
        kept, digest = writer.close()
        digests.append(digest)
        assert kept.tolist() == [row for row in range(1200) if row % 7]
        assert np.array_equal(np.load(tmp_path / "x.npy", mmap_mode="r"), items[kept])
    assert digests[0] == digests[1]


def test_a_build_that_was_overtaken_takes_the_other_ones_entry(tmp_path: Path):
    """As after a pause so long that another process took the lock over."""

    def overtaken(folder: Path) -> dict[str, int]:
        whole = tmp_path / "decoded" / folder.name.split(".")[1]
        whole.mkdir()
        (whole / "meta.json").write_text('{"n": 2}')
        return {"n": 1}

    assert stored(tmp_path, "x", {"a": 1}, overtaken).meta == {"n": 2}


def test_an_entry_that_a_loss_of_power_left_broken_is_built_again(tmp_path: Path):
    entry = stored(tmp_path, "x", {"a": 1}, lambda folder: {"n": 1})
    (entry.folder / "meta.json").write_text('{"n"')
    assert stored(tmp_path, "x", {"a": 1}, lambda folder: {"n": 3}).meta == {"n": 3}
    assert stored(tmp_path, "x", {"a": 1}, lambda folder: {"n": 4}).meta == {"n": 3}
