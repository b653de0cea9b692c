"""Weighted k-nearest-neighbour classification of the test images."""

from collections.abc import Iterator

import numpy as np

from workbench.evaluation.context import Context, Row, Subject
from workbench.metrics.intervals import bootstrap_mean
from workbench.metrics.knn import knn_predict

K, TEMPERATURE = 20, 0.07


def evaluate(context: Context) -> None:
    """Write ``knn.json``."""
    material = context.material
    if reason := material.unlabelled():
        return context.skip("knn", reason)
    train_labels, labels = np.asarray(material.train.labels), np.asarray(material.test.labels)
    classes = len(material.dataset.classes or ())
    protocol = (
        f"Weighted kNN (Wu et al. 2018): the {K} nearest of {len(train_labels):,} training images by cosine vote with "
        f"weight exp(cosine / {TEMPERATURE}); nothing is chosen; 95 % bootstrap interval over test images."
    )

    def measure(subject: Subject) -> Iterator[Row]:
        for space, features in subject.features.test.items():
            bank = subject.features.train[space]
            predicted = knn_predict(bank, train_labels, features, classes, K, TEMPERATURE)
            value, low, high = bootstrap_mean(100.0 * (predicted == labels))
            row: Row = {"space": space, "metric": "top1", "value": value, "low": low, "high": high}
            yield row | {"k": K, "dim": features.shape[1]}

    rows = context.rows("knn", protocol, measure)
    context.write("knn", protocol, len(labels), rows=rows, default=context.model.default)
