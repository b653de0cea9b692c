"""``workbench evaluate``: every evaluation of some runs, with their baselines."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from workbench.config import Device
from workbench.errors import WorkbenchError, unknown
from workbench.evaluation import (
    cka,
    factors,
    knn,
    likelihood,
    linear,
    projection,
    reconstruction,
    samples,
    similarity,
)
from workbench.evaluation.context import Context
from workbench.evaluation.features import Limits, Material
from workbench.evaluation.model import load
from workbench.store import Run, probe_of
from workbench.training.hardware import keep_freed_memory

EVALUATIONS: dict[str, Callable[[Context], None]] = {
    "knn": knn.evaluate,
    "linear": linear.evaluate,
    "factors": factors.evaluate,
    "similarity": similarity.evaluate,
    "projection": projection.evaluate,
    "reconstruction": reconstruction.evaluate,
    "likelihood": likelihood.evaluate,
    "samples": samples.evaluate,
}
NAMES = (*EVALUATIONS, "cka")


def evaluate(
    runs: Sequence[Run],
    *,
    only: Sequence[str] = (),
    device: Device = "auto",
    checkpoint: Literal["last", "best"] = "last",
    limits: Limits | None = None,
    quiet: bool = False,
) -> None:
    """Measure what runs have learnt and write it into them; see docs/run-format.md for what.

    Args:
        runs: trained on the same data, if they are to be compared with one another by ``cka``.
        only: names among :data:`NAMES`; by default all.
        device: where to compute.
        checkpoint: which weights to take.
        limits: how many images are read; by default as suits the device.
        quiet: say nothing.

    Raises:
        WorkbenchError: an unknown evaluation, runs on different data, or a run that cannot be loaded.
    """
    for name in only:
        if name not in NAMES:
            raise unknown("evaluation", name, NAMES)
    wanted = [name for name in NAMES if not only or name in only]
    runs = list({run.path.resolve(): run for run in runs}.values())
    if "cka" in wanted:
        cka.check_comparable(runs)
    keep_freed_memory()
    materials: dict[str, Material] = {}
    compared: list[tuple[Context, Mapping[str, cka.Grams]]] = []
    console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=len(runs) * len(wanted))
        for run in runs:
            start = time.monotonic()
            context = _open(run, device, checkpoint, limits, materials)
            for name in (name for name in wanted if name in EVALUATIONS):
                progress.update(task, description=f"{run.id}  {name}")
                EVALUATIONS[name](context)
                progress.advance(task)
            if "cka" in wanted:
                progress.update(task, description=f"{run.id}  cka")
                compared.append((context, cka.grams(context)))
                progress.advance(task)
            scores = _summarise(run, wanted)
            for kept in ("trained", "untrained", "untrained_model"):  # the next run needs the memory
                context.__dict__.pop(kept, None)
            progress.console.print(f"Evaluated {run.id}{scores}, in {time.monotonic() - start:.0f} s.")
    if compared:
        cka.evaluate([context for context, _ in compared], [matrices for _, matrices in compared])


def _open(
    run: Run, device: Device, checkpoint: Literal["last", "best"], limits: Limits | None, materials: dict[str, Material]
) -> Context:
    model = load(run, device=device, checkpoint=checkpoint)
    limits = limits or Limits.of(model.device)
    data: dict[str, Any] = run.info().get("data") or {}
    fingerprint = str(data.get("fingerprint"))
    if fingerprint not in materials:
        materials[fingerprint] = Material.load(model.config, limits)
    material = materials[fingerprint]
    if material.dataset.fingerprint != fingerprint:
        raise WorkbenchError(
            f'The run {run.id} was trained on other images of "{model.config.data}" (fingerprint {fingerprint}) than '
            f"are there now ({material.dataset.fingerprint}); put the former ones back, or train again."
        )
    probe = probe_of(run.path.parent, fingerprint)
    material.write_probe(probe)
    return Context(run, model, material, limits, probe)


def _summarise(run: Run, wanted: Sequence[str]) -> str:
    """Put the default space's accuracies into the run's summary, as far as they are known; the wanted ones in words."""
    values = {name: default_value(run.evaluation(name)) for name in ("knn", "linear")}
    found = {name: value for name, value in values.items() if value is not None}
    run.update_summary(alive=False, **found)
    return "".join(f", {name} {value:.1f} %" for name, value in found.items() if name in wanted)


def default_value(evaluation: Mapping[str, Any]) -> float | None:
    """The run's value in its default space, or None."""
    for row in evaluation.get("rows", []):
        if row["model"] == "run" and row["space"] == evaluation.get("default"):
            return row["value"]
    return None
