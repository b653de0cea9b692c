"""Transfer: what features learnt on one data set are worth on another."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from workbench.config import TrainConfig
from workbench.data import datasets
from workbench.errors import WorkbenchError
from workbench.evaluation import fitting
from workbench.evaluation.context import Context, Row, Subject
from workbench.evaluation.features import Material
from workbench.metrics.linear_probe import linear_probe
from workbench.store import Run
from workbench.training.checkpoint import read_config

DEFAULT, OTHERWISE = "digits", "shapes"  # the target, and that of runs that were trained on it; neither is downloaded


def check(runs: Sequence[Run], target: str | None) -> None:
    """Raise a WorkbenchError unless every run can be probed on the target, so that nothing is computed in vain."""
    for run in runs:
        if target is None:
            continue
        config = read_config(run)[1]
        if reason := _unfit(run, config, target, _dataset(config, target)):
            raise WorkbenchError(f"{reason} Choose another --transfer-to.")


def evaluate(context: Context, target: str | None = None) -> None:
    """Add the rows of one target to ``transfer.json``.

    Args:
        target: a data set's name or path; by default digits, for runs on these shapes.
    """
    name = target or (OTHERWISE if context.material.dataset.name == DEFAULT else DEFAULT)
    material = Material(_dataset(context.model.config, name), context.limits)
    if reason := _unfit(context.run, context.model.config, name, material.dataset) or material.unlabelled():
        if not context.run.evaluation("transfer").get("rows"):  # those of other targets stay
            context.skip("transfer", reason)
        return
    data, spec = material.dataset, context.model.images
    labels = np.asarray(material.test.labels)
    protocol = (
        "Multinomial logistic regression on standardised frozen features of another data set than the one trained on, "
        f"its images brought to {spec.size} px and {spec.channels} channel{'s' * (spec.channels > 1)}; up to "
        f"{context.limits.train:,} training images; L2 regularisation chosen on validation images; pixels at the "
        "target's own size; 95 % bootstrap interval over test images."
    )

    def measure(subject: Subject) -> Iterator[Row]:
        spaces = subject.features.test
        for space in context.track(list(spaces), f"{data.name}, probes of {subject.name}"):
            train, val, test = (getattr(subject.features, split)[space] for split in ("train", "val", "test"))
            train_labels, val_labels = np.asarray(material.train.labels), np.asarray(material.val.labels)
            probe = linear_probe(train, train_labels, val, val_labels, test)
            row: Row = {"model": subject.name, "space": space, "target": data.name}
            row |= fitting.accuracy(probe.predicted, labels) | {"dim": test.shape[1], "n": len(labels)}
            yield row | {"regularisation": probe.regularisation, "validation": 100 * probe.validation_accuracy}

    rows: list[Row] = []
    models = {"run": context.model, f"untrained:{context.method}": context.untrained_model}
    for model_name, model in models.items():
        rows += measure(Subject(model_name, material.encode(model), model.default))
    pixels = Subject("pixels", material.pixels, "pixels")
    rows += context.shared_rows(f"transfer-{data.fingerprint}", protocol, lambda: measure(pixels))
    rows += _earlier(context, data.name, protocol)
    targets = list(dict.fromkeys(row["target"] for row in rows))
    context.write("transfer", protocol, len(labels), rows=rows, targets=targets, default=context.model.default)


def _earlier(context: Context, target: str, protocol: str) -> list[Row]:
    """The rows of other targets, as long as they were measured with the same weights in the same way."""
    known = context.run.evaluation("transfer")
    same = known.get("checkpoint") == context.model.checkpoint and known.get("protocol") == protocol
    found = known.get("rows") if same else None
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    return [row for row in rows if row.get("target") not in (None, target)]


def _dataset(config: TrainConfig, target: str) -> datasets.Dataset:
    """The target, from the cache folder that the run used."""
    options = replace(config.data_options, limit=None, image_size=None, split="train")
    return datasets.load(target, options, config.download)


def _unfit(run: Run, config: TrainConfig, target: str, dataset: datasets.Dataset) -> str:
    """Why a run cannot be probed on a data set, or an empty text."""
    data = run.info().get("data")
    equal = isinstance(data, dict) and data.get("fingerprint") == dataset.fingerprint
    # At another size the same images have another fingerprint.
    if equal or target == config.data or _place(target) == _place(config.data):
        return f"The run {run.id} was trained on {dataset.name} itself, which is no transfer."
    if dataset.classes is None or dataset.train.labels is None or dataset.test.labels is None:
        return f"The images of {dataset.name} have no labels to be told."
    if len(np.unique(np.asarray(dataset.train.labels))) < 2:
        return f"The training images of {dataset.name} are all of one class."
    return ""


def _place(data: str) -> Path:
    return Path(data).expanduser().resolve()
