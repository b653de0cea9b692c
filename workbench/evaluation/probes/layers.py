"""Linear probes of the class at every layer, at full width and at equal widths."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from workbench.data.datasets import Split
from workbench.evaluation.context import Context, Row, accuracy
from workbench.evaluation.features import Material
from workbench.methods.base import Layer
from workbench.metrics.linear_probe import linear_probe
from workbench.model import TrainedModel

WIDTHS = (32, 128)
REGULARISATION = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)  # coarse, as there may be a hundred probes to fit
PIXELS = Layer("pixels", "pixels", 0, "vector")

Array = NDArray[np.floating]


def evaluate(context: Context) -> None:
    """Write ``layers.json``."""
    material = context.material
    if reason := material.unlabelled():
        return context.skip("layers", reason)
    train, val, test = splits = _images(material)
    protocol = (
        f"Multinomial logistic regression on standardised features of {len(train):,} training images at every layer, "
        f"maps and patches averaged over positions; at widths of {' and '.join(map(str, WIDTHS))} on as many principal "
        "components of these images' standardised features, where a layer has so many; L2 regularisation and best "
        f"layer chosen on {len(val):,} validation images; the untrained network read at one noise level; 95 % "
        "Wilson interval over test images."
    )
    labels = [np.asarray(split.labels) for split in splits]

    def measure(name: str, model: TrainedModel, levels: Sequence[int | None]) -> list[Row]:
        rows: list[Row] = []
        for level in context.track(levels, "layers"):  # one by one, so that not all are in memory
            by_split = [model.layers(split.images, level) for split in splits]
            for layer in by_split[0]:
                rows += _probes(layer, [features[layer] for features in by_split], labels)
        rows.sort(key=lambda row: row["depth"])
        return [{"model": name, **row} for row in rows]

    rows = measure("run", context.model, context.model.levels)
    best = best_spaces(rows)
    rows += measure(f"untrained:{context.method}", context.untrained_model, (None,))
    rows += context.shared_rows("layers", protocol, partial(_pixel_rows, material, labels))
    context.write("layers", protocol, len(test), rows=rows, best=best, default=context.model.default)


def best_spaces(rows: Sequence[Row]) -> dict[str, str]:
    """By width, the space whose probe does best on the validation images; the first in order among equals."""
    by_width: dict[str, list[Row]] = {}
    for row in rows:
        by_width.setdefault(str(row["width"]), []).append(row)
    return {width: max(group, key=lambda row: row["validation"])["space"] for width, group in by_width.items()}


def at_widths(features: Sequence[Array]) -> dict[str | int, list[Array]]:
    """Features (n, D) of the training, validation and test images, and the same at each of :data:`WIDTHS` up to D.

    They are reduced by PCA of the training images' standardised features; features that have a width already stay as
    they are.
    """
    full, dim = list(features), features[0].shape[1]
    widths: dict[str | int, list[Array]] = {"full": full}
    smaller = [width for width in WIDTHS if width < dim and width <= len(features[0])]
    if smaller:
        scaler = StandardScaler().fit(full[0])
        pca = PCA(max(smaller), random_state=0).fit(scaler.transform(full[0]))
        components = [pca.transform(scaler.transform(split)) for split in full]
        widths |= {width: [split[:, :width] for split in components] for width in smaller}
    return widths | ({dim: full} if dim in WIDTHS else {})


def _probes(layer: Layer, features: Sequence[Array], labels: Sequence[NDArray[np.int64]]) -> Iterator[Row]:
    """A row per width of one layer, given features and labels of the training, validation and test images."""
    for width, (train, val, test) in at_widths(features).items():
        probe = linear_probe(train, labels[0], val, labels[1], test, REGULARISATION)
        row: Row = {"space": layer.space, "layer": layer.name, "depth": layer.depth, "reading": layer.reading}
        row |= {"t": layer.t, "width": width, "dim": features[0].shape[1], "regularisation": probe.regularisation}
        yield row | accuracy(probe.predicted, labels[2]) | {"validation": 100 * probe.validation_accuracy}


def _pixel_rows(material: Material, labels: Sequence[NDArray[np.int64]]) -> Iterator[Row]:
    pixels = zip(material.pixels.of("pixels"), _rows(material), strict=True)
    return _probes(PIXELS, [features[rows] for features, rows in pixels], labels)


def _images(material: Material) -> tuple[Split, Split, Split]:
    """The training, validation and test images that are read."""
    train, val, test = _rows(material)
    return material.train.take(train), material.val.take(val), material.test.take(test)


def _rows(material: Material) -> tuple[slice, slice, NDArray[np.int64] | slice]:
    """The rows of these images; a part of the probe set, which is sorted by class, is spread over it."""
    n = material.limits.layer_test
    test = material.spread(n) if n < len(material.probe) else slice(n)
    return slice(material.limits.layer_train), slice(None), test
