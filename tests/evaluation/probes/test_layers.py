from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import CLASSES, SIDE, Tiny, TinyConfig
from tests.evaluation.conftest import rows_with
from workbench.evaluation.features import Limits
from workbench.evaluation.probes import layers
from workbench.methods.base import ImageSpec, Layer
from workbench.metrics.linear_probe import linear_probe

WIDTHS = {"wide": ["full", 32], "quarters": ["full"], "noise": ["full", 32]}  # of the layers below


class Deep(Tiny):
    """Layers of known content at two noise levels: a wide one, blur, which keeps the class, and noise without any."""

    levels = (10, 200)

    def layers(self, images, level=None):
        level = 10 if level is None else level
        quarters = nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)
        generator = torch.Generator().manual_seed(int(images.sum() * 1000) % 2**31)
        noise = torch.randn(len(images), 40, generator=generator)
        wide = torch.cat([images.flatten(1), noise], dim=1)
        if level == 200:
            quarters = torch.rand(quarters.shape, generator=generator)
        found = enumerate({"wide": wide, "quarters": quarters, "noise": noise}.items())
        return {Layer(f"{name}@t={level}", name, depth, t=level): features for depth, (name, features) in found}


@pytest.fixture
def written(evaluation_of) -> dict[str, Any]:
    return evaluation_of(layers, method=Deep(TinyConfig(), ImageSpec(3, SIDE)))[1]


def test_a_row_per_model_layer_level_and_width(written):
    keys = ("space", "layer", "depth", "t", "width")
    found = [tuple(row[key] for key in keys) for row in rows_with(written, model="run")]
    assert found == [
        (f"{name}@t={t}", name, depth, t, width)
        for depth, (name, widths) in enumerate(WIDTHS.items())
        for t in (10, 200)
        for width in widths
    ]
    assert {row["dim"] for row in rows_with(written, layer="wide")} == {232}
    # Quarters have 12 dimensions, and 90 training images have no 128 components.
    assert [row["width"] for row in rows_with(written, model="pixels")] == ["full", 32]
    untrained = [(row["space"], row["width"]) for row in rows_with(written, model="untrained:vae")]
    assert untrained == [("random", "full"), ("quarters", "full")]
    assert all(0 <= row["low"] <= row["value"] <= row["high"] <= 100 for row in written["rows"])
    assert (written["n"], written["split"], written["default"]) == (60, "test", "quarters")


def test_the_class_is_found_where_it_is_and_nowhere_else(written):
    (there,) = rows_with(written, layer="quarters", t=10, model="run")
    (gone,) = rows_with(written, layer="quarters", t=200, model="run")
    assert there["value"] > 90 and gone["value"] < 60
    assert all(row["value"] < 60 for row in rows_with(written, layer="noise"))


def test_the_best_layer_is_chosen_on_validation_images_alone():
    rows = [
        {"space": "a", "width": "full", "validation": 70.0, "value": 60.0},
        {"space": "b", "width": "full", "validation": 71.0, "value": 50.0},
        {"space": "c", "width": "full", "validation": 71.0, "value": 90.0},
        {"space": "a", "width": 32, "validation": 10.0, "value": 10.0},
    ]
    assert layers.best_spaces(rows) == {"full": "b", "32": "a"}


def test_the_best_layers_are_named(written):
    best = {"full": rows_with(written, model="run", width="full"), "32": rows_with(written, model="run", width=32)}
    for width, rows in best.items():
        top = max(row["validation"] for row in rows)
        assert written["best"][width] in [row["space"] for row in rows if row["validation"] == top]


def test_accuracy_is_that_of_a_probe_on_these_very_images(evaluation_of):
    context, written = evaluation_of(layers)
    (row,) = rows_with(written, model="run", space="random")
    train, val, test = (getattr(context.trained.features, split)["random"] for split in ("train", "val", "test"))
    labels = [np.asarray(getattr(context.material, split).labels) for split in ("train", "val", "test")]
    probe = linear_probe(train, labels[0], val, labels[1], test, layers.REGULARISATION)
    assert row["value"] == pytest.approx(100 * np.mean(probe.predicted == labels[2]))
    assert row["validation"] == pytest.approx(100 * probe.validation_accuracy)


def test_principal_components_come_from_the_training_images_alone():
    rng = np.random.default_rng(0)
    train, val, test = (rng.normal(size=(n, 200)) * np.linspace(1, 9, 200) for n in (300, 50, 60))
    found = layers.at_widths((train, val, test))
    assert list(found) == ["full", 32, 128]
    assert [part.shape for part in found[32]] == [(300, 32), (50, 32), (60, 32)]
    np.testing.assert_array_equal(found["full"][2], test)
    other = layers.at_widths((train, 5 * val, test[:7] + 3))
    np.testing.assert_allclose(other[128][0], found[128][0])
    # Scaling a feature changes nothing, since all are standardised first; the components are uncorrelated.
    scaled = layers.at_widths([part * np.linspace(9, 1, 200) for part in (train, val, test)])
    np.testing.assert_allclose(np.abs(scaled[32][2]), np.abs(found[32][2]), rtol=1e-3, atol=1e-3)
    covariance = np.cov(found[32][0].T)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 0.05 * covariance.max()


def test_features_that_have_a_width_already_stay_as_they_are():
    splits = [np.random.default_rng(n).normal(size=(n, 32)) for n in (60, 20, 30)]
    found = layers.at_widths(splits)
    assert list(found) == ["full", 32]
    assert all(found[32][part] is splits[part] for part in range(3))


def test_fewer_images_are_read_where_there_are_limits(make_context):
    context = make_context()
    context.material.limits = Limits(train=90, val=40, test=60, layer_train=45, layer_test=30)
    layers.evaluate(context)
    written = context.run.evaluation("layers")
    assert written["n"] == 30 and "45 training images" in written["protocol"]
    labels = np.asarray(context.material.test.labels)[context.material.spread(30)]
    assert set(np.bincount(labels)) == {30 // len(CLASSES)}  # of every class, though the probe set is sorted by class


def test_layers_without_labels_are_skipped_with_a_reason(evaluation_of):
    _, written = evaluation_of(layers, labels=False)
    assert "tiny" in written["skipped"]
