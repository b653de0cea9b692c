from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import accuracy_score, recall_score

from tests.conftest import SIDE, Tiny, TinyConfig
from tests.evaluation.conftest import rows_with
from workbench.evaluation.generation import likelihood, reconstruction, samples
from workbench.evaluation.geometry import agreement, invariance, projection, retrieval, similarity
from workbench.evaluation.probes import factors, knn, linear
from workbench.methods.base import ImageSpec
from workbench.metrics.similarity import cosine_matrix
from workbench.store import Probe


def assert_envelope(written, name, n, split):
    assert written["name"] == name and written["checkpoint"] == "last, step 7"
    assert (written["n"], written["split"], written["seeds"]) == (n, split, [0])
    assert written["protocol"].endswith(".") and written["created"]


@pytest.mark.parametrize("evaluation", [knn, linear])
def test_accuracy_rows_hold_run_and_baselines(evaluation_of, evaluation):
    _, written = evaluation_of(evaluation)
    assert_envelope(written, evaluation.__name__.rpartition(".")[2], 60, "test")
    assert written["default"] == "quarters"
    own = [(model, *space) for model in ("run", "untrained:vae") for space in (("quarters", 12), ("random", 5))]
    assert [(r["model"], r["space"], r["dim"]) for r in written["rows"]] == [*own, ("pixels", "pixels", 192)]
    assert all(0 <= r["low"] <= r["value"] <= r["high"] <= 100 for r in written["rows"])
    assert rows_with(written, model="run", space="quarters")[0]["value"] > 90  # three colours


def test_linear_details_agree_with_its_accuracy(evaluation_of):
    _, written = evaluation_of(linear)
    (row,) = rows_with(written, model="untrained:vae", space="quarters")
    confusion = np.array(row["confusion"])
    truth = np.repeat([0, 1, 2], confusion.sum(axis=1))
    guess = np.concatenate([np.repeat([0, 1, 2], counts) for counts in confusion])
    assert row["value"] == pytest.approx(100 * accuracy_score(truth, guess))
    recall: Any = recall_score(truth, guess, average=None)  # type: ignore[arg-type]
    np.testing.assert_allclose(row["per_class"], 100 * recall)
    assert "confusion" not in rows_with(written, model="run", space="random")[0]
    assert rows_with(written, model="pixels")[0]["per_class"]


def test_pixels_are_measured_once_for_all_runs(make_context, make_run):
    first, second = make_context(), make_context(make_run())
    knn.evaluate(first)
    kept = Probe(first.probe.path / "baselines")
    content = kept.evaluation("knn")
    content["rows"][0]["value"] = 12.5
    kept.write_evaluation("knn", content)
    knn.evaluate(second)
    assert rows_with(second.run.evaluation("knn"), model="pixels")[0]["value"] == 12.5
    kept.write_evaluation("knn", content | {"limits": "others"})
    knn.evaluate(second)
    assert rows_with(second.run.evaluation("knn"), model="pixels")[0]["value"] != 12.5


def test_predictions_from_pixels_are_those_of_the_row_in_the_runs_table(make_context, evaluation_of, make_run):
    first, _ = evaluation_of(linear)
    told, labels = first.run.array("pixels-predicted"), first.run.array("predicted-labels")
    (row,) = rows_with(first.run.evaluation("linear"), model="pixels")
    assert row["value"] == pytest.approx(100 * np.mean(told == labels))
    Probe(first.probe.path / "baselines").write_array("pixels-predicted", told[:-1])  # of an evaluation of fewer images
    second = make_context(make_run())
    linear.evaluate(second)
    assert np.array_equal(second.run.array("pixels-predicted"), told)
    assert np.array_equal(first.run.array("pixels-predicted"), told)


def test_factors_that_are_there_are_found_and_others_are_not(evaluation_of):
    _, written = evaluation_of(factors)
    assert_envelope(written, "factors", 60, "test")
    found = {r["factor"]: r for r in rows_with(written, model="run", space="quarters")}
    assert list(found) == ["class", "turn", "green", "noise", "parity"]
    assert found["turn"]["metric"] == "r2" and found["turn"]["value"] > 0.5
    assert found["noise"]["value"] < 0.2
    assert found["class"]["metric"] == "accuracy" and found["class"]["value"] > 85
    assert found["class"]["chance"] == pytest.approx(100 / 3)
    assert found["parity"]["metric"] == "accuracy" and found["parity"]["value"] < 75
    assert len(rows_with(written, model="pixels")) == 5


