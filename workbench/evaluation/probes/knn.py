"""Weighted k-nearest-neighbour classification of the test images."""

from collections.abc import Iterator

import numpy as np

from workbench.evaluation.context import Context, Row, Subject, accuracy
from workbench.metrics.knn import knn_predict, knn_sweep

KS, TEMPERATURE = (1, 5, 10, 20, 50, 100, 200), 0.07


def evaluate(context: Context) -> None:
    """Write ``knn.json``."""
    material = context.material
    if reason := material.unlabelled():
        return context.skip("knn", reason)
    (train_labels, val_labels, labels), classes = material.labels, material.class_count
    ks = [k for k in KS if k <= len(train_labels)]
    protocol = (
        f"Weighted kNN (Wu et al. 2018): the k nearest of {len(train_labels):,} training images by cosine vote with "
        f"weight exp(cosine / {TEMPERATURE}); k of {', '.join(map(str, ks))} chosen on {len(val_labels):,} validation "
        "images; 95 % Wilson interval over test images."
    )

    def measure(subject: Subject) -> Iterator[Row]:
        for space in subject.features.test:
            bank, val, test = subject.features.of(space)
            swept = knn_sweep(bank, train_labels, val, classes, ks, TEMPERATURE)
            validation = [float(np.mean(predicted == val_labels)) for predicted in swept]
            k = ks[int(np.argmax(validation))]  # the smallest among equals
            predicted = knn_predict(bank, train_labels, test, classes, k, TEMPERATURE)
            row = {"space": space, **accuracy(predicted, labels)}
            yield row | {"k": k, "dim": test.shape[1], "validation": 100 * max(validation)}

    rows = context.rows("knn", protocol, measure)
    context.write("knn", protocol, len(labels), rows=rows, default=context.model.default)
