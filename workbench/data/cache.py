"""Decode once: uint8 arrays on disk that every process on the host maps into memory.

An entry is a folder of ``.npy`` files and a ``meta.json``. It is built under a temporary name and renamed when
complete, so an entry that exists is whole. A lock file lets one process build while the others wait for it.
"""

import errno
import hashlib
import json
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError

FORMAT = 1
HEARTBEAT = 1.0  # seconds between two signs of life of a building process
STALE_AFTER = 30.0  # seconds without one after which its lock is taken over
_POLL = 0.05


@dataclass(frozen=True)
class Entry:
    """A complete cache entry: its folder and the JSON object that its builder returned."""

    folder: Path
    meta: dict[str, Any]

    def array(self, name: str) -> NDArray[Any]:
        """An array of the entry, read-only and memory-mapped."""
        return np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """All arrays whose name starts with ``prefix``, by the rest of their name."""
        paths = sorted(self.folder.glob(f"{prefix}*.npy"))
        return {path.stem.removeprefix(prefix): self.array(path.stem) for path in paths}


def cache_root(option: Path | None) -> Path:
    """The cache folder: the given one, else $WORKBENCH_CACHE, else ~/.cache/workbench."""
    if option is not None:
        return option.expanduser()
    return Path(os.environ.get("WORKBENCH_CACHE") or "~/.cache/workbench").expanduser()


def stored(root: Path, name: str, key: Mapping[str, Any], build: Callable[[Path], dict[str, Any]]) -> Entry:
    """The cache entry for ``key``, built now if there is none; among processes that ask at once, one builds.

    Args:
        root: the cache folder.
        name: what the entry holds, in a few letters, for people who look into the folder.
        key: everything that the contents depend on, as JSON values.
        build: writes ``.npy`` files into the folder it is given and returns a JSON object.

    Raises:
        WorkbenchError: the folder cannot be written to, or the disk is full.
    """
    text = json.dumps({"format": FORMAT, **key}, sort_keys=True)
    folder = root / "decoded" / f"{name}-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
    entry = _read(folder)
    if entry is not None:
        return entry
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _lock(folder.with_suffix(".lock"), what=name, done=lambda: _read(folder) is not None):
            entry = _read(folder)
            return entry if entry is not None else _build(folder, build)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise WorkbenchError(
                f"The disk of the cache folder {root} is full; free some space or set $WORKBENCH_CACHE to another disk."
            ) from None
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
            raise WorkbenchError(
                f"The cache folder {root} cannot be written to ({error.strerror}); set $WORKBENCH_CACHE to another."
            ) from None
        raise


def _read(folder: Path) -> Entry | None:
    try:
        return Entry(folder, json.loads((folder / "meta.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last after a loss of power
        return None


def _build(folder: Path, build: Callable[[Path], dict[str, Any]]) -> Entry:
    temporary = folder.with_name(f".{folder.name}.{socket.gethostname()}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        meta = build(temporary)
        with open(temporary / "meta.json", "w", encoding="utf-8") as file:
            json.dump(meta, file)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.rename(temporary, folder)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            entry = _read(folder)  # whole, if this process was held up and its lock taken over, or broken
            if entry is not None:
                return entry
            shutil.rmtree(folder)
            os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Entry(folder, meta)


@contextmanager
def _lock(path: Path, what: str, done: Callable[[], bool]) -> Iterator[None]:
    """Holds the lock file while the body runs; waits for it as long as its owner lives and ``done`` is false."""
    started, told = time.monotonic(), False
    mine = f"{os.getpid()} {socket.gethostname()} {time.time_ns()}"
    while True:
        try:
            with open(path, "x", encoding="utf-8") as file:
                file.write(mine)
            break
        except FileExistsError:
            if done():
                yield
                return
            if _abandoned(path):
                _take_away(path)
                continue
            if not told and time.monotonic() - started > 2.0:
                print(f"Waiting for another process that is decoding {what} (its lock is {path}) ...", file=sys.stderr)
                told = True
            time.sleep(_POLL)
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT):
            try:
                os.utime(path)
            except OSError:  # the build reports what is wrong with the disk; a lost lock costs a second decoding
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        try:
            if path.read_text(encoding="utf-8") == mine:
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            pass


def _take_away(path: Path) -> None:
    """Removes an abandoned lock; of several processes that see it, the rename lets one succeed."""
    aside = path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}.stale")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    aside.unlink(missing_ok=True)


def _abandoned(path: Path) -> bool:
    """Whether the lock's owner is gone: its process on this host, or its heartbeat."""
    try:
        words = path.read_text(encoding="utf-8").split()
        silent = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return False
    if silent > STALE_AFTER:
        return True
    if len(words) != 3 or words[1] != socket.gethostname():
        return False
    try:
        os.kill(int(words[0]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


class ArrayWriter:
    """Writes the rows of a uint8 ``.npy`` file in any order; rows that never come are closed up at the end.

    Plain writes, because a full disk is an error there and a killed process with a writable memory map.
    """

    def __init__(self, path: Path, item_shape: tuple[int, ...], count: int) -> None:
        self.path, self.item_shape = path, item_shape
        self._digests = np.zeros(count, dtype=np.uint64)
        self._there = np.zeros(count, dtype=bool)
        self._file = open(path, "w+b")  # noqa: SIM115 (__exit__ closes it)
        self._offset = self._header(count)
        self._bytes = int(np.prod(item_shape))

    def _header(self, count: int) -> int:
        """Writes the header, padded so that a smaller count takes as much room, and returns its length."""
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, *self.item_shape)}
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(self._file, header)
        return self._file.tell()

    def write(self, row: int, item: NDArray[np.uint8]) -> None:
        """Writes one item of the writer's shape."""
        data = item.tobytes()
        self._file.seek(self._offset + row * self._bytes)
        self._file.write(data)
        self._digests[row] = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
        self._there[row] = True

    def __enter__(self) -> "ArrayWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def close(self) -> tuple[NDArray[np.int64], str]:
        """Completes the file: the rows (int64) that came, in order, and a hash of their contents."""
        (kept,) = np.nonzero(self._there)
        for new, old in enumerate(kept):
            if new != old:
                self._file.seek(self._offset + int(old) * self._bytes)
                data = self._file.read(self._bytes)
                self._file.seek(self._offset + new * self._bytes)
                self._file.write(data)
        self._header(len(kept))
        self._file.truncate(self._offset + len(kept) * self._bytes)
        self._file.close()
        return kept, hashlib.blake2b(self._digests[kept].tobytes(), digest_size=8).hexdigest()
