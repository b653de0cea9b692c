"""Retrieval: every probe image is a query for its nearest neighbours among the others."""

from collections.abc import Iterator

import numpy as np

from workbench.evaluation.context import Context, Row, Subject, measured
from workbench.metrics.agreement import nearest_images
from workbench.metrics.retrieval import average_precision, same_class

K, STORED = 10, 20  # neighbours that mAP counts, and that are stored


def evaluate(context: Context) -> None:
    """Write ``retrieval.json`` and the neighbours' ids; without labels there are only the ids."""
    probe = context.material.probe
    n, ids = len(probe), np.asarray(probe.ids, np.int64)
    if n < 2:
        reason = f"The probe set of {context.material.dataset.name} has one image, and no other to retrieve."
        return context.skip("retrieval", reason)
    protocol = (
        f"mAP@{K} (Weyand et al. 2020) in %: each of {n:,} probe images ranks the others by cosine, those of its class "
        f"are relevant; AP@{K} = 1 / min(R, {K}) of the sum of the precision at each relevant rank up to {K}, R being "
        "the relevant images that there are; 95 % bootstrap interval over queries."
    )

    def measure(subject: Subject) -> Iterator[Row]:
        for space, features in subject.features.test.items():
            nearest = nearest_images(features[:n], min(STORED, n - 1))
            context.keep(subject, f"neighbours-{space}", ids[nearest])
            row = _mean_average_precision(nearest, probe.labels)
            if row:
                yield {"space": space, **row, "dim": features.shape[1]}

    rows = context.rows("retrieval", protocol, measure)
    spaces = list(context.trained.features.test)
    context.write("retrieval", protocol, n, "probe", rows=rows, spaces=spaces, default=context.model.default, k=K)


def _mean_average_precision(nearest: np.ndarray, labels: np.ndarray | None) -> Row | None:
    """mAP@10 over the queries that have a relevant image, or None where there is no such query."""
    if labels is None:
        return None
    relevant, total = same_class(nearest, np.asarray(labels))
    scores = average_precision(relevant[:, :K], total)
    scores = scores[np.isfinite(scores)]
    if not len(scores):
        return None
    return measured(f"map@{K}", 100.0 * scores) | {"queries": len(scores)}
