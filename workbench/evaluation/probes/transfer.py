"""Transfer: features learnt on one data set evaluated on another, frozen or fine-tuned."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from workbench.config import TrainConfig
from workbench.data import datasets
from workbench.errors import WorkbenchError
from workbench.evaluation.context import Context, Row, Subject, accuracy
from workbench.evaluation.features import Material
from workbench.evaluation.probes import finetune
from workbench.metrics.linear_probe import linear_probe
from workbench.store import Run
from workbench.training.checkpoint import read_config

DEFAULT, OTHERWISE = "digits", "shapes"  # the target, and that of runs trained on it; neither needs a download


def check(runs: Sequence[Run], target: str | None) -> None:
    """Raise a WorkbenchError unless every run can be probed on the target, before anything is computed."""
    if target is None:
        return
    for run in runs:
        config = read_config(run)[1]
        if reason := _unfit(f"The run {run.id} was", _fingerprint(run), config, target, _dataset(config, target)):
            raise WorkbenchError(f"{reason} Choose another --transfer-to.")


def check_target(config: TrainConfig, fingerprint: str, target: str) -> str:
    """The target's name as rows have it, provided that the runs of a sweep can be probed on it.

    Args:
        fingerprint: of the training data.

    Raises:
        WorkbenchError: they cannot.
    """
    dataset = _dataset(config, target)
    if reason := _unfit("The sweep is", fingerprint, config, target, dataset):
        raise WorkbenchError(f"{reason} Choose another transfer_to.")
    return dataset.name


def evaluate(context: Context, target: str | None = None) -> None:
    """Add the rows of one target to ``transfer.json``.

    Args:
        target: a data set's name or path; by default digits, or shapes for runs on digits.
    """
    if (material := _target(context, "transfer", target)) is None:
        return
    data, spec = material.dataset, context.model.images
    train_labels, val_labels, labels = material.labels
    protocol = (
        "Multinomial logistic regression on standardised frozen features of another data set than the one trained on, "
        f"its images brought to {spec.size} px and {spec.channels} channel{'s' * (spec.channels > 1)}; up to "
        f"{context.limits.train:,} training images; L2 regularisation chosen on validation images; pixels at the "
        "target's own size; 95 % Wilson interval over test images."
    )

    def measure(subject: Subject) -> Iterator[Row]:
        spaces = subject.features.test
        for space in context.track(list(spaces), f"{data.name}, probes of {subject.name}"):
            train, val, test = subject.features.of(space)
            probe = linear_probe(train, train_labels, val, val_labels, test)
            row: Row = {"model": subject.name, "space": space, "target": data.name}
            row |= accuracy(probe.predicted, labels) | {"dim": test.shape[1], "n": len(labels)}
            yield row | {"regularisation": probe.regularisation, "validation": 100 * probe.validation_accuracy}

    rows: list[Row] = []
    models = {"run": context.model, f"untrained:{context.method}": context.untrained_model}
    for model_name, model in models.items():
        rows += measure(Subject(model_name, material.encode(model), model.default))
    pixels = Subject("pixels", material.pixels, "pixels")
    rows += context.shared_rows(f"transfer-{data.fingerprint}", protocol, lambda: measure(pixels))
    _write(context, "transfer", data.name, protocol, len(labels), rows)


def evaluate_finetuned(context: Context, target: str | None = None) -> None:
    """Add a target's rows, as of :func:`evaluate`, to ``transfer_finetune.json``: the whole network trained there (MoCo
    v3, table 6)."""
    if (material := _target(context, "transfer_finetune", target)) is None:
        return
    name, spec, limits = material.dataset.name, context.model.images, context.limits
    counts, views = (f"up to {limits.train:,}", f"up to {limits.val:,}"), "random crops and, where classes allow, flips"
    protocol = finetune.protocol_of(context.model.device, *counts, views) + (
        ". Images of another data set than the one trained on, "
        f"brought to {spec.size} px and {spec.channels} channel{'s' * (spec.channels > 1)}."
    )
    material = material.shaped(spec)
    outcomes = finetune.finetune_both(context, material)
    labels = np.asarray(material.test.labels)
    rows = [outcome.row(labels) | {"space": context.model.default, "target": name} for outcome in outcomes]
    _write(context, "transfer_finetune", name, protocol, len(labels), rows)


def _target(context: Context, evaluation: str, target: str | None) -> Material | None:
    """The images of the target; None where it does not fit, with the reason written."""
    name = target or (OTHERWISE if context.material.dataset.name == DEFAULT else DEFAULT)
    material = Material(_dataset(context.model.config, name), context.limits)
    whose, own = f"The run {context.run.id} was", _fingerprint(context.run)
    reason = _unfit(whose, own, context.model.config, name, material.dataset) or material.unlabelled()
    if reason and not context.run.evaluation(evaluation).get("rows"):  # those of other targets stay
        context.skip(evaluation, reason)
    return None if reason else material


def _write(context: Context, evaluation: str, target: str, protocol: str, n: int, rows: list[Row]) -> None:
    """Write the rows of a target beside those of others that were measured with the same weights in the same way."""
    known = context.run.evaluation(evaluation)
    same = known.get("checkpoint") == context.model.checkpoint and known.get("protocol") == protocol
    earlier = known.get("rows") if same else None
    earlier = [row for row in earlier if isinstance(row, dict)] if isinstance(earlier, list) else []
    rows = rows + [row for row in earlier if row.get("target") not in (None, target)]
    targets = list(dict.fromkeys(row["target"] for row in rows))
    context.write(evaluation, protocol, n, rows=rows, targets=targets, default=context.model.default)


def _dataset(config: TrainConfig, target: str) -> datasets.Dataset:
    """The target, from the cache folder that the run used."""
    options = replace(config.data_options, limit=None, image_size=None, split="train")
    return datasets.load(target, options, config.download)


def _fingerprint(run: Run) -> str | None:
    data = run.info().get("data")
    return data.get("fingerprint") if isinstance(data, dict) else None


def _unfit(whose: str, fingerprint: str | None, config: TrainConfig, target: str, dataset: datasets.Dataset) -> str:
    """Why a run, or a sweep, cannot be probed on a data set, or an empty text; ``whose`` begins it."""
    # At another size the same images have another fingerprint.
    if fingerprint == dataset.fingerprint or target == config.data or _place(target) == _place(config.data):
        return f"{whose} trained on {dataset.name} itself, which is no transfer."
    if dataset.classes is None or dataset.train.labels is None or dataset.test.labels is None:
        return f"The images of {dataset.name} have no labels to predict."
    if len(np.unique(np.asarray(dataset.train.labels))) < 2:
        return f"The training images of {dataset.name} are all of one class."
    return ""


def _place(data: str) -> Path:
    return Path(data).expanduser().resolve()