def test_unlabelled_data_is_skipped_with_a_reason(make_context):
    context = make_context(labels=False, factors=False)
    for evaluation in (knn, linear, factors, similarity, projection):
        evaluation.evaluate(context)
    for name in ("knn", "linear", "factors"):
        assert "tiny" in context.run.evaluation(name)["skipped"]
    assert context.run.array("similarity-labels") is None and context.run.array("similarity-quarters") is not None
    assert context.run.array("tsne-quarters") is not None


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_handful_of_test_images_is_measured_or_skipped_with_a_reason(make_context, n, labels):
    context = make_context(test=n, labels=labels)
    evaluations = (knn, linear, factors, similarity, projection, reconstruction, likelihood, samples)
    for evaluation in (*evaluations, retrieval, invariance):
        evaluation.evaluate(context)
    agreement.evaluate([context], [agreement.representations(context)])
    found = context.run.evaluations()
    least = {"knn": 1, "linear": 1, "factors": 1, "similarity": 2, "projection": 4, "agreement": 3}
    least |= {"retrieval": 2, "invariance": 2, "reconstruction": 1, "likelihood": 1, "samples": 1}
    skipped = {name for name, enough in least.items() if n < enough} | (set() if labels else {"knn", "linear"})
    assert {name for name, content in found.items() if "skipped" in content} == skipped
    assert all(str(content["skipped"]).endswith(".") for content in found.values() if "skipped" in content)
    values = [row["value"] for content in found.values() for row in content.get("rows", [])]
    assert None not in values
    if labels:  # classes of none and of one image
        (row,) = rows_with(context.run.evaluation("linear"), model="run", space="quarters")
        counts = np.sum(row["confusion"], axis=1)
        assert counts.sum() == n and [score is None for score in row["per_class"]] == (counts == 0).tolist()
        assert all(0 <= r["low"] <= r["value"] <= r["high"] <= 100 for r in rows_with(context.run.evaluation("knn")))


def test_a_factor_that_does_not_vary_among_the_test_images_has_no_r2(evaluation_of):
    _, written = evaluation_of(factors, test=1)
    assert {row["factor"] for row in written["rows"]} == {"class", "parity"}
    _, written = evaluation_of(factors, test=2)
    (row,) = rows_with(written, model="run", space="quarters", factor="green")
    assert row["low"] <= row["value"] <= row["high"]


class Line(Tiny):
    """Features of one dimension, and of none that differs."""

    def encode(self, images, keys=None):
        return {"quarters": images.mean(dim=(1, 2, 3))[:, None], "collapsed": torch.full((len(images), 3), 0.3)}


def test_a_line_and_a_point_are_maps_too(evaluation_of):
    context, written = evaluation_of(projection, method=Line(TinyConfig(), ImageSpec(3, SIDE)))
    assert_envelope(written, "projection", 60, "probe")
    assert written["explained"] == {"quarters": [1.0, 0.0], "collapsed": [0.0, 0.0]}
    for kind in ("tsne", "pca"):
        line, point = (context.run.array(f"{kind}-{space}") for space in ("quarters", "collapsed"))
        assert line.shape == point.shape == (60, 2)
        assert np.isfinite(line).all() and np.ptp(line[:, 0]) > 0 and not point.any()


def test_maps_of_pixels_are_made_again_for_another_probe_set(evaluation_of):
    for n in (50, 49):  # of one perplexity
        context, _ = evaluation_of(projection, test=n)
    points = Probe(context.probe.path / "baselines").array("tsne-pixels")
    assert points is not None and len(points) == 49


def test_similarity_matrix_is_the_cosine_of_stored_views(evaluation_of):
    context, written = evaluation_of(similarity)
    assert_envelope(written, "similarity", 15, "probe")
    first, second = context.probe.array("similarity-views")
    for space in ("quarters", "random"):
        matrix = context.run.array(f"similarity-{space}")
        a, b = (context.model.encode(view)[space] for view in (first, second))
        np.testing.assert_allclose(matrix, cosine_matrix(a, b), atol=1e-6)
        numbers = written["spaces"][space]
        assert numbers["diagonal"] == pytest.approx(np.diag(matrix).mean(), abs=1e-5)
        assert numbers["off_diagonal"] == pytest.approx(matrix[~np.eye(15, dtype=bool)].mean(), abs=1e-5)
        assert numbers["matching"] == pytest.approx(100 * np.mean(matrix.argmax(1) == np.arange(15)))
        assert context.run.array(f"class-similarity-{space}").shape == (3, 3)
    labels, ids = context.run.array("similarity-labels"), context.run.array("similarity-ids")
    assert list(labels) == [0] * 5 + [1] * 5 + [2] * 5 and set(ids) <= set(context.material.probe.ids)
    assert len(written["rows"]) == 5


def test_views_depend_on_the_image_alone(make_context):
    probe = make_context().material.probe
    first, second = similarity.views(probe.images, probe.ids)
    again, _ = similarity.views(probe.images[20:30], probe.ids[20:30])
    np.testing.assert_array_equal(first[20:30], again)
    assert (first != second).mean() > 0.5


def test_projection_has_a_point_per_probe_image(evaluation_of):
    context, written = evaluation_of(projection)
    assert_envelope(written, "projection", 60, "probe")
    assert written["spaces"] == ["quarters", "random"] and written["perplexity"] == 19
    for kind in ("tsne", "pca"):
        points = context.run.array(f"{kind}-quarters")
        assert points.shape == (60, 2) and points.dtype == np.float32 and np.isfinite(points).all()
    features = context.model.encode(context.material.probe.images)["quarters"]
    scaled = (features - features.mean(0)) / features.std(0)
    spectrum = np.linalg.svd(scaled, compute_uv=False) ** 2
    np.testing.assert_allclose(written["explained"]["quarters"], spectrum[:2] / spectrum.sum(), rtol=1e-4)
    pixels = Probe(context.probe.path / "baselines").array("tsne-pixels")
    assert pixels is not None and pixels.shape == (60, 2)


