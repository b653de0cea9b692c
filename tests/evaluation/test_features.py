from dataclasses import replace

import numpy as np

from workbench import store
from workbench.data import datasets
from workbench.evaluation.features import Limits, Material
from workbench.files import encoded_names

LIMITS = Limits(train=90, val=40, test=30)


def test_test_images_begin_with_the_probe_set_and_hold_none_twice(make_dataset):
    dataset = make_dataset()
    material = Material(dataset, Limits(train=90, val=40, test=60))
    np.testing.assert_array_equal(material.probe.ids, datasets.probe(dataset, 60).ids)
    np.testing.assert_array_equal(material.test.ids[: len(material.probe)], material.probe.ids)
    assert len(set(material.test.ids.tolist())) == len(material.test) == 60
    known, taken = np.asarray(dataset.test.labels), np.asarray(material.test.labels)
    np.testing.assert_array_equal(taken, known[np.searchsorted(dataset.test.ids, material.test.ids)])


def test_splits_are_stratified_and_small_enough(make_dataset):
    material = Material(make_dataset(), LIMITS)
    assert [len(material.train), len(material.val), len(material.test)] == [90, 40, 30]
    assert np.bincount(np.asarray(material.val.labels)).min() >= 13
    assert np.bincount(np.asarray(material.test.labels)).tolist() == [10, 10, 10]
    assert np.bincount(np.asarray(material.probe.labels)[material.spread(6)]).tolist() == [2, 2, 2]


def test_probe_set_is_written_as_documented_and_once(make_dataset, tmp_path):
    material, probe = Material(make_dataset(), LIMITS), store.probe_of(tmp_path, "feed")
    material.write_probe(probe)
    kinds = {"turn": "circular", "green": "continuous", "noise": "continuous", "parity": "categorical"}
    info = {"fingerprint": "feed", "data": "tiny", "classes": ["dark blue", "grey", "bright yellow"]}
    info |= {"factors": [{"name": name, "kind": kind} for name, kind in kinds.items()]}
    assert probe.info() == info | {"n": 30, "size": 8, "channels": 3}
    arrays = [probe.images(), probe.labels(), probe.ids(), probe.factors()]
    assert [array.shape for array in arrays if array is not None] == [(30, 8, 8, 3), (30,), (30,), (30, 4)]
    np.testing.assert_array_equal(probe.images(), material.probe.images)
    before = (probe.path / "images.npy").stat().st_mtime_ns
    material.write_probe(probe)
    assert (probe.path / "images.npy").stat().st_mtime_ns == before


def test_a_probe_set_of_an_earlier_version_gets_its_names(make_dataset, tmp_path):
    dataset, probe = make_dataset(), store.probe_of(tmp_path, "feed")
    Material(dataset, LIMITS).write_probe(probe)
    assert probe.names() is None
    names = [f"photos/ü {sample}.jpg" for sample in dataset.test.ids]
    Material(replace(dataset, test=replace(dataset.test, names=encoded_names(names))), LIMITS).write_probe(probe)
    ids = probe.ids()
    assert ids is not None and probe.names() == [f"photos/ü {sample}.jpg" for sample in ids]


def test_unlabelled_data_says_so(make_dataset, tmp_path):
    material, probe = Material(make_dataset(labels=False, factors=False), LIMITS), store.probe_of(tmp_path, "feed")
    assert "no labels" in material.unlabelled()
    material.write_probe(probe)
    assert probe.labels() is None and probe.factors() is None and probe.info()["factors"] == []


def test_a_factors_kind_does_not_depend_on_how_few_images_are_for_testing(make_dataset):
    dataset = make_dataset(test=1)
    for split in (dataset.train, dataset.val, dataset.test):
        split.factors["position"] = np.arange(len(split), dtype=np.float32)
    assert Material(dataset, LIMITS).factor_kind("position") == "continuous"
    assert Material(dataset, LIMITS).factor_kind("parity") == "categorical"


def test_pixels_are_the_images_and_large_ones_are_shrunk(make_dataset):
    material = Material(make_dataset(), LIMITS)
    features = material.pixels.test["pixels"]
    assert features.shape == (30, 8 * 8 * 3)
    np.testing.assert_allclose(features[0, :64], material.test.images[0, :, :, 0].ravel() / 255, atol=1e-6)
