"""Progress on the terminal, and signals that stop training."""

import signal
import sys
import threading
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


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
        self.bar.console.print(text)


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
        console.print("Stopping after saving a checkpoint; interrupt again to stop at once.")

    def __exit__(self, *error: object) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
