"""Likelihood beside models of single pixels, classification by the bound, and walks through a latent space."""

import numpy as np
import pytest
import torch

from tests.evaluation.conftest import rows_with
from workbench.evaluation.generation import classifier, latent, likelihood
from workbench.evaluation.generation.latent import spherical
from workbench.evaluation.generation.likelihood import PRIOR_COUNT, histogram_nats
from workbench.methods.base import ImageSpec
from workbench.methods.ddpm import DDPM, DDPMConfig
from workbench.methods.hvae import HVAE, HVAEConfig
from workbench.methods.vae import VAE, VAEConfig

SPEC = ImageSpec(3, 8, classes=3)


@pytest.fixture
def use(monkeypatch):
    """Make the untrained network one of the method's own."""

    def given(build):
        monkeypatch.setattr("workbench.model.build_untrained", lambda run, device, seed: build().eval())
        torch.manual_seed(0)
        return build().eval()

    return given


def vae(**changes):
    return VAE(VAEConfig(latent_dim=3, width=8, **changes), SPEC)


def test_a_histogram_counts_the_levels_of_each_pixel():
    train = np.array([[0, 255], [0, 128], [255, 128]], dtype=np.uint8).reshape(3, 1, 2, 1)
    images = np.array([[0, 128], [255, 255]], dtype=np.uint8).reshape(2, 1, 2, 1)
    total = 3 + 3 * PRIOR_COUNT
    expected = [-np.log(2.5 / total) - np.log(2.5 / total), -np.log(1.5 / total) - np.log(1.5 / total)]
    np.testing.assert_allclose(histogram_nats(train, images, 3), expected)


def test_the_histogram_gives_all_levels_a_mass_of_one():
    rng = np.random.default_rng(0)
    train = rng.integers(0, 17, (20, 1, 1, 1))
    stored = np.rint(np.concatenate([train, np.arange(17).reshape(17, 1, 1, 1)]) * (255 / 16)).astype(np.uint8)
    assert np.exp(-histogram_nats(stored[:20], stored[20:], 17)).sum() == pytest.approx(1)


def test_rows_of_a_vae(evaluation_of, use):
    _, written = evaluation_of(likelihood, method=use(vae))
    assert written["n"] == 60 and written["levels"] == 256 and "[-1, 1]" in written["protocol"]
    nats = rows_with(written, metric="nats")
    whole = {(row["model"], row["kind"]): row["value"] for row in nats if "term" not in row}
    terms = {row["term"]: row["value"] for row in nats if "term" in row}
    assert list(terms) == ["reconstruction", "kl"]
    assert sum(terms.values()) == pytest.approx(whole["run", "lower bound"], rel=1e-5)
    assert whole["run", "lower bound, 50 importance samples"] <= whole["run", "lower bound, 5 importance samples"]
    assert whole["pixels", "exact, all levels alike"] == pytest.approx(192 * np.log(256))
    assert whole["pixels", "exact, histogram of each pixel"] < whole["pixels", "exact, all levels alike"]
    assert "untrained:vae" in {model for model, _ in whole}
    for row in written["rows"]:
        assert row["low"] <= row["value"] + 1e-9 and row["value"] <= row["high"] + 1e-9
    found = written["latent"]
    assert found["dims"] == 3 and len(found["kl"]) == 3 and [group["name"] for group in found["groups"]] == ["z"]


def test_a_planted_collapse_stands_in_the_evaluation(evaluation_of, use):
    method = use(vae)
    with torch.no_grad():
        method.encoder[-1].weight.zero_()
        method.encoder[-1].bias.zero_()
    _, written = evaluation_of(likelihood, method=method)
    found = written["latent"]
    assert found["active"] == 0 and found["collapse"].startswith("Posterior collapse") and max(found["kl"]) == 0


