"""The folder of the runs: create, list and find runs. The format is in docs/run-format.md.

The directory is the source of truth. Writers rename complete files into place; readers survive any file that is
missing, truncated or foreign. No lock is needed, so it works on network file systems and survives ``kill -9``.
"""

import getpass
import os
import secrets
import shutil
import socket
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError, unknown
from workbench.files import decoded_names, read_array, read_json, safe_name, storage_error, write_json
from workbench.hints import command
from workbench.run import Directory, Run, now

FORMAT = 1
SPARKLINE = 40
SLOW_SECONDS = 0.001  # per run; reading slower ones one after the other takes too long
READERS = 32  # threads that read from a slow disk


class Probe(Directory):
    """The probe set of a data fingerprint: thumbnails, labels and factors that every run on the same data shares."""

    def info(self) -> dict[str, Any]:
        """``probe.json``, or ``{}``."""
        return read_json(self.path / "probe.json")

    def images(self) -> np.ndarray | None:
        """uint8 (n, H, W, C), or None."""
        return read_array(self.path / "images.npy")

    def labels(self) -> np.ndarray | None:
        """int64 (n,), or None if the data has no labels."""
        return read_array(self.path / "labels.npy")

    def ids(self) -> np.ndarray | None:
        """int64 (n,) stable sample ids."""
        return read_array(self.path / "ids.npy")

    def names(self) -> list[str] | None:
        """The n images' file names, relative to the data, or None if they have none."""
        names = read_array(self.path / "names.npy")
        return None if names is None else decoded_names(names)

    def factors(self) -> np.ndarray | None:
        """float32 (n, factors), or None; the names are in ``probe.json``."""
        return read_array(self.path / "factors.npy")


def probe_of(runs: Path, fingerprint: str) -> Probe:
    """The probe set of a data fingerprint in a runs folder, whether it exists or not."""
    return Probe(Path(runs) / ".probes" / safe_name(fingerprint))


def check_writable(runs: Path, option: str = "--runs") -> None:
    """Raise a WorkbenchError that names the folder's option unless runs can be created in the folder."""
    try:
        runs.mkdir(parents=True, exist_ok=True)
        test = runs / f".tmp-{secrets.token_hex(4)}"
        test.touch()
        test.unlink()
    except OSError as error:
        raise WorkbenchError(
            f"The runs folder {runs} cannot be written ({error.strerror}); choose another with {option}."
        ) from error


def create_run(runs: Path, config_text: str, info: Mapping[str, Any]) -> Run:
    """Create a run's directory, completely or not at all.

    Args:
        runs: the folder of the runs, created if missing.
        config_text: the content of ``config.yaml``.
        info: entries of ``run.json`` besides id, owner, host and time; needs ``method`` and ``data``.
    """
    check_writable(runs)
    data_name = safe_name(Path(info["data"]["name"]).stem)[:24] or "data"
    run_id = f"{datetime.now():%Y%m%d-%H%M%S}-{info['method']}-{data_name}-{_unused_end(runs)}"
    building = runs / f".tmp-{run_id}"
    try:
        for folder in ("checkpoints", "evaluations", "arrays", "images"):
            (building / folder).mkdir(parents=True)
        (building / "config.yaml").write_text(config_text, encoding="utf-8")
        identity = {"format": FORMAT, "id": run_id, "name": None, "owner": owner(), "host": socket.gethostname()}
        identity |= {"created": now(), "status": "running", "error": None}
        write_json(building / "run.json", identity | dict(info))
        os.rename(building, runs / run_id)
    except OSError as error:
        raise storage_error(error, runs / run_id) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)  # there only after a failure
    run = Run(runs / run_id)
    run.update_summary(pid=os.getpid(), group=run.seed_group())
    return run


