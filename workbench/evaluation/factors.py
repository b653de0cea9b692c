"""Factor probes: which of an image's known factors can be read from its features, linearly."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from workbench.data.datasets import Split
from workbench.evaluation.context import Context, Row, Subject
from workbench.metrics.intervals import bootstrap_mean, bootstrap_r2
from workbench.metrics.linear_probe import circle, ridge_predict


def evaluate(context: Context) -> None:
    """Write ``factors.json``."""
    material = context.material
    names = material.dataset.factors
    if not names:
        return context.skip("factors", f"No factors are known of the images of {material.dataset.name}.")
    kinds = {name: material.factor_kind(name) for name in names}
    if not material.unlabelled() and "class" not in kinds:
        kinds = {"class": "categorical"} | kinds
    targets = [
        [_target(context, split, name, kind) for name, kind in kinds.items()]
        for split in (material.train, material.val, material.test)
    ]
    protocol = (
        f"Ridge regression on standardised features of {len(material.train):,} training images, its regularisation "
        f"chosen per factor on {len(material.val):,} validation images; R² of continuous factors, of sine and cosine "
        "together where a factor is circular, accuracy of the largest output where it is categorical; 95 % bootstrap "
        "interval over test images."
    )

    def measure(subject: Subject) -> Iterator[Row]:
        train, val, test = targets
        features = subject.features
        for space in features.test:
            predicted = ridge_predict(features.train[space], train, features.val[space], val, features.test[space])
            for (name, kind), truth, guess in zip(kinds.items(), test, predicted, strict=True):
                row: Row = {"space": space, "factor": name}
                if kind == "categorical":
                    value, low, high = bootstrap_mean(100.0 * (guess.argmax(axis=1) == truth.argmax(axis=1)))
                    row |= {"metric": "accuracy", "chance": 100.0 * float(truth.mean(axis=0).max())}
                else:
                    value, low, high = bootstrap_r2(truth, guess)
                    row |= {"metric": "r2", "chance": 0.0}
                yield row | {"value": value, "low": low, "high": high}

    rows = context.rows("factors", protocol, measure)
    context.write("factors", protocol, len(material.test), rows=rows, default=context.model.default, kinds=kinds)


def _target(context: Context, split: Split, name: str, kind: str) -> NDArray[np.float64]:
    """A factor as what a linear model can be fitted to, (n, outputs)."""
    dataset = context.material.dataset
    if name == "class" and split.labels is not None and name not in dataset.factors:
        return np.eye(len(dataset.classes or ()))[split.labels]
    values = np.asarray((split.factors or {})[name], dtype=np.float64)
    if kind == "circular":
        return circle(values, dataset.periods[name])
    if kind == "categorical":
        known = np.unique(np.asarray((dataset.train.factors or {})[name]))
        return (values[:, None] == known).astype(np.float64)
    return values[:, None]