def test_reconstruction_rows_are_decibels_of_what_is_stored(evaluation_of):
    context, written = evaluation_of(reconstruction)
    assert_envelope(written, "reconstruction", 20, "test")
    assert written["default"] == "good"
    names = [(r["model"], r["variant"]) for r in written["rows"]]
    assert names == [("run", "good"), ("run", "bad"), ("untrained:vae", "good"), ("mean image", ""), ("pca-30", "")]
    (good,) = rows_with(written, model="run", variant="good")
    assert good["value"] == pytest.approx(-20 * np.log10(3 / 255), abs=0.2)  # 0.01 is 2.55 grey levels, so 2 or 3
    assert good["low"] <= good["value"] <= good["high"]
    ids = context.run.array("reconstruction-ids")
    images = {int(i): image for i, image in zip(context.material.probe.ids, context.material.probe.images, strict=True)}
    originals = np.stack([images[int(i)] for i in ids])
    np.testing.assert_array_equal(context.run.array("reconstruction-run-bad"), 255 - originals)
    drawn = context.untrained_model.reconstruct(originals, ids)
    np.testing.assert_array_equal(context.run.array("reconstruction-untrained:vae-good"), drawn["good"])
    pca = context.run.array("reconstruction-pca-30-")
    errors = ((pca / 255 - originals / 255) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(context.run.array("reconstruction-error-pca-30-"), errors, rtol=1e-4)
    mean = context.run.array("reconstruction-mean image-")
    assert mean.shape == (9, 8, 8, 3) and (mean == mean[0]).all()


def test_samples_are_stored_and_shown_as_a_sheet(evaluation_of):
    context, written = evaluation_of(samples)
    assert_envelope(written, "samples", 9, "none")
    (variant,) = written["variants"]
    assert variant["seconds"] >= 0 and variant["seed"] == 0
    np.testing.assert_array_equal(context.run.array(variant["array"]), context.model.sample(9, 0))
    sheet = np.asarray(Image.open(context.run.path / "images" / "samples.webp"))
    assert sheet.shape == (2 * 96, 8 * 96, 3)
    np.testing.assert_array_equal(sheet[96:192:12, :96:12], context.run.array("samples")[8])
    assert (sheet[96:, 96:] == 255).all()


def test_every_listed_sampler_is_used_unless_it_is_slow(make_context, make_run, monkeypatch):
    listed = {"vae": (("quick", 3, False), ("slow", 9, True))}
    monkeypatch.setattr(samples, "SAMPLERS", listed)
    context = make_context()
    context.limits = type(context.limits)(samples=4, slow_samplers=False)
    samples.evaluate(context)
    assert [(v["sampler"], v["steps"]) for v in context.run.evaluation("samples")["variants"]] == [("quick", 3)]


def test_no_more_steps_are_drawn_than_the_process_has(make_context, monkeypatch):
    @dataclass(frozen=True, kw_only=True)
    class Stepped(TinyConfig):
        noise_steps: int = 50

    listed = {"vae": (("one", 100, False), ("two", 20, False), ("one", 1000, True))}
    monkeypatch.setattr(samples, "SAMPLERS", listed)
    context = make_context()
    context.limits = type(context.limits)(samples=4, slow_samplers=True)
    context.model.config = Stepped()
    samples.evaluate(context)
    variants = context.run.evaluation("samples")["variants"]
    assert [(v["sampler"], v["steps"]) for v in variants] == [("one", 50), ("two", 20)]


def test_pca_has_as_many_numbers_as_the_code_as_far_as_they_can_be_fitted():
    train = np.zeros((100, 8, 8, 3), np.float32)
    assert reconstruction.pca_components(20, train) == ("as many as the code has numbers, 20", 20)
    why, components = reconstruction.pca_components(84, train)
    expected = "as many as the code has numbers, 84; no more can be fitted to 100 images of 192 numbers"
    assert components == 25 and why == expected
    many = np.zeros((1000, 8, 8, 3), np.float32)
    assert reconstruction.pca_components(0, many) == ("the model has no code to match", 64)


def test_likelihood_is_in_bits_per_dimension(evaluation_of):
    _, written = evaluation_of(likelihood)
    assert_envelope(written, "likelihood", 60, "test")
    assert written["kind"] == "exact"
    bits, nats, *terms = (row for row in written["rows"] if row["model"] == "run")
    assert bits["metric"] == "bits_per_dim" and bits["value"] == pytest.approx(1, abs=1e-5)
    assert nats["metric"] == "nats" and nats["value"] == pytest.approx(192 * np.log(2), rel=1e-5)
    assert [(row["term"], row["metric"]) for row in terms] == [
        (term, metric) for term in ("reconstruction", "prior") for metric in ("bits_per_dim", "nats")
    ]
    assert all(row["value"] == pytest.approx(96 * np.log(2), rel=1e-5) for row in terms[1::2])
