"""Weighted k-nearest-neighbour classification of the test images."""

from collections.abc import Iterator

import numpy as np

from workbench.evaluation.context import Context, Row, Subject
from workbench.metrics.intervals import bootstrap_mean
from workbench.metrics.knn import knn_predict, knn_sweep

KS, TEMPERATURE = (1, 5, 10, 20, 50, 100, 200), 0.07


def evaluate(context: Context) -> None:
    """Write ``knn.json``."""
    material = context.material
    if reason := material.unlabelled():
        return context.skip("knn", reason)
    train_labels, val_labels, labels = (
        np.asarray(split.labels) for split in (material.train, material.val, material.test)
    )
    classes = len(material.dataset.classes or ())
    ks = [k for k in KS if k <= len(train_labels)]
    protocol = (
        f"Weighted kNN (Wu et al. 2018): the k nearest of {len(train_labels):,} training images by cosine vote with "
        f"weight exp(cosine / {TEMPERATURE}); k of {', '.join(map(str, ks))} chosen on {len(val_labels):,} validation "
        "images; 95 % bootstrap interval over test images."
    )

    def measure(subject: Subject) -> Iterator[Row]:
        for space, features in subject.features.test.items():
            bank, val = subject.features.train[space], subject.features.val[space]
            swept = knn_sweep(bank, train_labels, val, classes, ks, TEMPERATURE)
            validation = [float(np.mean(predicted == val_labels)) for predicted in swept]
            k = ks[int(np.argmax(validation))]  # the smallest among equals
            predicted = knn_predict(bank, train_labels, features, classes, k, TEMPERATURE)
            value, low, high = bootstrap_mean(100.0 * (predicted == labels))
            row: Row = {"space": space, "metric": "top1", "value": value, "low": low, "high": high}
            yield row | {"k": k, "dim": features.shape[1], "validation": 100 * max(validation)}

    rows = context.rows("knn", protocol, measure)
    context.write("knn", protocol, len(labels), rows=rows, default=context.model.default)
