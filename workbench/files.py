"""Robust reading and writing of the run directory's JSON files and arrays.

Writers rename complete files into place; readers survive any file that is missing, truncated or foreign.
"""

import errno
import json
import os
import re
import secrets
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.hints import command


@contextmanager
def replacing(path: Path, mode: str = "wb", within: Path | None = None) -> Iterator[IO[Any]]:
    """Write a file under a temporary name and rename it into place, so that readers see all of it or none.

    Args:
        within: a run's directory, above ``path``: folders are only created below it, so that a process that still
            works on a deleted run does not recreate a part of it. By default all missing folders are created.

    Raises:
        WorkbenchError: the disk is full, the folder cannot be written, or ``within`` is gone.
    """
    temporary = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
    try:
        if within is None:
            path.parent.mkdir(parents=True, exist_ok=True)
        else:  # one level at a time: the run may be deleted meanwhile
            for folder in reversed([folder for folder in path.parents if within in folder.parents]):
                folder.mkdir(exist_ok=True)
        with open(temporary, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):  # fails where a folder of the path is a file
            temporary.unlink(missing_ok=True)
        raise storage_error(error, path, within) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def storage_error(error: OSError, path: Path, within: Path | None = None) -> WorkbenchError:
    """The WorkbenchError for a failed write; ``within`` as in :func:`replacing`."""
    if within is not None and not within.is_dir():
        return WorkbenchError(
            f"The run {within.name} is gone: it was moved or deleted meanwhile, so {path.name} was not written; "
            f"if it is in the trash, `{command('trash', '--restore', within.name, runs=within.parent)}` restores it."
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "run the same command again"
        if within is not None:
            remedy = f"continue with `{command('resume', within.name, runs=within.parent)}`"
        return WorkbenchError(f"No space left on the disk of {path.parent}; free some, then {remedy}.")
    return WorkbenchError(f"Cannot write {path}: {error.strerror or error}; choose another place.")


def write_json(path: Path, content: Any, within: Path | None = None) -> None:
    """Write JSON completely or not at all; NumPy numbers and arrays are allowed, NaN and infinity become null.

    ``within`` as in :func:`replacing`.
    """
    with replacing(path, "w", within) as file:
        json.dump(plain(content), file, indent=1, ensure_ascii=False)


def plain(value: Any) -> Any:
    """A value for JSON: NumPy numbers and arrays become plain ones, NaN and infinity null, paths text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, or ``{}`` if the file is missing, broken or not an object."""
    try:
        with open(path, "rb", buffering=0) as file:
            content = json.loads(file.read())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_array(path: Path, array: np.ndarray, within: Path | None = None) -> None:
    """Write an array as ``.npy``, completely or not at all; ``within`` as in :func:`replacing`."""
    with replacing(path, within=within) as file:
        np.save(file, array, allow_pickle=False)


def read_array(path: Path) -> np.ndarray | None:
    """An array, memory-mapped, or None if it is missing or broken.

    Without a ``.npy``, the entry ``array`` of an ``.npz`` beside it is read: the example runs are compressed.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, EOFError):
        return None
    try:
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as compressed:
            return compressed["array"]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None


def encoded_names(names: Sequence[str]) -> np.ndarray:
    """Names as an array (n,) of bytes, which can be stored and memory-mapped; see :func:`decoded_names`."""
    return np.array([os.fsencode(name) for name in names], dtype=np.bytes_)


def decoded_names(names: np.ndarray) -> list[str]:
    """The inverse of :func:`encoded_names`; bytes that are no UTF-8 are replaced."""
    return [name.decode("utf-8", "replace") for name in np.asarray(names).tolist()]


def safe_name(name: str) -> str:
    """A name for use in file names: characters outside ``[A-Za-z0-9=._-]`` become ``_``."""
    return re.sub(r"[^A-Za-z0-9=._-]", "_", name)
