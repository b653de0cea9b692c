"""Instance similarity: whether features of an image match those of another view of it."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from workbench.data import keyed
from workbench.data.arrays import channels_first, to_uint8
from workbench.data.augment import Augmentation
from workbench.evaluation.context import Context, Row
from workbench.evaluation.features import Spaces
from workbench.metrics.intervals import proportion
from workbench.metrics.similarity import class_means, cosine_matrix

CROP_MIN = 0.5


def evaluate(context: Context) -> None:
    """Write ``similarity.json``, the matrices of the run's spaces, and once per data set the two views themselves."""
    material, run = context.material, context.run
    chosen = material.probe.take(material.spread(context.limits.similarity))
    if len(chosen) < 2:
        reason = f"The probe set of {material.dataset.name} has one image, and no other to tell it from."
        return context.skip("similarity", reason)
    first, second = views(chosen.images, chosen.ids)
    context.probe.write_array("similarity-views", np.stack([first, second]))
    protocol = (
        f"Cosine between two views of the same {len(chosen)} probe images, sorted by class; both views cropped to at "
        f"least {100 * CROP_MIN:.0f} % of the area, mirrored with probability 0.5 and jittered in colour with 0.8, "
        "alike for every model; matching: rows of view A whose most similar column is their own view B; 95 % Wilson "
        "interval over images."
    )

    def measure(model: str, a: Spaces, b: Spaces) -> Iterator[tuple[Row, NDArray[np.float32]]]:
        for space in a:
            matrix = cosine_matrix(a[space], b[space])
            matches = matrix.argmax(axis=1) == np.arange(len(matrix))
            row = {"model": model, "space": space, "metric": "matching", **proportion(matches)._asdict()}
            own = float(np.diag(matrix).mean())
            others = float((matrix.sum() - np.trace(matrix)) / (matrix.size - len(matrix)))
            yield row | {"diagonal": own, "off_diagonal": others}, matrix

    rows: list[Row] = []
    spaces: dict[str, Row] = {}
    for row, matrix in measure("run", context.model.encode(first), context.model.encode(second)):
        space = row["space"]
        rows.append(row)
        spaces[space] = {key: row[key] for key in ("diagonal", "off_diagonal")} | {"matching": row["value"]}
        run.write_array(f"similarity-{space}", matrix)
        if chosen.labels is not None:
            run.write_array(f"class-similarity-{space}", class_means(matrix, chosen.labels, material.class_count))
    untrained = [context.untrained_model.encode(view) for view in (first, second)]
    flat = [{"pixels": view.reshape(len(view), -1).astype(np.float32)} for view in (first, second)]
    for model, features in ((f"untrained:{context.method}", untrained), ("pixels", flat)):
        rows += [row for row, _ in measure(model, *features)]
    run.write_array("similarity-ids", np.asarray(chosen.ids))
    if chosen.labels is not None:
        run.write_array("similarity-labels", np.asarray(chosen.labels))
    context.write("similarity", protocol, len(chosen), "probe", rows=rows, spaces=spaces, default=context.model.default)


def views(images: NDArray[np.uint8], ids: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two random views (n, H, W, C) of each image, determined by its id."""
    augmentation = Augmentation(size=images.shape[1], crop_min=CROP_MIN, grey=0.0)
    batch = channels_first(images)
    keys = keyed.fork(keyed.sample_keys(0, 0, torch.from_numpy(np.array(ids))), "similarity")
    first, second = (to_uint8(augmentation(batch, keyed.fork(keys, view))) for view in (0, 1))
    return first, second
