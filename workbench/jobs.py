"""Background commands: ``workbench …`` processes that the app starts, follows and cancels.

A job is a folder ``runs/.jobs/<id>/``: ``job.json`` (the request), ``state.json`` (its progress), ``log`` (the
command's output) and ``cancel`` (created to stop it). A supervisor, ``python -m workbench.jobs FOLDER`` in a session of
its own, waits for its turn, runs the command and writes its state, so a job outlives browser and app.
"""

import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.files import read_json, storage_error, write_json
from workbench.format import is_number
from workbench.store import owner as this_user

COMMANDS = ("evaluate", "resume", "sample", "reconstruct", "embed", "report")
HEARTBEAT = 5.0  # seconds between two updates of a job's state
LOST = 60.0  # seconds without an update after which a job counts as lost
PATIENCE = 20.0  # seconds that a cancelled command has to stop before the next signal
RETAINED = 30  # finished jobs that stay listed
TAIL = 4096  # bytes of the log that are shown


@dataclass(frozen=True)
class Job:
    """A background command, as read from the disk.

    Attributes:
        folder: ``runs/.jobs/<id>``.
        request: ``job.json``: ``command`` (list of words), ``owner``, ``host``, ``created`` (seconds since 1970).
        state: ``state.json``: ``status``, ``started``, ``finished``, ``alive`` (seconds since 1970), ``code``.
    """

    folder: Path
    request: dict[str, Any]
    state: dict[str, Any]

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def words(self) -> list[str]:
        """The command, word by word, beginning with ``workbench``."""
        return [str(word) for word in self.request.get("command", [])]

    @property
    def status(self) -> str:
        """queued, running, cancelling, done, failed, cancelled or lost."""
        status = str(self.state.get("status", "queued"))
        if status in ("done", "failed", "cancelled"):
            return status
        alive = self.state.get("alive", self.request.get("created", 0.0))
        if not is_number(alive) or time.time() - alive > LOST:
            return "lost"
        return "cancelling" if (self.folder / "cancel").exists() else status

    @property
    def live(self) -> bool:
        """Whether it is queued, running or being cancelled."""
        return self.status in ("queued", "running", "cancelling")

    @property
    def seconds(self) -> float:
        """Seconds since its start, until its end."""
        start = self.state.get("started", self.request.get("created", time.time()))
        return max(0.0, self.state.get("finished", time.time()) - start)

    @cached_property
    def lines(self) -> list[str]:
        """The last lines of the log, without escape sequences."""
        try:
            with open(self.folder / "log", "rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return []
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
        return [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]

    def cancel(self) -> None:
        """Request that the command stops: SIGINT, then SIGTERM if it has not stopped after :data:`PATIENCE`."""
        try:
            (self.folder / "cancel").touch()
        except OSError as error:
            raise storage_error(error, self.folder / "cancel") from error


def parse(command: str) -> list[str]:
    """The words of a command line; it is never passed to a shell.

    Raises:
        WorkbenchError: it is not one of :data:`COMMANDS`.
    """
    words = shlex.split(command)
    if len(words) < 2 or words[0] != "workbench" or words[1] not in COMMANDS:
        raise WorkbenchError(f"`{command}` cannot run in the background; only these can: {', '.join(COMMANDS)}.")
    return words


def start(runs: Path, command: Sequence[str], at_once: int = 1) -> Job:
    """Start a command in the background, or put it into the queue.

    Args:
        runs: the folder of the runs.
        command: the words, beginning with ``workbench``.
        at_once: number of jobs that may run at the same time on this host.

    Raises:
        WorkbenchError: the folder cannot be written, or the same command is queued or running.
    """
    words = parse(shlex.join(command))
    runs = Path(runs).absolute()
    if any(job.words == words and job.live for job in jobs(runs)):
        raise WorkbenchError(f"`{shlex.join(words)}` is queued or running already.")
    folder = runs / ".jobs" / f"{time.time_ns()}-{secrets.token_hex(2)}"
    request = {"command": words, "owner": this_user(), "host": socket.gethostname(), "created": time.time()}
    write_json(folder / "job.json", request | {"at_once": at_once})
    tidy(runs)
    argv, null = [sys.executable, "-m", "workbench.jobs", str(folder)], subprocess.DEVNULL
    supervisor = subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, start_new_session=True)
    threading.Thread(target=supervisor.wait, daemon=True).start()  # so that it leaves no zombie
    return Job(folder, request, {})


