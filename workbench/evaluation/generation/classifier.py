"""Classification by a generative model: the label under which an image is most probable."""

import time

import numpy as np

from workbench.evaluation.context import Context, Row, accuracy
from workbench.evaluation.features import spread


def evaluate(context: Context) -> None:
    """Write ``classify.json``: Bayes' rule with equal class probabilities (Li et al. 2023, arXiv 2303.16203)."""
    classes, material, default = context.model.label_count, context.material, context.model.default
    if not classes:
        return context.skip("classify", f"{context.method} was not told the labels; only class-conditional models are.")
    if reason := material.unlabelled():
        return context.skip("classify", reason)
    positions = spread(len(material.test), context.limits.likelihood)
    chosen = material.test.take(positions)
    images, labels = np.asarray(chosen.images), np.asarray(chosen.labels)
    start = time.perf_counter()
    nats = [context.model.label_nats(images, label, chosen.ids) for label in context.track(range(classes), "labels")]
    seconds = (time.perf_counter() - start) / len(images)
    predicted = np.argmin(nats, axis=0)
    linear = context.label_probe(context.trained, default).predicted[positions]
    rows: list[Row] = [
        {"model": "run", **accuracy(predicted, labels), "seconds_per_image": seconds, "space": "bound of each label"},
        {"model": "linear probe", **accuracy(linear, labels), "space": default},
    ]
    context.run.write_array("classified-predicted", predicted)
    context.run.write_array("classified-ids", np.asarray(chosen.ids))
    context.run.write_array("classified-labels", labels)
    protocol = (
        f"The label, of {classes} equally probable ones, under which {len(images):,} test images are most probable by "
        "the model's bound, with the same noise for every label; seconds per image on the device of the evaluation; "
        "beside it the linear probe of the default features on the same images; 95 % Wilson interval over images."
    )
    context.write("classify", protocol, len(images), rows=rows, classes=material.dataset.classes)
