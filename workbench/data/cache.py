"""The cache of decoded images: uint8 arrays on disk that every process on the host memory-maps.

An entry is a folder of ``.npy`` files and a ``meta.json``. It is built under a temporary name and renamed when
complete, so an entry that exists is complete. A lock file lets one process build while the others wait.
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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from workbench.errors import WorkbenchError

FORMAT = 1
HEARTBEAT = 1.0  # seconds between two updates of a lock by the building process
STALE_AFTER = 30.0  # seconds without an update after which a lock is taken over
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
    """The cache entry for ``key``, built if it is missing; of several processes, one builds it.

    Args:
        root: the cache folder.
        name: a short name that makes the folder recognisable.
        key: everything that the content depends on, as JSON values.
        build: writes ``.npy`` files into the given folder and returns a JSON object.

    Raises:
        WorkbenchError: the folder cannot be written, or the disk is full.
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
                f"The cache folder {root} cannot be written ({error.strerror}); set $WORKBENCH_CACHE to another."
            ) from None
        raise


def _read(folder: Path) -> Entry | None:
    try:
        return Entry(folder, json.loads((folder / "meta.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a file cut short by a power failure
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
            entry = _read(folder)  # built by the process that took over the lock, or broken
            if entry is not None:
                return entry
            shutil.rmtree(folder)
            os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Entry(folder, meta)


@contextmanager
def _lock(path: Path, what: str, done: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock file while the body runs; wait for it while its owner lives and ``done`` is false."""
    started, announced = time.monotonic(), False
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
            if _is_abandoned(path):
                _remove_abandoned(path)
                continue
            if not announced and time.monotonic() - started > 2.0:
                print(f"Waiting for another process that is decoding {what} (its lock is {path}) ...", file=sys.stderr)
                announced = True
            time.sleep(_POLL)
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT):
            try:
                os.utime(path)
            except OSError:  # the build itself reports a broken disk; a lost lock only costs a second decoding
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        with suppress(FileNotFoundError):
            if path.read_text(encoding="utf-8") == mine:
                path.unlink(missing_ok=True)


def _remove_abandoned(path: Path) -> None:
    """Remove an abandoned lock; the rename succeeds for only one of several processes."""
    aside = path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}.stale")
    with suppress(FileNotFoundError):
        os.rename(path, aside)
        aside.unlink(missing_ok=True)


def _is_abandoned(path: Path) -> bool:
    """Whether the lock's owner is gone: its process has ended, or its heartbeat is old."""
    try:
        words = path.read_text(encoding="utf-8").split()
        silent = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return False
    if silent > STALE_AFTER:
        return True
    if len(words) != 3 or words[1] != socket.gethostname():
        return False
    return not psutil.pid_exists(int(words[0]))


class ArrayWriter:
    """Writes the rows of a uint8 ``.npy`` file in any order; rows that were never written are removed at the end.

    It uses plain writes: a full disk raises an error there, but kills a process with a writable memory map.
    """

    def __init__(self, path: Path, item_shape: tuple[int, ...], count: int) -> None:
        self.path, self.item_shape = path, item_shape
        self._digests = np.zeros(count, dtype=np.uint64)
        self._written = np.zeros(count, dtype=bool)
        self._file = open(path, "w+b")  # noqa: SIM115 (__exit__ closes it)
        self._offset = self._header(count)
        self._bytes = int(np.prod(item_shape))

    def _header(self, count: int) -> int:
        """Write the header, padded so that a smaller count has the same length, and return its length."""
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, *self.item_shape)}
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(self._file, header)
        return self._file.tell()

    def write(self, row: int, item: NDArray[np.uint8]) -> None:
        """Write one item of the writer's shape."""
        data = item.tobytes()
        self._file.seek(self._offset + row * self._bytes)
        self._file.write(data)
        self._digests[row] = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
        self._written[row] = True

    def __enter__(self) -> "ArrayWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def close(self) -> tuple[NDArray[np.int64], str]:
        """Complete the file; returns the rows (int64) that were written, in order, and a hash of their content."""
        (rows,) = np.nonzero(self._written)
        for new, old in enumerate(rows):
            if new != old:
                self._file.seek(self._offset + int(old) * self._bytes)
                data = self._file.read(self._bytes)
                self._file.seek(self._offset + new * self._bytes)
                self._file.write(data)
        self._header(len(rows))
        self._file.truncate(self._offset + len(rows) * self._bytes)
        self._file.close()
        return rows, hashlib.blake2b(self._digests[rows].tobytes(), digest_size=8).hexdigest()
