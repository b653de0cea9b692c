"""The directory of a run, and its base class shared with probe sets. The format is in docs/run-format.md."""

import hashlib
import json
import os
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from workbench.files import plain, read_array, read_json, replacing, safe_name, storage_error, write_array, write_json
from workbench.format import finite_number, is_number

STALLED_SECONDS = 120
METRICS, GRADIENTS, BATCHES = "metrics.jsonl", "gradients.jsonl", "batches.jsonl"
LOG = "log.txt"
CLOCK_SECONDS = 60  # tolerance of a process's start time against a heartbeat, as clocks may be set
# Settings that do not tell methods apart; data are compared by their fingerprint, epochs by the number of steps.
NOT_OF_THE_RECIPE = {
    *("seed", "name", "runs", "data", "download", "device", "compile", "preset", "max_steps", "epochs"),
    *("data.cache", "data.memory_mb", "log_every", "monitor_every", "checkpoint_every", "snapshots"),
}
GROUP_DIGITS = 16
"""Length of a :func:`seed_group`; shorter ones are older and include null settings."""


def now() -> str:
    """The time, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Directory:
    """A directory with evaluations and arrays: a run, or a probe set with its baselines."""

    within: Path | None = None  # see :func:`workbench.files.replacing`; None: folders are created as needed

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def evaluation(self, name: str) -> dict[str, Any]:
        """One evaluation, or ``{}``."""
        return read_json(self.path / "evaluations" / f"{name}.json")

    def evaluations(self) -> dict[str, dict[str, Any]]:
        """All readable evaluations by name."""
        files = sorted((self.path / "evaluations").glob("[!.]*.json"))
        return {file.stem: content for file in files if (content := read_json(file))}

    def write_evaluation(self, name: str, content: Mapping[str, Any]) -> None:
        """Write ``evaluations/<name>.json``; ``name`` and ``created`` are added."""
        stamped = {"name": name, "created": now(), **content}
        write_json(self.path / "evaluations" / f"{name}.json", stamped, self.within)

    def array(self, name: str) -> np.ndarray | None:
        """``arrays/<name>.npy``, memory-mapped, or None."""
        return read_array(self.path / "arrays" / f"{safe_name(name)}.npy")

    def write_array(self, name: str, array: np.ndarray) -> None:
        """Write ``arrays/<name>.npy``."""
        write_array(self.path / "arrays" / f"{safe_name(name)}.npy", array, self.within)


class Run(Directory):
    """A run directory. Constructing one reads nothing; see :mod:`workbench.store`.

    Every method that writes raises a WorkbenchError if the directory is gone, and does not recreate it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.within = self.path

    @property
    def id(self) -> str:
        return self.path.name

    def info(self) -> dict[str, Any]:
        """``run.json`` with the run's current name, or ``{}``."""
        info = read_json(self.path / "run.json")
        return info | _valid_marks(self.marks()) if info else info

    def marks(self) -> dict[str, Any]:
        """``marks.json``: tags, name and archive mark set by users; see :mod:`workbench.annotations`."""
        return read_json(self.path / "marks.json")

    def update_info(self, **changes: Any) -> None:
        """Change entries of ``run.json``; marks are stored elsewhere."""
        write_json(self.path / "run.json", read_json(self.path / "run.json") | changes, self.within)

    def summary(self) -> dict[str, Any]:
        """``summary.json``, always with ``id`` and with ``status`` one of running, stalled, finished, interrupted,
        failed or unreadable; ``tags``, ``archived`` and ``name`` are those of :meth:`marks`."""
        summary = self._summary()
        summary = {"status": "unreadable", **summary, **_valid_marks(self.marks()), "id": self.id}
        heartbeat = summary.get("heartbeat")
        if summary["status"] == "running" and (not is_number(heartbeat) or time.time() - heartbeat > STALLED_SECONDS):
            summary["status"] = "stalled"
        return summary

    def in_training(self) -> str | None:
        """Which process is training the run at this moment, in words, or None.

        On this host the process itself decides, however slow it is; for another host, the heartbeat.
        """
        summary, host = self.summary(), self.info().get("host")
        stalled = summary["status"] == "stalled"
        if not stalled and summary["status"] != "running":
            return None
        if host != socket.gethostname():
            if stalled:
                return None
            return f"on {host}, whose last heartbeat is less than {STALLED_SECONDS} s old; stop it, or wait that long"
        pid, heartbeat = summary.get("pid"), summary.get("heartbeat")
        if not isinstance(pid, int) or pid <= 0 or pid == os.getpid():
            return None
        if not _is_alive(pid, finite_number(heartbeat)):
            return None
        if not stalled:
            return f"by process {pid}; stop it first, or let it finish"
        return (
            f"by process {pid}, though it has had no heartbeat for more than {STALLED_SECONDS} s; stop it first "
            f"(`kill {pid}`) or let it finish, or, if `ps -p {pid}` shows another program, "
            f"remove `pid` from {self.path / 'summary.json'}"
        )

    def update_summary(self, *, alive: bool = True, **changes: Any) -> None:
        """Change entries of ``summary.json``.

        Args:
            alive: set the heartbeat; only the process that trains the run may do so.
            changes: entries by name.
        """
        beat = {"heartbeat": time.time()} if alive else {}
        write_json(self.path / "summary.json", self._summary() | changes | {"id": self.id} | beat, self.within)

    def _summary(self) -> dict[str, Any]:
        """``summary.json`` as training wrote it, or else derived from ``run.json``."""
        return read_json(self.path / "summary.json") or summary_of(read_json(self.path / "run.json"))

    def log(self, row: Mapping[str, Any], name: str = METRICS) -> None:
        """Append a row to ``metrics.jsonl``, or to ``gradients.jsonl`` or ``batches.jsonl``."""
        try:
            with open(self.path / name, "a", encoding="utf-8") as file:
                file.write(json.dumps(plain(row)) + "\n")
        except OSError as error:
            raise storage_error(error, self.path / name, self.within) from error

    def metrics(self, name: str = METRICS) -> list[dict[str, Any]]:
        """The rows of ``metrics.jsonl``, or of another such file; truncated or foreign lines are left out."""
        rows = []
        try:
            text = (self.path / name).read_text(encoding="utf-8", errors="replace")
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
        """Delete rows later than ``step``, and truncated lines, for a resume from a checkpoint at that step."""
        for name in (METRICS, GRADIENTS, BATCHES):
            if name == METRICS or (self.path / name).exists():  # the others are optional
                rows = [row for row in self.metrics(name) if row["step"] <= step]
                with replacing(self.path / name, "w", self.within) as file:
                    file.writelines(json.dumps(row) + "\n" for row in rows)

    def config_text(self) -> str:
        """``config.yaml`` as text, or an empty string."""
        try:
            return (self.path / "config.yaml").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    def seed_group(self) -> str:
        """:func:`seed_group` of this run."""
        data = self.info().get("data")
        return seed_group(self.config_text(), data.get("fingerprint") if isinstance(data, dict) else None)

    def checkpoint(self, which: str = "last") -> Path | None:
        """The folder of the last or the best checkpoint, or None."""
        complete = sorted((self.path / "checkpoints").glob("step-*"))
        if which == "best":
            step = read_json(self.path / "checkpoints" / "best.json").get("step")
            complete = [folder for folder in complete if isinstance(step, int) and folder.name == f"step-{step:08d}"]
        return complete[-1] if complete else None

    def had_checkpoint(self) -> bool:
        """Whether training ever wrote a checkpoint, even if it has been deleted since."""
        summary = self.summary()
        return summary["status"] == "finished" or isinstance(summary.get("checkpoint"), int)


