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

from workbench.files import (
    plain,
    read_array,
    read_json,
    replacing,
    safe_name,
    storage_error,
    write_array,
    write_json,
)

STALLED_SECONDS = 120
# Settings that change no result but the seed's; the data are known by their fingerprint, the epochs by the steps.
NOT_OF_THE_RECIPE = {
    *("seed", "name", "runs", "data", "download", "device", "compile", "preset", "max_steps", "epochs"),
    *("data.cache", "data.memory_mb", "log_every", "monitor_every", "checkpoint_every", "snapshots"),
}


def now() -> str:
    """The time, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Directory:
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


class Run(Directory):
    """A run directory. Constructing one reads nothing; see :mod:`workbench.store`."""

    @property
    def id(self) -> str:
        return self.path.name

    def info(self) -> dict[str, Any]:
        """``run.json`` with the run's present name, or ``{}``."""
        info = read_json(self.path / "run.json")
        return info | _shown(self.marks()) if info else info

    def marks(self) -> dict[str, Any]:
        """``marks.json``: the tags, name and archive mark that people gave; see :mod:`workbench.marks`."""
        return read_json(self.path / "marks.json")

    def update_info(self, **changes: Any) -> None:
        """Change entries of ``run.json``."""
        write_json(self.path / "run.json", self.info() | changes)

    def summary(self) -> dict[str, Any]:
        """``summary.json`` with ``id`` always there, ``status`` one of running, stalled, finished, interrupted,
        failed or unreadable, and ``tags``, ``archived`` and ``name`` as people marked the run."""
        summary = read_json(self.path / "summary.json") or summary_of(self.info())
        summary = {"status": "unreadable", **summary, **_shown(self.marks()), "id": self.id}
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
        summary = read_json(self.path / "summary.json") or summary_of(self.info())
        beat = {"heartbeat": time.time()} if alive else {}
        write_json(self.path / "summary.json", summary | changes | {"id": self.id} | beat)

    def log(self, row: Mapping[str, Any]) -> None:
        """Append a row to ``metrics.jsonl``."""
        try:
            with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(plain(row)) + "\n")
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


def _shown(marks: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of ``marks.json`` that make sense."""
    tags = marks.get("tags")
    shown: dict[str, Any] = {"name": marks["name"]} if isinstance(marks.get("name"), str) else {}
    if isinstance(tags, list) and tags:
        shown["tags"] = [str(tag) for tag in tags]
    if marks.get("archived") is True:
        shown["archived"] = True
    return shown


def seed_group(config_text: str, fingerprint: object) -> str:
    """A short hash that runs share whose data and settings differ by the seed alone, and by what changes no result.

    Args:
        config_text: ``config.yaml``, a key a line; the epochs are left out, since a resume changes them.
        fingerprint: of the data.

    Returns:
        12 hexadecimal digits, or an empty string where the settings are not known.
    """
    lines = [line for line in config_text.splitlines() if line.partition(":")[0] not in NOT_OF_THE_RECIPE]
    if not any(line.strip() for line in lines):
        return ""
    return hashlib.sha256("\n".join([str(fingerprint), *lines]).encode()).hexdigest()[:12]


def summary_of(info: Mapping[str, Any]) -> dict[str, Any]:
    """What a list shows of a run that has no summary."""
    keys = ("id", "name", "owner", "method", "family", "seed", "status", "created")
    summary = {key: info[key] for key in keys if key in info}
    if isinstance(info.get("data"), dict):
        summary["data"] = info["data"].get("name")
    return summary
