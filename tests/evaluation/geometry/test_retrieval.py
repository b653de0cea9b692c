import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from workbench.evaluation.geometry import retrieval
from workbench.store import Probe


def test_neighbours_and_precision_are_those_of_the_features(evaluation_of):
    context, written = evaluation_of(retrieval)
    assert (written["n"], written["split"], written["default"]) == (60, "probe", "quarters")
    own = [(model, space) for model in ("run", "untrained:vae") for space in ("quarters", "random")]
    assert [(row["model"], row["space"]) for row in written["rows"]] == [*own, ("pixels", "pixels")]
    assert all(0 <= row["low"] <= row["value"] <= row["high"] <= 100 for row in written["rows"])
    probe = context.material.probe
    ids, labels = np.asarray(probe.ids), np.asarray(probe.labels)
    features = context.model.encode(probe.images)["quarters"]
    search = NearestNeighbors(n_neighbors=21, metric="cosine").fit(features)
    nearest = search.kneighbors(features, return_distance=False)[:, 1:]
    stored = context.run.array("neighbours-quarters")
    assert stored.shape == (60, 20) and stored.dtype == np.int64
    np.testing.assert_array_equal(stored, ids[nearest])
    scores = []
    for query, row in enumerate(nearest[:, :10]):
        right = labels[row] == labels[query]
        scores.append(sum(right[: i + 1].mean() for i in range(10) if right[i]) / min(10, 19))
    assert written["rows"][0]["value"] == pytest.approx(100 * np.mean(scores))


def test_baselines_neighbours_are_kept_too(evaluation_of):
    context, _ = evaluation_of(retrieval)
    kept = Probe(context.probe.path / "baselines").array("neighbours-pixels")
    untrained = context.run.array("untrained-neighbours-quarters")
    assert kept is not None and kept.shape == (60, 20) and untrained is not None
    assert not np.any(kept == context.probe.ids()[:, None])  # nobody is their own neighbour


def test_without_labels_there_are_neighbours_and_no_precision(evaluation_of):
    context, written = evaluation_of(retrieval, labels=False, factors=False)
    assert written["rows"] == [] and written["spaces"] == ["quarters", "random"]
    assert context.run.array("neighbours-random") is not None


def test_a_query_whose_class_has_no_other_image_is_left_out(make_context):
    context = make_context(test=4)  # classes of two, one and one
    retrieval.evaluate(context)
    (row, *_) = context.run.evaluation("retrieval")["rows"]
    assert row["queries"] == 2 and context.run.array("neighbours-quarters").shape == (4, 3)
