"""``workbench evaluate``: every evaluation of some runs, with their baselines."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from workbench.config import Device
from workbench.errors import WorkbenchError, unknown
from workbench.evaluation.context import Context
from workbench.evaluation.features import Limits, Material
from workbench.evaluation.generation import (
    decoder,
    denoising,
    latent,
    likelihood,
    likelihood_classifier,
    reconstruction,
    samples,
)
from workbench.evaluation.geometry import agreement, invariance, projection, retrieval, similarity
from workbench.evaluation.probes import factors, few_labels, finetune, knn, layers, linear, linear_sgd, transfer
from workbench.evaluation.progress import EvaluationProgress
from workbench.model import load
from workbench.store import Run, probe_of
from workbench.training.checkpoint import no_checkpoint
from workbench.training.hardware import keep_freed_memory

EVALUATIONS: dict[str, Callable[[Context], None]] = {
    "knn": knn.evaluate,
    "linear": linear.evaluate,
    "layers": layers.evaluate,
    "few_labels": few_labels.evaluate,
    "factors": factors.evaluate,
    "invariance": invariance.evaluate,
    "similarity": similarity.evaluate,
    "retrieval": retrieval.evaluate,
    "projection": projection.evaluate,
    "reconstruction": reconstruction.evaluate,
    "likelihood": likelihood.evaluate,
    "latent": latent.evaluate,
    "classify": likelihood_classifier.evaluate,
    "denoising": denoising.evaluate,
    "samples": samples.evaluate,
}
TRANSFERS = {"transfer": transfer.evaluate, "transfer_finetune": transfer.evaluate_finetuned}
THOROUGH: dict[str, Callable[[Context], None]] = {  # take minutes, and are done where they are asked for
    "linear_sgd": linear_sgd.evaluate,
    "finetune": finetune.evaluate,
    **TRANSFERS,
    "decoder": decoder.evaluate,
    "likelihood_full": partial(likelihood.evaluate, in_full=True),
}
NAMES = (*EVALUATIONS, "agreement")


def evaluate(
    runs: Sequence[Run],
    *,
    only: Sequence[str] = (),
    thorough: bool = False,
    transfer_to: str | None = None,
    device: Device = "auto",
    checkpoint: Literal["last", "best"] = "last",
    limits: Limits | None = None,
    quiet: bool = False,
) -> None:
    """Measure what runs have learnt and write it into them; see docs/run-format.md for what.

    Args:
        runs: trained on the same data, if they are to be compared with one another by ``agreement``.
        only: names among :data:`NAMES` and :data:`THOROUGH`; by default all of the former.
        thorough: all of the latter, too.
        transfer_to: the data set on which ``transfer`` probes the runs and ``transfer_finetune`` trains them; given
            alone, it asks for ``transfer`` and no other evaluation.
        device: where to compute.
        checkpoint: which weights to take.
        limits: how many images are read; by default as suits the device.
        quiet: say nothing.

    Raises:
        WorkbenchError: an unknown evaluation, runs on different data, a run that cannot be loaded, or what the only
            evaluation that was asked for says. Where there are several, that is written as why one was left out.
    """
    wanted = _wanted(only, thorough, transfer_to)
    runs = list({run.path.resolve(): run for run in runs}.values())
    if "agreement" in wanted:
        agreement.check_comparable(runs)
    if TRANSFERS.keys() & set(wanted):
        transfer.check(runs, transfer_to)
    for run in runs:  # before the first of them takes its minutes
        if run.checkpoint(checkpoint) is None:
            raise no_checkpoint(run, checkpoint)
    evaluations = EVALUATIONS | THOROUGH
    evaluations |= {name: partial(one, target=transfer_to) for name, one in TRANSFERS.items()}
    keep_freed_memory()
    materials: dict[str, Material] = {}
    compared: list[tuple[Context, Mapping[str, agreement.Layers]]] = []
    with EvaluationProgress(len(runs) * len(wanted), quiet) as progress:

        def leave_out(context: Context, name: str, error: WorkbenchError) -> None:
            """One evaluation that fails does not take the others with it, unless nothing else was asked for."""
            if len(wanted) == 1:
                raise error
            context.skip(name, str(error))
            progress.print(f"Left out {name} of {context.run.id}: {error}")

        for run in runs:
            start = time.monotonic()
            context = _open(run, device, checkpoint, limits, materials)
            context.track = progress.track
            try:
                for name in (name for name in wanted if name in evaluations):
                    progress.start(f"{run.id}  {name}")
                    begun = time.monotonic()
                    try:
                        evaluations[name](context)
                    except WorkbenchError as error:
                        leave_out(context, name, error)
                    progress.advance()
                    if name in THOROUGH:
                        progress.print(f"Evaluated {run.id}: {name}, in {time.monotonic() - begun:.0f} s.")
                if "agreement" in wanted:
                    progress.start(f"{run.id}  agreement")
                    try:
                        compared.append((context, agreement.representations(context)))
                    except WorkbenchError as error:
                        leave_out(context, "agreement", error)
                    progress.advance()
            finally:  # an interrupted evaluation leaves what is finished, the summary included
                scores = _summarise(run, wanted)
            for kept in ("trained", "untrained", "untrained_model"):  # the next run needs the memory
                context.__dict__.pop(kept, None)
            progress.print(f"Evaluated {run.id}{scores}, in {time.monotonic() - start:.0f} s.")
        if compared:
            progress.start("agreement of all with one another")
            agreement.evaluate([context for context, _ in compared], [found for _, found in compared])


def _wanted(only: Sequence[str], thorough: bool, transfer_to: str | None) -> list[str]:
    """Names of the evaluations in the order in which they are done.

    Raises:
        WorkbenchError: an unknown name.
    """
    for name in only:
        if name not in NAMES and name not in THOROUGH:
            raise unknown("evaluation", name, (*NAMES, *THOROUGH))
    alone = transfer_to is not None and not only and not thorough
    asked = set(only) if only or alone else set(NAMES)
    asked |= set(THOROUGH) if thorough else set()
    asked |= {"transfer"} if transfer_to is not None and not asked & TRANSFERS.keys() else set()
    return [name for name in (*NAMES, *THOROUGH) if name in asked]


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
