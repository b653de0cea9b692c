"""Factor probes: how well linear models predict the known factors of images from features."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from workbench.data.datasets import Split
from workbench.evaluation.context import Context, Row, Subject
from workbench.metrics.intervals import bootstrap_r2, proportion
from workbench.metrics.linear_probe import circle, linear_probe, ridge_predict


def evaluate(context: Context) -> None:
    """Write ``factors.json``; the label is the factor ``class``."""
    material = context.material
    kinds = {name: material.factor_kind(name) for name in _varying(material.train)}
    # R² is a part of the variance among test images, so there has to be some.
    kinds = {name: kind for name, kind in kinds.items() if kind == "categorical" or name in _varying(material.test)}
    if not kinds:
        return context.skip("factors", f"Nothing is known of what varies in the images of {material.dataset.name}.")
    splits = material.splits
    periods = material.dataset.periods
    numbers = [name for name, kind in kinds.items() if kind != "categorical"]
    train, val, test = ([_target(split, name, periods) for name in numbers] for split in splits)
    protocol = (
        f"Linear models on standardised features of {len(material.train):,} training images, their regularisation "
        f"chosen per factor on {len(material.val):,} validation images: ridge regression and its R² for continuous "
        "factors, R² of sine and cosine together for circular ones, logistic regression and its accuracy for "
        "categories; 95 % interval over test images (of accuracies Wilson's, of R² bootstrap)."
    )

    def measure(subject: Subject) -> Iterator[Row]:
        features = subject.features
        for space in features.test:
            if not material.unlabelled() and "class" not in kinds:
                yield _accuracy(space, "class", context.label_probe(subject, space).predicted, material.test.labels)
            x, x_val, x_test = features.of(space)
            predicted = ridge_predict(x, train, x_val, val, x_test) if numbers else []
            for name, truth, estimate in zip(numbers, test, predicted, strict=True):
                row = {"space": space, "factor": name, "metric": "r2", "chance": 0.0}
                yield row | bootstrap_r2(truth, estimate)._asdict()
            for name in (name for name, kind in kinds.items() if kind == "categorical"):
                y, y_val, y_test = ((split.factors or {})[name].astype(np.int64) for split in splits)
                yield _accuracy(space, name, linear_probe(x, y, x_val, y_val, x_test).predicted, y_test)

    rows = context.rows("factors", protocol, measure)
    context.write("factors", protocol, len(material.test), rows=rows, default=context.model.default, kinds=kinds)


def _accuracy(space: str, factor: str, predicted: NDArray[np.int64], truth: NDArray[np.int64] | None) -> Row:
    """A row in percent; chance is the share of the most frequent category."""
    known = np.asarray(truth)
    chance = 100.0 * float(np.unique(known, return_counts=True)[1].max() / len(known))
    row: Row = {"space": space, "factor": factor, "metric": "accuracy", "chance": chance}
    return row | proportion(predicted == known)._asdict()


def _varying(split: Split) -> list[str]:
    """The factors that are not the same in all images."""
    return [name for name, values in (split.factors or {}).items() if len(np.unique(values)) > 1]


def _target(split: Split, name: str, periods: dict[str, float]) -> NDArray[np.float64]:
    """A factor as what a linear model can be fitted to, (n, outputs)."""
    values = np.asarray((split.factors or {})[name], dtype=np.float64)
    return circle(values, periods[name]) if name in periods else values[:, None]