def jobs(runs: Path) -> list[Job]:
    """All jobs of a folder, newest first."""
    try:
        names = sorted((name for name in os.listdir(Path(runs) / ".jobs") if name[:1].isdigit()), reverse=True)
    except OSError:
        return []
    folders = [Path(runs) / ".jobs" / name for name in names]
    stored = [Job(folder, read_json(folder / "job.json"), read_json(folder / "state.json")) for folder in folders]
    return [job for job in stored if job.words]


def using(runs: Path, run_id: str) -> Job | None:
    """A queued or running job whose command names the run, or None."""
    return next((job for job in jobs(runs) if run_id in job.words and job.live), None)


def tidy(runs: Path) -> None:
    """Delete the oldest finished jobs."""
    for job in [job for job in jobs(runs) if not job.live][RETAINED:]:
        shutil.rmtree(job.folder, ignore_errors=True)


class Supervisor:
    """The process that waits for a job's turn, runs it and writes its state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.request = read_json(folder / "job.json")
        self.state: dict[str, Any] = {"status": "queued"}
        self.last_beat = 0.0
        signal.signal(signal.SIGTERM, lambda *_: (folder / "cancel").touch())
        # The command inherits the default handler even if the app was started with nohup.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def run(self) -> None:
        """Wait for the job's turn, run it, and write how it ended."""
        while not self.cancelled() and not self.turn():
            self.beat()
            time.sleep(0.3)
        if self.cancelled():
            self.write(status="cancelled", finished=time.time())
            return
        words = [str(word) for word in self.request["command"]]
        environment = os.environ | {"WORKBENCH_JOB": "1", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "160"}
        argv, null = [sys.executable, "-m", *words], subprocess.DEVNULL
        with open(self.folder / "log", "ab") as log:
            streams = {"stdin": null, "stdout": log, "stderr": log}
            process = subprocess.Popen(argv, **streams, start_new_session=True, env=environment)
        self.write(status="running", started=time.time(), pid=process.pid)
        self.follow(process)
        status = "cancelled" if self.cancelled() else "done" if process.returncode == 0 else "failed"
        self.write(status=status, finished=time.time(), code=process.returncode)

    def follow(self, process: subprocess.Popen) -> None:
        """Wait for the command's end; if the job is cancelled, send ever stronger signals."""
        signals = iter((signal.SIGINT, signal.SIGTERM, signal.SIGKILL))
        next_signal = 0.0
        while process.poll() is None:
            if self.cancelled() and time.monotonic() >= next_signal:
                next_signal = time.monotonic() + PATIENCE
                os.killpg(process.pid, next(signals, signal.SIGKILL))
            self.beat()
            time.sleep(0.2)

    def turn(self) -> bool:
        """Whether it is the job's turn: few enough older jobs of this host are queued or running."""
        local = [job for job in jobs(self.folder.parent.parent) if job.request.get("host") == self.request.get("host")]
        return sum(job.id < self.folder.name and job.live for job in local) < self.request.get("at_once", 1)

    def cancelled(self) -> bool:
        return (self.folder / "cancel").exists()

    def beat(self) -> None:
        """Update the state's time stamp, at most every :data:`HEARTBEAT` seconds."""
        if time.monotonic() - self.last_beat > HEARTBEAT:
            self.write()

    def write(self, **changes: Any) -> None:
        self.state |= changes | {"alive": time.time()}
        self.last_beat = time.monotonic()
        with suppress(WorkbenchError):  # a full disk; the command continues, and the next beat tries again
            write_json(self.folder / "state.json", self.state)


if __name__ == "__main__":
    Supervisor(Path(sys.argv[1])).run()