def _is_alive(pid: int, heartbeat: float | None) -> bool:
    """Whether the process that wrote the heartbeat is alive, and its number has not passed to a later one."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's process
        pass
    try:
        process = psutil.Process(pid)
        later = heartbeat is not None and process.create_time() > heartbeat + CLOCK_SECONDS
        return not later and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:  # some systems hide other users' processes
        return True


def _valid_marks(marks: Mapping[str, Any]) -> dict[str, Any]:
    """The valid entries of ``marks.json``."""
    tags = marks.get("tags")
    valid: dict[str, Any] = {"name": marks["name"]} if isinstance(marks.get("name"), str) else {}
    if isinstance(tags, list) and tags:
        valid["tags"] = [str(tag) for tag in tags]
    if marks.get("archived") is True:
        valid["archived"] = True
    return valid


def recipe(config_text: str) -> dict[str, str]:
    """The settings that tell methods apart, as text by key: they are the same for all seeds of a method."""
    return {key: value for key, value in settings_text(config_text).items() if key not in NOT_OF_THE_RECIPE}


def settings_text(config_text: str) -> dict[str, str]:
    """All settings, as text by key.

    Args:
        config_text: ``config.yaml`` as training writes it, a key per line. Null settings count as absent, so that runs
            older than a setting equal those that do not use it.
    """
    settings: dict[str, str] = {}
    key = ""
    for line in config_text.splitlines():
        if line.startswith((" ", "-")):  # an item of a list, or the rest of a long text
            settings[key] = f"{settings.get(key, '')} {line.strip()}"
        elif ":" in line:
            key, _, value = line.partition(":")
            settings[key] = value.strip()
    return {key: value for key, value in settings.items() if value != "null"}


def seed_group(config_text: str, fingerprint: object) -> str:
    """A short hash of :func:`recipe` and data: runs with the same hash and number of steps differ only in their seed.

    Args:
        config_text: ``config.yaml``.
        fingerprint: of the data.

    Returns:
        :data:`GROUP_DIGITS` hexadecimal digits, or an empty string if the settings are unknown.
    """
    lines = [f"{key}: {value}" for key, value in sorted(recipe(config_text).items())]
    return hashlib.sha256("\n".join([str(fingerprint), *lines]).encode()).hexdigest()[:GROUP_DIGITS] if lines else ""


def summary_of(info: Mapping[str, Any]) -> dict[str, Any]:
    """A substitute for a missing ``summary.json``, from ``run.json``."""
    keys = ("id", "name", "owner", "method", "family", "seed", "status", "created")
    summary = {key: info[key] for key in keys if key in info}
    if isinstance(info.get("data"), dict):
        summary["data"] = info["data"].get("name")
    return summary
