import numpy as np

from workbench.evaluation.probes import knn
from workbench.metrics.knn import knn_predict, knn_sweep


def test_k_is_what_the_validation_images_prefer_and_the_test_images_are_judged_with(evaluation_of):
    context, written = evaluation_of(knn)
    material, features = context.material, context.trained.features
    splits = (material.train, material.val, material.test)
    train_labels, val_labels, labels = (np.asarray(split.labels) for split in splits)
    rows = [row for row in written["rows"] if row["model"] == "run"]
    for row in rows:
        train, val, test = (getattr(features, split)[row["space"]] for split in ("train", "val", "test"))
        ks = [k for k in knn.KS if k <= len(train)]
        right = {k: np.mean(knn_predict(train, train_labels, val, 3, k) == val_labels) for k in ks}
        assert row["k"] == next(k for k in ks if right[k] == max(right.values()))
        assert row["validation"] == 100 * max(right.values())
        assert row["value"] == 100 * np.mean(knn_predict(train, train_labels, test, 3, row["k"]) == labels)
    assert len({row["k"] for row in rows}) > 1 or rows[0]["k"] != 20  # chosen, not fixed


def test_a_sweep_gives_what_each_k_gives_alone():
    rng = np.random.default_rng(0)
    bank, queries, labels = rng.normal(size=(60, 5)), rng.normal(size=(40, 5)), rng.integers(0, 4, 60)
    swept = knn_sweep(bank, labels, queries, 4, (1, 7, 100), chunk=16)
    for k, predicted in zip((1, 7, 100), swept, strict=True):
        np.testing.assert_array_equal(predicted, knn_predict(bank, labels, queries, 4, k))
    assert not np.array_equal(swept[0], swept[2])
