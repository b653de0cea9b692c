"""Linear probe: multinomial logistic regression on the features."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from workbench.evaluation.context import Context, Row, Subject, accuracy
from workbench.metrics.linear_probe import MAX_ITERATIONS


def evaluate(context: Context) -> None:
    """Write ``linear.json``."""
    material = context.material
    if reason := material.unlabelled():
        return context.skip("linear", reason)
    (_, _, labels), classes = material.labels, material.class_count
    protocol = (
        f"Multinomial logistic regression on standardised features of {len(material.train):,} training images (L-BFGS, "
        f"at most {MAX_ITERATIONS} iterations); L2 regularisation chosen on {len(material.val):,} validation images; "
        "95 % Wilson interval over test images; predictions kept by sample id."
    )

    def measure(subject: Subject) -> Iterator[Row]:
        for space, features in subject.features.test.items():
            probe = context.label_probe(subject, space)
            row = {"space": space, **accuracy(probe.predicted, labels), "dim": features.shape[1]}
            row |= {"regularisation": probe.regularisation, "validation": 100 * probe.validation_accuracy}
            if space == subject.default:
                confusion = confusion_matrix(labels, probe.predicted, labels=np.arange(classes))
                counts = confusion.sum(axis=1)
                share = np.where(counts > 0, 100.0 * np.diag(confusion) / np.maximum(counts, 1), np.nan)
                row |= {"per_class": share, "confusion": confusion}
            yield row

    rows = context.rows("linear", protocol, measure)
    pixels = next(row["value"] for row in rows if row["model"] == "pixels")
    context.run.write_array("pixels-predicted", _pixel_predictions(context, labels, pixels))
    for subject in (context.trained, context.untrained):  # all at once: they share their sample ids
        for space in subject.features.test:
            context.keep(subject, f"predicted-{space}", context.label_probe(subject, space).predicted)
    context.run.write_array("predicted-ids", np.asarray(material.test.ids))
    context.run.write_array("predicted-labels", labels)
    names, default = material.dataset.classes, context.model.default
    context.write("linear", protocol, len(labels), rows=rows, classes=names, default=default)


def _pixel_predictions(context: Context, labels: NDArray[np.int64], top1: float) -> np.ndarray:
    """The classes (n,) predicted by the probe of pixels whose accuracy in % is that of the shared row.

    They are stored with the probe set, and fitted again where an evaluation of other images has overwritten them.
    """
    predicted = context.baselines.array("pixels-predicted")
    if (
        predicted is None
        or predicted.shape != labels.shape
        or not np.isclose(100.0 * np.mean(predicted == labels), top1)
    ):
        predicted = context.label_probe(context.pixels, "pixels").predicted
        context.keep(context.pixels, "pixels-predicted", predicted)
    return predicted
