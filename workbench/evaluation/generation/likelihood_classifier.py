"""Classification by a generative model: the label under which it finds an image most probable."""

import time

import numpy as np

from workbench.evaluation.context import Context, Row
from workbench.metrics.intervals import bootstrap_mean


def evaluate(context: Context) -> None:
    """Write ``classify.json``: Bayes' rule with equal class probabilities (Li et al. 2023, arXiv 2303.16203)."""
    classes, material = context.model.label_count, context.material
    if not classes:
        return context.skip("classify", f"{context.method} was not told the labels; only class-conditional models are.")
    if reason := material.unlabelled():
        return context.skip("classify", reason)
    rows = np.linspace(0, len(material.test) - 1, min(context.limits.likelihood, len(material.test)))
    positions = rows.round().astype(np.int64)
    chosen = material.test.take(positions)
    images, labels = np.asarray(chosen.images), np.asarray(chosen.labels)
    start = time.perf_counter()
    nats = [context.model.label_nats(images, label, chosen.ids) for label in context.track(range(classes), "labels")]
    seconds = (time.perf_counter() - start) / len(images)
    predicted = np.argmin(nats, axis=0)
    linear = context.label_probe(context.trained, context.model.default).predicted[positions]
    found: list[Row] = []
    for model, told, more in (
        ("run", predicted, {"seconds_per_image": seconds, "space": "bound of each label"}),
        ("linear probe", linear, {"space": context.model.default}),
    ):
        value, low, high = bootstrap_mean(100.0 * (told == labels))
        row: Row = {"model": model, "metric": "top1", "value": value, "low": low, "high": high}
        found.append(row | more)
    context.run.write_array("classified-predicted", predicted)
    context.run.write_array("classified-ids", np.asarray(chosen.ids))
    context.run.write_array("classified-labels", labels)
    protocol = (
        f"The label, of {classes} equally probable ones, under which {len(images):,} test images are most probable by "
        "the model's bound, with the same noise for every label; seconds per image on the device of the evaluation; "
        "beside it the linear probe of the default features on the same images; 95 % bootstrap interval over images."
    )
    context.write("classify", protocol, len(images), rows=found, classes=material.dataset.classes)
