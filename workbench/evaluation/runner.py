"""``workbench evaluate``: every evaluation of some runs, with their baselines."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from workbench.config import Device
from workbench.errors import WorkbenchError, unknown
from workbench.evaluation.context import Context
from workbench.evaluation.features import Limits, Material
from workbench.evaluation.generation import classifier, decoder, denoising, latent, likelihood, reconstruction, samples
from workbench.evaluation.geometry import agreement, invariance, projection, retrieval, similarity
from workbench.evaluation.probes import factors, few_labels, finetune, knn, layers, linear, linear_sgd, transfer
from workbench.evaluation.progress import EvaluationProgress
from workbench.headline import headline_value
from workbench.model import load
from workbench.store import Run, probe_of
from workbench.training.checkpoint import no_checkpoint
from workbench.training.hardware import keep_freed_memory

Evaluation = Callable[[Context], None]
EVALUATIONS: dict[str, Evaluation] = {
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
    "classify": classifier.evaluate,
    "denoising": denoising.evaluate,
    "samples": samples.evaluate,
}
TRANSFERS = {"transfer": transfer.evaluate, "transfer_finetune": transfer.evaluate_finetuned}
THOROUGH: dict[str, Evaluation] = {  # take minutes, and run only on request
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
    """Evaluate runs and write the results into them; docs/run-format.md describes these.

    Args:
        runs: trained on the same data, if ``agreement`` is to compare them with one another.
        only: names among :data:`NAMES` and :data:`THOROUGH`; by default all of :data:`NAMES`.
        thorough: add all of :data:`THOROUGH`.
        transfer_to: the data set on which ``transfer`` probes the runs and ``transfer_finetune`` trains them; given
            alone, it selects ``transfer`` and no other evaluation.
        device: where to compute.
        checkpoint: which weights to load.
        limits: how many images are read; by default those for the device.
        quiet: print nothing.

    Raises:
        WorkbenchError: an unknown evaluation, runs on different data, a run that cannot be loaded, or the error of the
            only evaluation; of several, the error of one is written as the reason why it was left out.
    """
    wanted = _wanted(only, thorough, transfer_to)
    runs = list({run.path.resolve(): run for run in runs}.values())
    if "agreement" in wanted:
        agreement.check_comparable(runs)
    if TRANSFERS.keys() & set(wanted):
        transfer.check(runs, transfer_to)
    for run in runs:  # before any of them is evaluated
        if run.checkpoint(checkpoint) is None:
            raise no_checkpoint(run, checkpoint)
    keep_freed_memory()
    materials: dict[str, Material] = {}
    compared: list[tuple[Context, Mapping[str, agreement.Layers]]] = []
    evaluations = EVALUATIONS | THOROUGH
    evaluations |= {name: partial(evaluation, target=transfer_to) for name, evaluation in TRANSFERS.items()}
    evaluations["agreement"] = lambda context: compared.append((context, agreement.representations(context)))
    with EvaluationProgress(len(runs) * len(wanted), quiet) as progress:
        for run in runs:
            start = time.monotonic()
            context = _open(run, device, checkpoint, limits, materials)
            context.track = progress.track
            try:
                for name in wanted:
                    progress.start(f"{run.id}  {name}")
                    begun = time.monotonic()
                    try:
                        evaluations[name](context)
                    except WorkbenchError as error:  # does not stop the others, unless there are none
                        if len(wanted) == 1:
                            raise
                        context.skip(name, str(error))
                        progress.print(f"Left out {name} of {run.id}: {error}")
                    progress.advance()
                    if name in THOROUGH:
                        progress.print(f"Evaluated {run.id}: {name}, in {time.monotonic() - begun:.0f} s.")
            finally:  # an interrupted evaluation keeps its finished results, and sums them up
                scores = _summarise(run, wanted)
            for name in ("trained", "untrained", "untrained_model"):  # the next run needs the memory
                context.__dict__.pop(name, None)
            progress.print(f"Evaluated {run.id}{scores}, in {time.monotonic() - start:.0f} s.")
        if compared:
            progress.start("agreement of all with one another")
            agreement.evaluate([context for context, _ in compared], [layers for _, layers in compared])


def _wanted(only: Sequence[str], thorough: bool, transfer_to: str | None) -> list[str]:
    """Names of the selected evaluations, in the order in which they run.

    Raises:
        WorkbenchError: an unknown name.
    """
    for name in only:
        if name not in NAMES and name not in THOROUGH:
            raise unknown("evaluation", name, (*NAMES, *THOROUGH))
    alone = transfer_to is not None and not only and not thorough
    selected = set(only) if only or alone else set(NAMES)
    selected |= set(THOROUGH) if thorough else set()
    selected |= {"transfer"} if transfer_to is not None and not selected & TRANSFERS.keys() else set()
    return [name for name in (*NAMES, *THOROUGH) if name in selected]


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
    """Write the run's own accuracies in its :func:`~workbench.headline.best_space` into its summary, as far as they are
    known; the new ones in words."""
    values = {name: headline_value(run, name) for name in ("knn", "linear")}
    known = {name: value for name, value in values.items() if value is not None}
    run.update_summary(alive=False, **known)
    return "".join(f", {name} {value:.1f} %" for name, value in known.items() if name in wanted)