def _unused_end(runs: Path) -> str:
    """Four characters in which no id of the folder ends, so that they name the run."""
    taken = {folder.name.rpartition("-")[2] for folder in _folders(runs)}
    while (end := secrets.token_hex(2 if len(taken) < 32_768 else 4)) in taken:
        pass
    return end


def owner() -> str:
    """The user's name, or number if the system has no name for it, as in some containers."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def list_runs(runs: Path) -> list[Run]:
    """All runs in a folder, newest first; a run has ``run.json``, ``summary.json`` or ``config.yaml``."""
    return [Run(folder) for folder in _folders(runs) if _is_run(folder)]


def list_summaries(runs: Path) -> list[dict[str, Any]]:
    """The summaries of all runs in a folder, newest first.

    Reads only ``summary.json`` and ``marks.json`` of each, many at a time if the disk is slow.
    """
    folders = _folders(runs)
    began = time.perf_counter()
    summaries = [_summary_or_none(folder) for folder in folders[:READERS]]
    rest = folders[READERS:]
    if rest and time.perf_counter() - began > READERS * SLOW_SECONDS:
        with ThreadPoolExecutor(READERS) as readers:
            summaries += readers.map(_summary_or_none, rest)
    else:  # threads would only slow one another down
        summaries += map(_summary_or_none, rest)
    return [summary for summary in summaries if summary is not None]


def _folders(runs: Path) -> list[Path]:
    try:
        with os.scandir(runs) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return []
    return [Path(runs, name) for name in sorted(names, reverse=True)]


def _is_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("run.json", "config.yaml", "summary.json"))


def _summary_or_none(folder: Path) -> dict[str, Any] | None:
    summary = Run(folder).summary()
    return summary if summary["status"] != "unreadable" or _is_run(folder) else None


def find_run(reference: str, runs: Path) -> Run:
    """The one run that a reference names, as in :func:`find_runs`.

    Raises:
        WorkbenchError: there is no such run, or there are several.
    """
    found = find_runs(reference, runs)
    if len(found) > 1:
        listed = ", ".join(run.id for run in found[:5]) + (" …" if len(found) > 5 else "")
        raise WorkbenchError(f'{len(found)} runs in {runs} are called "{reference}" ({listed}); give the id of one.')
    return found[0]


def find_runs(reference: str, runs: Path) -> list[Run]:
    """The runs that a reference names: a path, an id, the end of an id, a unique prefix of an id, or a name.

    Returns:
        one run, but of a name all runs that bear it, oldest first.

    Raises:
        WorkbenchError: there is no such run, or several ids begin or end in this way.
    """
    path = Path(reference)
    if (path / "run.json").exists():
        return [Run(path.resolve())]
    existing = list_runs(runs)
    for run in existing:
        if run.id == reference:
            return [run]
    names = {summary["id"]: summary.get("name") for summary in list_summaries(runs)}
    if named := [run for run in existing if names.get(run.id) == reference]:
        return named[::-1]
    matches = [run for run in existing if run.id.endswith(f"-{reference}")] if reference else []
    matches = matches or ([run for run in existing if run.id.startswith(reference)] if reference else [])
    if len(matches) == 1:
        return matches
    if matches:
        some = ", ".join(run.id for run in matches[:3])
        raise WorkbenchError(f'{len(matches)} runs in {runs} match "{reference}" ({some} …); give more of the id.')
    if not existing:
        raise WorkbenchError(
            f'There is no run "{reference}": the folder {runs} has no runs yet; '
            f"`{command('train', 'mocov3', runs=runs)}` makes one."
        )
    known = [run.id for run in existing[:20]] + [str(name) for name in names.values() if name]
    raise unknown("run", reference, known, str(runs))


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """By id, the four characters at its end, or the whole id where they are not unique or not set off by a hyphen."""
    ends = {run_id: run_id.rpartition("-")[2] for run_id in ids}
    counts = Counter(ends.values())
    return {run_id: end if len(end) == 4 and counts[end] == 1 else run_id for run_id, end in ends.items()}
