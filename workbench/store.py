"""The run directory: create, append, read, list. The format is in docs/run-format.md.

The directory is the truth. Writers rename whole files into place; readers survive any file that is missing,
truncated or foreign. There is no lock, so it works on network file systems and outlives ``kill -9``.
"""

import errno
import getpass
import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np

from workbench.errors import WorkbenchError, unknown

FORMAT = 1
STALLED_SECONDS = 120
SPARKLINE = 40


@contextmanager
def replacing(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Write a file under a temporary name and rename it into place, so that readers see all of it or none.

    Raises:
        WorkbenchError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise storage_error(error, path) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def storage_error(error: OSError, path: Path) -> WorkbenchError:
    """What a failed write means for the person."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WorkbenchError(
            f"No space left on the disk of {path.parent}; free some, then `workbench resume` continues."
        )
    return WorkbenchError(f"Cannot write {path}: {error.strerror or error}; choose another place.")


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all; NumPy numbers and arrays are allowed, NaN and infinity become null."""
    with replacing(path, "w") as file:
        json.dump(_plain(content), file, indent=1, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, or ``{}`` where the file is missing, broken or something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array as ``.npy``, whole or not at all."""
    with replacing(path) as file:
        np.save(file, array, allow_pickle=False)


def read_array(path: Path) -> np.ndarray | None:
    """An array, memory-mapped, or None where it is missing or broken."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None


def safe_name(name: str) -> str:
    """A name as part of a file name: characters outside ``[A-Za-z0-9=._-]`` become ``_``."""
    return re.sub(r"[^A-Za-z0-9=._-]", "_", name)


class _Directory:
    """Evaluations and arrays, which a run and a probe set's baselines have alike."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def evaluation(self, name: str) -> dict[str, Any]:
        """One evaluation, or ``{}``."""
        return read_json(self.path / "evaluations" / f"{name}.json")

    def evaluations(self) -> dict[str, dict[str, Any]]:
        """All readable evaluations by name."""
        found = {file.stem: read_json(file) for file in sorted((self.path / "evaluations").glob("[!.]*.json"))}
        return {name: content for name, content in found.items() if content}

    def write_evaluation(self, name: str, content: Mapping[str, Any]) -> None:
        """Write ``evaluations/<name>.json``; ``name`` and ``created`` are added."""
        stamped = {"name": name, "created": now(), **content}
        write_json(self.path / "evaluations" / f"{name}.json", stamped)

    def array(self, name: str) -> np.ndarray | None:
        """``arrays/<name>.npy``, memory-mapped, or None."""
        return read_array(self.path / "arrays" / f"{safe_name(name)}.npy")

    def write_array(self, name: str, array: np.ndarray) -> None:
        """Write ``arrays/<name>.npy``."""
        write_array(self.path / "arrays" / f"{safe_name(name)}.npy", array)


class Run(_Directory):
    """A run directory. Constructing one reads nothing; see :func:`create_run`, :func:`list_runs`, :func:`find_run`."""

    @property
    def id(self) -> str:
        return self.path.name

    def info(self) -> dict[str, Any]:
        """``run.json``, or ``{}``."""
        return read_json(self.path / "run.json")

    def update_info(self, **changes: Any) -> None:
        """Change entries of ``run.json``."""
        write_json(self.path / "run.json", self.info() | changes)

    def summary(self) -> dict[str, Any]:
        """``summary.json`` with ``id`` always there and ``status`` one of running, stalled, finished, interrupted,
        failed or unreadable."""
        summary = read_json(self.path / "summary.json") or _summary_of(self.info())
        summary = {"status": "unreadable", **summary, "id": self.id}
        heartbeat = summary.get("heartbeat")
        if summary["status"] == "running" and (
            not isinstance(heartbeat, int | float) or time.time() - heartbeat > STALLED_SECONDS
        ):
            summary["status"] = "stalled"
        return summary

    def in_training(self) -> str | None:
        """Where a process trains the run at this moment, in words, or None.

        On this host that is known from the process; of another host, from the heartbeat.
        """
        summary, host = self.summary(), self.info().get("host")
        if summary["status"] != "running":
            return None
        if host != socket.gethostname():
            return f"on {host}, whose last sign of life is less than {STALLED_SECONDS} s old; stop it, or wait as long"
        pid = summary.get("pid")
        if not isinstance(pid, int) or pid == os.getpid():
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass
        return f"by process {pid}; stop it first, or let it finish"

    def update_summary(self, *, alive: bool = True, **changes: Any) -> None:
        """Change entries of ``summary.json``.

        Args:
            alive: set the heartbeat, as only the process that trains the run may.
            changes: entries by name.
        """
        summary = read_json(self.path / "summary.json") or _summary_of(self.info())
        beat = {"heartbeat": time.time()} if alive else {}
        write_json(self.path / "summary.json", summary | changes | {"id": self.id} | beat)

    def log(self, row: Mapping[str, Any]) -> None:
        """Append a row to ``metrics.jsonl``."""
        try:
            with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(_plain(row)) + "\n")
        except OSError as error:
            raise storage_error(error, self.path / "metrics.jsonl") from error

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of ``metrics.jsonl``; a torn or foreign line is left out."""
        rows = []
        try:
            text = (self.path / "metrics.jsonl").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        for line in text.splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and isinstance(row.get("step"), int):
                rows.append(row)
        return rows

    def drop_metrics_after(self, step: int) -> None:
        """Drop rows later than ``step``, and torn lines, for a resume from a checkpoint at that step."""
        rows = [row for row in self.metrics() if row["step"] <= step]
        with replacing(self.path / "metrics.jsonl", "w") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)

    def config_text(self) -> str:
        """``config.yaml`` as text, or an empty string."""
        try:
            return (self.path / "config.yaml").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    def checkpoint(self, which: str = "last") -> Path | None:
        """The folder of the last or the best checkpoint, or None."""
        complete = sorted((self.path / "checkpoints").glob("step-*"))
        if which == "best":
            step = read_json(self.path / "checkpoints" / "best.json").get("step")
            complete = [folder for folder in complete if isinstance(step, int) and folder.name == f"step-{step:08d}"]
        return complete[-1] if complete else None


def _summary_of(info: Mapping[str, Any]) -> dict[str, Any]:
    """What a list shows of a run that has no summary."""
    keys = ("id", "name", "owner", "method", "family", "seed", "status", "created")
    summary = {key: info[key] for key in keys if key in info}
    if isinstance(info.get("data"), dict):
        summary["data"] = info["data"].get("name")
    return summary


class Probe(_Directory):
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


def now() -> str:
    """The time, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def check_writable(runs: Path) -> None:
    """Raise a WorkbenchError unless runs can be created in the folder."""
    try:
        runs.mkdir(parents=True, exist_ok=True)
        test = runs / f".tmp-{secrets.token_hex(4)}"
        test.touch()
        test.unlink()
    except OSError as error:
        raise WorkbenchError(
            f"The runs folder {runs} cannot be written ({error.strerror}); choose another with --runs."
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
    run.update_summary(pid=os.getpid())
    return run


def owner() -> str:
    """The user's name; a number where the system knows none, as in some containers."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def list_runs(runs: Path) -> list[Run]:
    """All runs in a folder, newest first; anything that has neither ``run.json`` nor ``config.yaml`` is no run."""
    try:
        folders = [Path(entry.path) for entry in os.scandir(runs) if entry.is_dir() and not entry.name.startswith(".")]
    except OSError:
        return []
    found = [folder for folder in folders if (folder / "run.json").exists() or (folder / "config.yaml").exists()]
    return [Run(folder) for folder in sorted(found, key=lambda folder: folder.name, reverse=True)]


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
    named = [run for run in found if run.summary().get("name") == reference]
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
    names = [str(name) for run in found if (name := run.summary().get("name"))]
    raise unknown("run", reference, [run.id for run in found[:20]] + names, str(runs))
