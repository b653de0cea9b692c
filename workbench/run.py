"""One run's directory, and what a probe set has in common with it. The format is in docs/run-format.md."""

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

STALLED_SECONDS = 120
METRICS, GRADIENTS, BATCHES = "metrics.jsonl", "gradients.jsonl", "batches.jsonl"
CLOCK_SECONDS = 60  # by which the clock may have been set between a heartbeat and the reading of a process's age
# Settings that change no result but the seed's; the data are known by their fingerprint, the epochs by the steps.
NOT_OF_THE_RECIPE = {
    *("seed", "name", "runs", "data", "download", "device", "compile", "preset", "max_steps", "epochs"),
    *("data.cache", "data.memory_mb", "log_every", "monitor_every", "checkpoint_every", "snapshots"),
}
GROUP_DIGITS = 16
"""Of a hash of :func:`seed_group`; one that is shorter is from before null settings were left out."""


def now() -> str:
    """The time, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Directory:
    """Evaluations and arrays, which a run and a probe set's baselines have alike."""

    within: Path | None = None  # see :func:`workbench.files.replacing`; a probe set begins with what is written first

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
        write_json(self.path / "evaluations" / f"{name}.json", stamped, self.within)

    def array(self, name: str) -> np.ndarray | None:
        """``arrays/<name>.npy``, memory-mapped, or None."""
        return read_array(self.path / "arrays" / f"{safe_name(name)}.npy")

    def write_array(self, name: str, array: np.ndarray) -> None:
        """Write ``arrays/<name>.npy``."""
        write_array(self.path / "arrays" / f"{safe_name(name)}.npy", array, self.within)


class Run(Directory):
    """A run directory. Constructing one reads nothing; see :mod:`workbench.store`.

    Every method that writes raises a WorkbenchError where the directory is gone, and does not make it again.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.within = self.path

    @property
    def id(self) -> str:
        return self.path.name

    def info(self) -> dict[str, Any]:
        """``run.json`` with the run's present name, or ``{}``."""
        info = read_json(self.path / "run.json")
        return info | _shown(self.marks()) if info else info

    def marks(self) -> dict[str, Any]:
        """``marks.json``: the tags, name and archive mark that people gave; see :mod:`workbench.annotations`."""
        return read_json(self.path / "marks.json")

    def update_info(self, **changes: Any) -> None:
        """Change entries of ``run.json``, into which the marks of :meth:`info` do not go."""
        write_json(self.path / "run.json", read_json(self.path / "run.json") | changes, self.within)

    def summary(self) -> dict[str, Any]:
        """``summary.json`` with ``id`` always there, ``status`` one of running, stalled, finished, interrupted,
        failed or unreadable, and ``tags``, ``archived`` and ``name`` as people marked the run."""
        summary = self._summary()
        summary = {"status": "unreadable", **summary, **_shown(self.marks()), "id": self.id}
        heartbeat = summary.get("heartbeat")
        if summary["status"] == "running" and (
            not isinstance(heartbeat, int | float) or time.time() - heartbeat > STALLED_SECONDS
        ):
            summary["status"] = "stalled"
        return summary

    def in_training(self) -> str | None:
        """Where a process trains the run at this moment, in words, or None.

        On this host that is known from the process, however slow it is; of another host, from the heartbeat.
        """
        summary, host = self.summary(), self.info().get("host")
        stalled = summary["status"] == "stalled"
        if not stalled and summary["status"] != "running":
            return None
        if host != socket.gethostname():
            if stalled:
                return None
            return f"on {host}, whose last sign of life is less than {STALLED_SECONDS} s old; stop it, or wait as long"
        pid, heartbeat = summary.get("pid"), summary.get("heartbeat")
        if not isinstance(pid, int) or pid <= 0 or pid == os.getpid():
            return None
        if not _lives(pid, heartbeat if isinstance(heartbeat, int | float) else None):
            return None
        if not stalled:
            return f"by process {pid}; stop it first, or let it finish"
        return (
            f"by process {pid}, though it has given no sign of life for more than {STALLED_SECONDS} s; stop it first "
            f"(`kill {pid}`) or let it finish, or, where `ps -p {pid}` shows another program, "
            f"take `pid` out of {self.path / 'summary.json'}"
        )

    def update_summary(self, *, alive: bool = True, **changes: Any) -> None:
        """Change entries of ``summary.json``.

        Args:
            alive: set the heartbeat, as only the process that trains the run may.
            changes: entries by name.
        """
        beat = {"heartbeat": time.time()} if alive else {}
        write_json(self.path / "summary.json", self._summary() | changes | {"id": self.id} | beat, self.within)

    def _summary(self) -> dict[str, Any]:
        """``summary.json`` as training wrote it, or what ``run.json`` tells of it."""
        return read_json(self.path / "summary.json") or summary_of(read_json(self.path / "run.json"))

    def log(self, row: Mapping[str, Any], name: str = METRICS) -> None:
        """Append a row to ``metrics.jsonl``, or to ``gradients.jsonl`` or ``batches.jsonl``."""
        try:
            with open(self.path / name, "a", encoding="utf-8") as file:
                file.write(json.dumps(plain(row)) + "\n")
        except OSError as error:
            raise storage_error(error, self.path / name, self.within) from error

    def metrics(self, name: str = METRICS) -> list[dict[str, Any]]:
        """The rows of ``metrics.jsonl``, or of another such file; a torn or foreign line is left out."""
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
        """Drop rows later than ``step``, and torn lines, for a resume from a checkpoint at that step."""
        for name in (METRICS, GRADIENTS, BATCHES):
            if name == METRICS or (self.path / name).exists():  # older runs have no gradients, calm ones no batches
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
        """Whether training ever wrote one, though it may have been deleted since."""
        summary = self.summary()
        return summary["status"] == "finished" or isinstance(summary.get("checkpoint"), int)


