"""Linear probe: multinomial logistic regression on the features."""

from collections.abc import Iterator

import numpy as np
from sklearn.metrics import confusion_matrix

from workbench.evaluation.context import Context, Row, Subject
from workbench.metrics.intervals import bootstrap_mean
from workbench.metrics.linear_probe import MAX_ITERATIONS


def evaluate(context: Context) -> None:
    """Write ``linear.json``."""
    material = context.material
    if reason := material.unlabelled():
        return context.skip("linear", reason)
    labels = np.asarray(material.test.labels)
    classes = len(material.dataset.classes or ())
    protocol = (
        f"Multinomial logistic regression on standardised features of {len(material.train):,} training images (L-BFGS, "
        f"at most {MAX_ITERATIONS} iterations); L2 regularisation chosen on {len(material.val):,} validation images; "
        "95 % bootstrap interval over test images; predictions kept by sample id."
    )

    def measure(subject: Subject) -> Iterator[Row]:
        for space, features in subject.features.test.items():
            probe = context.label_probe(subject, space)
            value, low, high = bootstrap_mean(100.0 * (probe.predicted == labels))
            row: Row = {"space": space, "metric": "top1", "value": value, "low": low, "high": high}
            row |= {"dim": features.shape[1], "regularisation": probe.regularisation}
            row |= {"validation": 100 * probe.validation_accuracy}
            context.keep(subject, f"predicted-{space}", probe.predicted)
            if space == subject.default:
                confusion = confusion_matrix(labels, probe.predicted, labels=np.arange(classes))
                counts = confusion.sum(axis=1)
                share = np.where(counts > 0, 100.0 * np.diag(confusion) / np.maximum(counts, 1), np.nan)
                row |= {"per_class": share, "confusion": confusion}
            yield row

    rows = context.rows("linear", protocol, measure)
    context.run.write_array("predicted-ids", np.asarray(material.test.ids))
    context.run.write_array("predicted-labels", labels)
    context.write(
        "linear", protocol, len(labels), rows=rows, classes=material.dataset.classes, default=context.model.default
    )
