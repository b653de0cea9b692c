"""What the directory of a run holds: checkpoints, files with their sizes, and the end of the log."""

import os
from dataclasses import dataclass
from pathlib import Path

from workbench.run import LOG, Run

LINES = 20
TAIL = 32_768
"""Bytes of the log that are read."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint: its step, its size in bytes, and whether the monitor's reading was best there."""

    step: int
    size: int
    best: bool


@dataclass(frozen=True)
class Entry:
    """A file of the run, or a folder with the number of files and the bytes in it."""

    name: str
    files: int
    size: int


def log_tail(run: Run, lines: int = LINES) -> list[str]:
    """The last lines of ``log.txt``, the oldest first; none where there is no log."""
    try:
        with open(run.path / LOG, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - TAIL))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return text.splitlines()[-lines:]


def checkpoints(run: Run) -> list[Checkpoint]:
    """The checkpoints, the last first."""
    best = run.checkpoint("best")
    folders = sorted((run.path / "checkpoints").glob("step-*"), reverse=True)
    steps = [(folder, folder.name.removeprefix("step-")) for folder in folders if folder.is_dir()]
    return [Checkpoint(int(step), _size(folder)[1], folder == best) for folder, step in steps if step.isdecimal()]


def contents(run: Run) -> list[Entry]:
    """Files and folders, the largest first."""
    try:
        paths = list(run.path.iterdir())
    except OSError:
        return []
    found = [Entry(path.name + "/" * path.is_dir(), *_size(path)) for path in paths]
    return sorted(found, key=lambda entry: (-entry.size, entry.name))


def size_text(size: int) -> str:
    """A size in bytes in its largest unit: 950 B, 12.3 kB, 4.56 MB."""
    for unit, bytes_ in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= bytes_:
            return f"{size / bytes_:.3g} {unit}"
    return f"{size} B"


def _size(path: Path) -> tuple[int, int]:
    """Files and bytes of a file or a folder; what vanishes meanwhile is left out."""
    files = size = 0
    for file in [path] if path.is_file() else path.rglob("*"):
        try:
            if file.is_file():
                files, size = files + 1, size + file.stat().st_size
        except OSError:
            continue
    return files, size