def _lives(pid: int, heartbeat: float | None) -> bool:
    """Whether the process is there that wrote the heartbeat, and not a later one that was given its number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is somebody else's
        pass
    try:
        process = psutil.Process(pid)
        later = heartbeat is not None and process.create_time() > heartbeat + CLOCK_SECONDS
        return not later and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:  # some systems hide other people's processes
        return True


def _shown(marks: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of ``marks.json`` that make sense."""
    tags = marks.get("tags")
    shown: dict[str, Any] = {"name": marks["name"]} if isinstance(marks.get("name"), str) else {}
    if isinstance(tags, list) and tags:
        shown["tags"] = [str(tag) for tag in tags]
    if marks.get("archived") is True:
        shown["archived"] = True
    return shown


def recipe(config_text: str) -> dict[str, str]:
    """The settings that tell methods apart, as text by key: seeds of one method have the same, and as many steps.

    Args:
        config_text: ``config.yaml`` as training writes it, a key a line. What is null counts as absent, so that runs
            from before a setting came to be are like those that leave it alone.
    """
    found: dict[str, str] = {}
    key = ""
    for line in config_text.splitlines():
        if line.startswith((" ", "-")):  # an item of a list, or the rest of a long text
            found[key] = f"{found.get(key, '')} {line.strip()}"
        elif ":" in line:
            key, _, value = line.partition(":")
            found[key] = value.strip()
    return {key: value for key, value in found.items() if key not in NOT_OF_THE_RECIPE and value != "null"}


def seed_group(config_text: str, fingerprint: object) -> str:
    """A short hash of :func:`recipe` and data: runs that share it, and the number of steps, differ by the seed alone.

    Args:
        config_text: ``config.yaml``.
        fingerprint: of the data.

    Returns:
        :data:`GROUP_DIGITS` hexadecimal digits, or an empty string where the settings are not known.
    """
    lines = [f"{key}: {value}" for key, value in sorted(recipe(config_text).items())]
    return hashlib.sha256("\n".join([str(fingerprint), *lines]).encode()).hexdigest()[:GROUP_DIGITS] if lines else ""


def summary_of(info: Mapping[str, Any]) -> dict[str, Any]:
    """What a list shows of a run that has no summary."""
    keys = ("id", "name", "owner", "method", "family", "seed", "status", "created")
    summary = {key: info[key] for key in keys if key in info}
    if isinstance(info.get("data"), dict):
        summary["data"] = info["data"].get("name")
    return summary
