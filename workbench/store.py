"""The folder of the runs: create, list, find. The format is in docs/run-format.md.

The directory is the truth. Writers rename whole files into place; readers survive any file that is missing,
truncated or foreign. No lock is needed, so it works on network file systems and outlives ``kill -9``.
"""

import getpass
import os
import secrets
import shutil
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError, unknown
from workbench.files import read_array, read_json, replacing, safe_name, storage_error, write_array, write_json
from workbench.run import Directory, Run, now

__all__ = [
    "Probe",
    "Run",
    "create_run",
    "find_run",
    "list_runs",
    "list_summaries",
    "now",
    "probe_of",
    "read_array",
    "read_json",
    "replacing",
    "safe_name",
    "storage_error",
    "write_array",
    "write_json",
]
FORMAT = 1
SPARKLINE = 40
SLOW_SECONDS = 0.001  # a run, from which on reading them one after the other would keep people waiting
READERS = 32  # threads that wait for a slow disk at once


class Probe(Directory):
    """The probe set of a data fingerprint: thumbnails, labels and factors that every run on the same data shares."""

    def info(self) -> dict[str, Any]:
        """``probe.json``, or ``{}``."""
        return read_json(self.path / "probe.json")

    def images(self) -> np.ndarray | None:
        """uint8 (n, H, W, C), or None."""
        return read_array(self.path / "images.npy")

    def labels(self) -> np.ndarray | None:
        """int64 (n,), or None where the data has no labels."""
        return read_array(self.path / "labels.npy")

    def ids(self) -> np.ndarray | None:
        """int64 (n,) stable sample ids."""
        return read_array(self.path / "ids.npy")

    def factors(self) -> np.ndarray | None:
        """float32 (n, factors), or None; the names are in ``probe.json``."""
        return read_array(self.path / "factors.npy")


def probe_of(runs: Path, fingerprint: str) -> Probe:
    """The probe set of a data fingerprint in a runs folder, written or not."""
    return Probe(Path(runs) / ".probes" / safe_name(fingerprint))


def check_writable(runs: Path, option: str = "--runs") -> None:
    """Raise a WorkbenchError, which names the option that chooses it, unless runs can be created in the folder."""
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
    """Create a run's directory, whole or not at all.

    Args:
        runs: the folder of the runs, created if need be.
        config_text: the content of ``config.yaml``.
        info: what ``run.json`` holds beyond id, owner, host and time; needs ``method`` and ``data``.
    """
    check_writable(runs)
    data_name = safe_name(Path(info["data"]["name"]).stem)[:24] or "data"
    run_id = f"{datetime.now():%Y%m%d-%H%M%S}-{info['method']}-{data_name}-{secrets.token_hex(2)}"
    building = runs / f".tmp-{run_id}"
    try:
        for folder in ("checkpoints", "evaluations", "arrays", "images"):
            (building / folder).mkdir(parents=True)
        (building / "config.yaml").write_text(config_text, encoding="utf-8")
        identity = {"format": FORMAT, "id": run_id, "name": None, "owner": owner(), "host": socket.gethostname()}
        write_json(
            building / "run.json", identity | {"created": now(), "status": "running", "error": None} | dict(info)
        )
        os.rename(building, runs / run_id)
    except OSError as error:
        shutil.rmtree(building, ignore_errors=True)
        raise storage_error(error, runs / run_id) from error
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    run = Run(runs / run_id)
    run.update_summary(pid=os.getpid(), group=run.seed_group())
    return run


def owner() -> str:
    """The user's name; a number where the system knows none, as in some containers."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def list_runs(runs: Path) -> list[Run]:
    """All runs in a folder, newest first; anything without ``run.json``, ``summary.json`` and ``config.yaml`` is no
    run."""
    return [Run(folder) for folder in _folders(runs) if _is_run(folder)]


def list_summaries(runs: Path) -> list[dict[str, Any]]:
    """The summaries of all runs in a folder, newest first.

    Reads ``summary.json`` and ``marks.json`` of each and nothing else, many at a time where the disk is slow to answer.
    """
    folders = _folders(runs)
    began = time.perf_counter()
    found = [_listed(folder) for folder in folders[:READERS]]
    rest = folders[READERS:]
    if rest and time.perf_counter() - began > READERS * SLOW_SECONDS:
        with ThreadPoolExecutor(READERS) as readers:
            found += readers.map(_listed, rest)
    else:  # threads would only get into one another's way
        found += map(_listed, rest)
    return [summary for summary in found if summary is not None]


def _folders(runs: Path) -> list[Path]:
    try:
        with os.scandir(runs) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return []
    return [Path(runs, name) for name in sorted(names, reverse=True)]


def _is_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("run.json", "config.yaml", "summary.json"))


def _listed(folder: Path) -> dict[str, Any] | None:
    summary = Run(folder).summary()
    return summary if summary["status"] != "unreadable" or _is_run(folder) else None


def find_run(reference: str, runs: Path) -> Run:
    """The run that a person means: a path, an id, a unique prefix of an id, or a name (the newest that has it).

    Raises:
        WorkbenchError: there is no such run, or several begin like that.
    """
    path = Path(reference)
    if (path / "run.json").exists():
        return Run(path.resolve())
    found = list_runs(runs)
    for run in found:
        if run.id == reference:
            return run
    names = {summary["id"]: summary.get("name") for summary in list_summaries(runs)}
    named = [run for run in found if names.get(run.id) == reference]
    if named:
        return named[0]
    starting = [run for run in found if run.id.startswith(reference)] if reference else []
    if len(starting) == 1:
        return starting[0]
    if starting:
        some = ", ".join(run.id for run in starting[:3])
        raise WorkbenchError(
            f'{len(starting)} runs in {runs} begin with "{reference}" ({some} …); give more of the id.'
        )
    if not found:
        raise WorkbenchError(
            f'There is no run "{reference}": the folder {runs} has none yet; `workbench train mocov3` makes one.'
        )
    known = [run.id for run in found[:20]] + [str(name) for name in names.values() if name]
    raise unknown("run", reference, known, str(runs))
