"""Maps of the probe set: distances kept, turned alike, and through training."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from openTSNE import nearest_neighbors
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from workbench.evaluation.geometry import projection
from workbench.model import TrainedModel
from workbench.store import Probe
from workbench.training import checkpoint
from workbench.training import snapshots as snapshot_files


def distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points[None], axis=-1)


@pytest.mark.parametrize("mirrored", [False, True])
def test_alignment_finds_a_turn_and_a_mirroring_exactly(mirrored: bool) -> None:
    reference = np.random.default_rng(0).normal(size=(50, 2))
    turn = np.array([[np.cos(2.0), -np.sin(2.0)], [np.sin(2.0), np.cos(2.0)]])
    points = (reference * (1, -1 if mirrored else 1)) @ turn + 3
    turned = projection.aligned(points, reference)
    np.testing.assert_allclose(turned, reference - reference.mean(0), atol=1e-5)


def test_alignment_never_stretches() -> None:
    rng = np.random.default_rng(1)
    points, reference = rng.normal(size=(40, 2)), 100 * rng.normal(size=(40, 2))
    turned = projection.aligned(points, reference)
    np.testing.assert_allclose(distances(turned), distances(points), atol=1e-5)
    centred = reference - reference.mean(0)
    angles = np.linspace(0, 2 * np.pi, 721)
    rotations = np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], 1).reshape(-1, 2, 2)
    others = [(points - points.mean(0)) @ (flip @ turn) for turn in rotations for flip in (np.eye(2), np.diag([1, -1]))]
    best = min(np.sum((other - centred) ** 2) for other in others)
    assert np.sum((turned - centred) ** 2) <= best * (1 + 1e-6)


def test_maps_of_turned_features_lie_alike() -> None:
    """Features that differ by a rotation give one map, whatever signs the decomposition chose."""
    rng = np.random.default_rng(2)
    first = rng.normal(size=(60, 2)) * (5, 1)
    reference, explained = projection.maps(first, 10.0)
    again, _ = projection.maps(first[:, ::-1] * (1, -1), 10.0, reference)
    np.testing.assert_allclose(again["pca"], reference["pca"], atol=1e-4)
    assert sum(explained) == pytest.approx(1)
    exact = PCA(2).fit_transform(StandardScaler().fit_transform(first))
    np.testing.assert_allclose(distances(reference["pca"]), distances(exact), atol=1e-4)


def test_maps_of_runs_are_turned_to_those_of_pixels(evaluation_of) -> None:
    context, written = evaluation_of(projection)
    assert written["snapshots"] == [] and "Procrustes" in written["protocol"]
    baselines = Probe(context.probe.path / "baselines")
    for kind in ("tsne", "pca"):
        reference, points = baselines.array(f"{kind}-pixels"), context.run.array(f"{kind}-quarters")
        assert reference is not None and points is not None
        np.testing.assert_allclose(projection.aligned(points, reference), points, atol=1e-4 * np.abs(points).max())


@pytest.fixture
def snapshots(make_context, tmp_path, monkeypatch):
    """A context whose run has three snapshots, of which the last is the end and one is torn; features grow."""
    context = make_context()
    context.model.checkpoint = "last, step 40"
    files = [(0, tmp_path / "a"), (10, tmp_path / "b"), (20, tmp_path / "torn"), (40, tmp_path / "end")]
    monkeypatch.setattr(projection, "snapshots", lambda run: files)

    def load(run, file, device):
        if file.name == "torn":
            raise projection.WorkbenchError("torn")
        return context.model.method

    monkeypatch.setattr(projection, "load_snapshot", load)
    return context


def test_snapshots_have_maps_that_end_at_the_run_s_own(snapshots) -> None:
    projection.evaluate(snapshots)
    rows = snapshots.run.evaluation("projection")["snapshots"]
    assert rows == [{"step": 0, "share": 0.0}, {"step": 10, "share": 0.25}, {"step": 40, "share": 1.0}]
    for kind in ("tsne", "pca"):
        final = snapshots.run.array(f"{kind}-quarters")
        np.testing.assert_array_equal(snapshots.run.array(f"{kind}-quarters-step-40"), final)
        for step in (0, 10):
            points = snapshots.run.array(f"{kind}-quarters-step-{step}")
            assert points.shape == final.shape and np.isfinite(points).all()
            if kind == "pca":  # the same weights
                np.testing.assert_allclose(points, final, atol=1e-4)
    assert snapshots.run.array("tsne-quarters-step-20") is None


def test_from_many_images_on_the_map_is_that_of_opentsne(monkeypatch) -> None:
    """It keeps neighbourhoods, comes out the same again, and reports its progress."""
    rng, ticks = np.random.default_rng(3), []
    labels = np.arange(240) % 4
    features = 4 * rng.normal(size=(4, 20))[labels] + rng.normal(size=(240, 20))
    monkeypatch.setattr(projection, "LARGE", 240)
    monkeypatch.setattr(projection, "LARGE_ITERATIONS", (100, 150))

    def track(items, what):
        for item in items:
            ticks.append(what)
            yield item

    first, _ = projection.maps(features, 30.0, track=track, name="space")
    again, _ = projection.maps(features, 30.0)
    np.testing.assert_array_equal(first["tsne"], again["tsne"])
    assert ticks == ["map of space"] * 10  # of 25 iterations
    near = NearestNeighbors(n_neighbors=10).fit(first["tsne"]).kneighbors(return_distance=False)
    assert (labels[near] == labels[:, None]).mean() > 0.99
    monkeypatch.setattr(projection, "LARGE", 241)
    fewer, _ = projection.maps(features, 30.0, track=track)
    assert len(ticks) == 10 and not np.array_equal(fewer["tsne"], first["tsne"])


def test_no_image_is_its_own_neighbour_where_images_are_equal(monkeypatch) -> None:
    """Of equal images openTSNE takes any for the image itself; what it is given are the nearest of the others."""
    points, given = np.repeat(np.random.default_rng(0).normal(size=(30, 5)), 2, axis=0), []
    precomputed = nearest_neighbors.PrecomputedNeighbors
    monkeypatch.setattr(nearest_neighbors, "PrecomputedNeighbors", lambda *all: given.append(all) or precomputed(*all))
    monkeypatch.setattr(projection, "LARGE_ITERATIONS", (projection.TICK, projection.TICK))
    projection.large_tsne(points, points[:, :2], 5.0)
    ((neighbours, _),) = given
    assert neighbours.shape == (60, 15) and not (neighbours == np.arange(60)[:, None]).any()
    np.testing.assert_array_equal(neighbours[:, 0], np.arange(60) ^ 1)  # the equal image, which is next to it
    nearest = np.sort(distances(points))[:, 1:16]
    np.testing.assert_allclose(np.take_along_axis(distances(points), neighbours, 1), nearest, atol=1e-6)


def test_an_interrupted_evaluation_leaves_the_maps_that_are_finished(snapshots, monkeypatch) -> None:
    monkeypatch.setattr(projection, "LARGE", 60)

    def interrupted(items, what):
        for done, item in enumerate(items):
            if what == "map of step 0" and done == 3:
                raise KeyboardInterrupt
            yield item

    snapshots.track = interrupted
    with pytest.raises(KeyboardInterrupt):
        projection.evaluate(snapshots)
    written = snapshots.run.evaluation("projection")
    assert written["snapshots"] == [{"step": 10, "share": 0.25}, {"step": 40, "share": 1.0}]
    assert written["spaces"] == ["quarters"] and "openTSNE" in written["protocol"] and "seed 0" in written["protocol"]
    assert snapshots.run.array("tsne-quarters-step-10").shape == (60, 2)


def test_umap_is_one_more_kind_where_it_is_installed(evaluation_of, monkeypatch) -> None:
    class Shifted:
        def __init__(self, *, init, n_neighbors, **options):
            self.init, self.neighbours = init, n_neighbors

        def fit_transform(self, features):
            assert self.init.shape == (len(features), 2) and np.abs(self.init).max() == pytest.approx(10)
            assert self.neighbours < len(features)
            return self.init + 5

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Shifted))
    monkeypatch.setattr(projection, "KINDS", ("tsne", "pca", "umap"))
    context, written = evaluation_of(projection)
    points = context.run.array("umap-quarters")
    assert points.shape == (60, 2) and np.abs(points.mean(0)).max() < 1e-3
    assert "UMAP" in written["protocol"]
    assert Probe(context.probe.path / "baselines").array("umap-pixels") is not None


def test_a_snapshot_loads_as_a_model(make_context) -> None:
    context = make_context()
    method = context.model.method
    (context.run.path / "checkpoints").mkdir(exist_ok=True)
    snapshot_files.save_snapshot(context.run, 5, method)
    ((step, file),) = snapshot_files.snapshots(context.run)
    assert step == 5
    checkpoint.load_weights(method, file, torch.device("cpu"))
    model = context.model
    snapshot = TrainedModel(context.run, method, model.config, model.images, "step 5", model.device)
    assert np.isfinite(snapshot.encode(context.material.probe.images)["quarters"]).all()
