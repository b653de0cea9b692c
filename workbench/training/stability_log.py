"""What a run records of unstable training: gradient spikes with their batches, and collapsed features."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from workbench.metrics.stability import WINDOW, Collapse, collapses, is_spike
from workbench.run import BATCHES, GRADIENTS, Run
from workbench.training.trainer import Trainer

THUMBNAILS, THUMBNAIL_SIZE = 32, 64  # images stored of a batch, and their largest side in pixels


class StabilityLog:
    """Writes ``gradients.jsonl`` and ``batches.jsonl``, and the collapses in ``run.json``."""

    def __init__(self, run: Run, trainer: Trainer) -> None:
        self.run, self.trainer = run, trainer
        self.readings: list[Mapping[str, Any]] = [row for row in run.metrics() if "normalised_std" in row]
        self.peaks = [row["max"][:2] for row in run.metrics(GRADIENTS) if "max" in row]
        self.collapses = self._collapses()

    def begin(self) -> None:
        """Write the layers of the gradients' rows, and the collapses so far, into ``run.json``."""
        names = {"layers": self.trainer.gradients.names, "first": self.trainer.method.first_block}
        self.run.update_info(gradients=names, collapses=[asdict(collapse) for collapse in self.collapses])

    def log_gradients(self, step: int, row: dict[str, list[float]]) -> None:
        """Write a row of gradients, and the batches of its highest norms where they are spikes."""
        self.run.log({"step": step, **row}, GRADIENTS)
        self.peaks = [*self.peaks[-WINDOW:], row["max"][:2]]
        for of, norms, ago in zip(("total", "first"), zip(*self.peaks, strict=True), row["ago"], strict=False):
            if is_spike(norms):
                self.log_batch(step, step - int(ago), of)

    def log_batch(self, step: int, at: int, of: str) -> None:
        """Write which images the batch of step ``at`` holds, with thumbnails, and what was unusual ``of`` it."""
        train = self.trainer.dataset.train
        rows = self.trainer.loader.rows(at - 1).numpy()
        self.run.log({"step": step, "at": at, "of": of, "ids": train.ids[rows]}, BATCHES)
        stride = -(-self.trainer.images.size // THUMBNAIL_SIZE)
        thumbnails = np.stack([train.images[row][::stride, ::stride] for row in rows[:THUMBNAILS]])
        self.run.write_array(f"batch-{at:08d}", thumbnails)

    def log_reading(self, step: int, reading: Mapping[str, float]) -> str:
        """Add a reading of the monitor; returns a message where features collapse with it, or recover."""
        if "normalised_std" not in reading:
            return ""
        self.readings.append({"step": step, **reading})
        before, self.collapses = self.collapses, self._collapses()
        if self.collapses == before:
            return ""
        self.run.update_info(collapses=[asdict(collapse) for collapse in self.collapses])
        if new := [collapse for collapse in self.collapses if collapse not in before and collapse.until is None]:
            return f"\n[bold red]Collapse[/] at step {step}: {new[0].reason}; lower --lr or restart."
        return f"\nRecovered from collapse at step {step}."

    def current_collapse(self) -> str | None:
        """The reason of a collapse that has not ended, or None."""
        return next((collapse.reason for collapse in self.collapses if collapse.until is None), None)

    def _collapses(self) -> list[Collapse]:
        steps = [row["step"] for row in self.readings]
        std, rank = ([row.get(key) for row in self.readings] for key in ("normalised_std", "effective_rank"))
        return collapses(steps, std, rank)
