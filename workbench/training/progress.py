"""Progress on the terminal and in the run's log, and signals that stop training."""

import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from workbench.run import LOG, Run, now

console = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


class RunLog:
    """The file ``log.txt`` of the run in training: what training prints, without colours and without the bar.

    Lines that are printed before the run exists wait for :meth:`open`. A log that cannot be written stops no training.
    """

    def __init__(self) -> None:
        self.run: Run | None = None
        self.waiting: list[str] = []

    def begin(self) -> None:
        """Forget an earlier run of this process, and write down when and where this training starts."""
        self.run, self.waiting = None, []
        self.write(f"{now()} on {socket.gethostname()}, process {os.getpid()}")

    def open(self, run: Run) -> None:
        """Append what was printed so far, and all that follows, to the log of a run."""
        self.run, waiting, self.waiting = run, self.waiting, []
        self.write(*waiting)

    def write(self, *lines: str) -> None:
        """Append lines."""
        if self.run is None:
            self.waiting += lines
            return
        with suppress(OSError), open(self.run.path / LOG, "a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)


run_log = RunLog()


def say(text: str) -> None:
    """Print a message of training, with Rich's markup, and append it to the run's log."""
    console.print(text)
    run_log.write(Text.from_markup(text).plain)


class TrainingProgress:
    """A live bar on a terminal, a line per epoch elsewhere; both with rate and time left."""

    def __init__(self, steps: int, done: int) -> None:
        self.bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self.task = self.bar.add_task("training", total=steps, completed=done, text="")

    def __enter__(self) -> "TrainingProgress":
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def update(self, step: int, row: dict[str, Any]) -> None:
        """Show the newest row of metrics."""
        text = f"loss {row['loss']:.4g}  {row['images_per_second']:.0f} images/s"
        self.bar.update(self.task, completed=step, text=text)

    def epoch(self, text: str) -> None:
        """Print the line of a finished epoch."""
        say(text)


class StopSignals:
    """Context in which SIGINT and SIGTERM request an orderly stop; a second signal raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> "StopSignals":
        self.handlers = {}
        if threading.current_thread() is threading.main_thread():
            self.handlers = {number: signal.signal(number, self._request) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        say("Stopping after saving a checkpoint; interrupt again to stop at once.")

    def __exit__(self, *error: object) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
