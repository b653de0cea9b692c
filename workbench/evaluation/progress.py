"""Progress of ``workbench evaluate``: a bar over the evaluations, and one for each long loop inside them."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich import progress
from rich.console import Console
from rich.table import Column
from rich.text import Text

T = TypeVar("T")
LOG_SECONDS = 3.0


class EvaluationProgress:
    """Two live bars on a terminal; elsewhere only the printed lines.

    Args:
        total: evaluations over all runs.
        quiet: print nothing.
    """

    def __init__(self, total: int, quiet: bool = False) -> None:
        text, bar = progress.TextColumn("{task.description}"), progress.BarColumn(bar_width=20)
        columns = (text, bar, progress.MofNCompleteColumn(), progress.TimeElapsedColumn(), _Pace())
        console = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty(), quiet=quiet)
        disable = quiet or not sys.stderr.isatty()
        self._bars = progress.Progress(*columns, console=console, transient=True, disable=disable)
        self._outer = self._bars.add_task("", total=total)
        self._logged = 0.0

    def __enter__(self) -> "EvaluationProgress":
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def start(self, text: str) -> None:
        """Show which evaluation runs now."""
        self._bars.update(self._outer, description=text)
        outer = self._bars.tasks[self._outer]
        self._log(f"{text}  {outer.completed:.0f} of {outer.total:.0f}")

    def advance(self) -> None:
        """One evaluation of one run is done."""
        self._bars.advance(self._outer)

    def print(self, text: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(text)

    def track(self, items: Sequence[T], what: str) -> Iterator[T]:
        """Yield the items, with a bar that shows rate and time left."""
        task = self._bars.add_task(f"  {what}", total=len(items), paced=True)
        try:
            for done, item in enumerate(items):
                if time.monotonic() - self._logged > LOG_SECONDS:
                    self._log(f"{what}  {done} of {len(items)}")
                yield item
                self._bars.advance(task)
        finally:
            self._bars.remove_task(task)

    def _log(self, text: str) -> None:
        """Write a line to the log of a background command, of which the app shows the last."""
        if os.environ.get("WORKBENCH_JOB"):
            print(text, file=sys.stderr, flush=True)
            self._logged = time.monotonic()


class _Pace(progress.ProgressColumn):
    """Rate and time left of a loop; nothing for the evaluations, whose durations differ too much."""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True))

    def render(self, task: progress.Task) -> Text:
        if not task.fields.get("paced") or not task.speed or task.time_remaining is None:
            return Text("")
        minutes, seconds = divmod(round(task.time_remaining), 60)
        return Text(f"{task.speed:.3g}/s, {minutes}:{seconds:02d} left")