def test_groups_of_a_hierarchical_vae_are_terms(evaluation_of, use):
    _, written = evaluation_of(likelihood, method=use(lambda: HVAE(HVAEConfig(groups=3, width=8, blocks=1), SPEC)))
    terms = {row["term"] for row in written["rows"] if "term" in row}
    assert terms == {"reconstruction", "kl_1", "kl_2", "kl_3"}
    assert [group["name"] for group in written["latent"]["groups"]] == ["z_1", "z_2", "z_3"]


def test_what_needs_no_sum_is_skipped(make_context):
    context = make_context()
    likelihood.evaluate(context, in_full=True)
    assert "leaves out no terms" in context.run.evaluation("likelihood_full")["skipped"]


def test_the_protocol_says_how_much_of_the_sum_is_computed(evaluation_of, use):
    sizes = {"widths": (8,), "layers": 1, "attention_size": None, "feature_steps": (1,), "reconstruct_steps": (2,)}
    method = use(lambda: DDPM(DDPMConfig(**sizes, noise_steps=24, likelihood_steps=2), SPEC))
    context, _ = evaluation_of(likelihood, method=method)
    likelihood.evaluate(context, in_full=True)
    few, whole = (context.run.evaluation(name)["protocol"] for name in ("likelihood", "likelihood_full"))
    assert "2 terms are drawn per image." in few and "in full" not in few
    assert "The sum over 23 noise levels is computed in full." in whole and "drawn" not in whole


def test_the_label_of_the_highest_bound(evaluation_of, use):
    """A model of one brightness per class, which the tiny data set's classes are."""
    method = use(lambda: vae(conditional=True))

    def known(images, keys, labels):
        brightness = images.mean(dim=(1, 2, 3))
        return (brightness - (torch.tensor([60.0, 120.0, 180.0]) / 255)[labels] * 1.0).abs()

    method.label_nats = known
    context, _ = evaluation_of(classifier, method=method)
    run, linear = context.run.evaluation("classify")["rows"]
    assert run["model"] == "run" and run["metric"] == "top1" and run["value"] > 60 and run["seconds_per_image"] > 0
    assert linear["model"] == "linear probe" and linear["space"] == "posterior_mean"
    told, labels = context.run.array("classified-predicted"), context.run.array("classified-labels")
    assert 100 * np.mean(told == labels) == pytest.approx(run["value"])


def test_a_model_without_labels_does_not_classify(evaluation_of, use):
    context, _ = evaluation_of(classifier, method=use(vae))
    assert "class-conditional" in context.run.evaluation("classify")["skipped"]


def test_walks_begin_and_end_at_the_images(evaluation_of, use):
    method = use(vae)
    context, written = evaluation_of(latent, method=method)
    ways, ends = context.run.array("latent-interpolation"), context.run.array("latent-interpolation-ids")
    assert written["interpolation"] == "spherical" and ways.shape == (6, 9, 8, 8, 3) and ends.shape == (6, 2)
    probe, model = context.material.probe, context.model
    images = dict(zip(probe.ids.tolist(), probe.images, strict=True))
    for side, index in ((0, 0), (1, -1)):
        drawn = model.decode(model.codes(np.stack([images[int(sample)] for sample in ends[:, side]])))
        assert np.abs(ways[:, index].astype(int) - drawn).max() <= 1
    walked = context.run.array("latent-traversal")
    assert walked.shape == (3, 7, 8, 8, 3) and [variable["group"] for variable in written["variables"]] == ["z"] * 3
    kl = [variable["kl"] for variable in written["variables"]]
    assert kl == sorted(kl, reverse=True)


def test_an_arc_keeps_lengths_and_is_straight_where_there_is_none():
    start, end = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 1.0], [3.0, 0.0]])
    ways = spherical(start, end, np.linspace(0, 1, 3))
    np.testing.assert_allclose(np.linalg.norm(ways[0], axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(ways[1, 1], [2, 0], rtol=1e-6)
    np.testing.assert_allclose(ways[:, [0, 2]], np.stack([start, end], axis=1), atol=1e-7)
