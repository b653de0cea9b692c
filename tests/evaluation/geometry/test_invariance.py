import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from tests.conftest import SIDE, Tiny, TinyConfig
from tests.evaluation.conftest import rows_with
from workbench.data import keyed
from workbench.evaluation.geometry import invariance
from workbench.evaluation.geometry.invariance import TRANSFORMS
from workbench.methods.base import ImageSpec
from workbench.metrics.similarity import cosine_matrix, kept_similarity, paired_cosine

N_STEPS = sum(len(strengths) for _, strengths in TRANSFORMS.values())


def pictures(n: int = 6, size: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))
    return images, keyed.sample_keys(0, 0, torch.arange(n))


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("channels", [1, 3])
def test_transforms_change_more_with_strength_and_leave_their_input_alone(name, channels):
    transform, strengths = TRANSFORMS[name]
    smooth = torch.nn.functional.interpolate(pictures(8, 4)[0][:, :channels], 32, mode="bilinear")
    keys, before = keyed.sample_keys(0, 0, torch.arange(8)), smooth.clone()
    changes = [(transform(smooth, keys, strength).clamp(0, 1) - smooth).abs().mean().item() for strength in strengths]
    assert torch.equal(smooth, before)
    assert min(changes) > 1e-3
    if name not in ("flip", "solarise"):
        assert changes == sorted(changes)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_an_image_is_changed_by_its_id_alone(name):
    transform, strengths = TRANSFORMS[name]
    images, keys = pictures()
    whole, some = transform(images, keys, strengths[1]), transform(images[2:4], keys[2:4], strengths[1])
    torch.testing.assert_close(whole[2:4], some, atol=1e-6, rtol=0)


def test_flips_and_quarter_turns_are_exact():
    images, keys = pictures()
    assert torch.equal(invariance.flip(images, keys, 1), images.flip(3))
    assert torch.equal(invariance.flip(images, keys, 2), images.flip(2))
    turned = invariance.rotation(images, keys, 90)
    ways = [torch.rot90(images, k, (2, 3)) for k in (1, 3)]
    for index, image in enumerate(turned):
        assert min((image - way[index]).abs().max() for way in ways) < 1e-5
    found = {int(torch.argmin(torch.stack([(turned[i] - way[i]).abs().max() for way in ways]))) for i in range(6)}
    assert found == {0, 1}  # to either side


def test_crops_keep_what_is_said_of_the_area():
    images = torch.zeros(40, 1, 32, 32)
    images[:, :, :16, :16] = 1
    cut = invariance.crop(images, keyed.sample_keys(0, 0, torch.arange(40)), 0.75)  # squares of 16 pixels
    shares = cut.mean(dim=(1, 2, 3))
    assert shares.min() < 0.2 and shares.max() > 0.7 and len(shares.unique()) > 20  # each at a place of its own


def test_solarise_and_noise_do_what_is_said():
    images, keys = pictures()
    torch.testing.assert_close(invariance.solarise(images, keys, 1), 1 - images)
    half = invariance.solarise(images, keys, 0.5)
    torch.testing.assert_close(half, torch.where(images >= 0.5, 1 - images, images))
    added = invariance.noise(images, keys, 0.1) - images
    assert added.std().item() == pytest.approx(0.1, rel=0.05) and abs(added.mean().item()) < 0.01


def test_blur_is_pillows():
    images, keys = pictures(1, 32)
    drawn = (images[0].permute(1, 2, 0) * 255).round().byte().numpy()
    expected = np.asarray(Image.fromarray(drawn).filter(ImageFilter.GaussianBlur(0.08 * 32)), np.float32) / 255
    found = invariance.blur(torch.from_numpy(drawn).permute(2, 0, 1)[None] / 255, keys, 8)[0].permute(1, 2, 0).numpy()
    assert np.abs(found - expected)[8:-8, 8:-8].max() < 0.02  # away from the edges, which are continued otherwise


def test_kept_similarity_is_the_formula_with_its_bootstrap():
    generator = np.random.default_rng(0)
    clean = generator.normal(size=(50, 8)) + 1
    changes = [clean + scale * generator.normal(size=clean.shape) for scale in (0, 0.5, 2)]
    cosines = np.stack([paired_cosine(clean, changed) for changed in changes])
    found = kept_similarity(cosines, cosine_matrix(clean, clean))
    matrix = cosine_matrix(clean, clean)
    c0 = matrix[~np.eye(50, dtype=bool)].mean()
    np.testing.assert_allclose([one.value for one in found], (cosines.mean(axis=1) - c0) / (1 - c0), rtol=1e-5)
    assert found[0].low == pytest.approx(1) and found[0].high == pytest.approx(1)
    assert all(one.low < one.value < one.high for one in found[1:])
    values = []  # a resample at a time, pairs of an image with its own copy left out
    for _ in range(400):
        rows = generator.integers(0, 50, 50)
        part = matrix[np.ix_(rows, rows)]
        base = part[rows[:, None] != rows].mean()
        values.append((cosines[2][rows].mean() - base) / (1 - base))
    low, high = np.quantile(values, [0.025, 0.975])
    assert found[2].low == pytest.approx(low, abs=0.03) and found[2].high == pytest.approx(high, abs=0.03)


def test_the_intervals_cover_at_the_nominal_rate():
    """Samples of 40 images of a known distribution, whose true value is that of a very large sample."""
    generator = np.random.default_rng(0)
    clean = generator.normal(size=(3000, 6)) + 0.7
    changed = clean + 0.8 * generator.normal(size=clean.shape)
    (true,) = kept_similarity(paired_cosine(clean, changed)[None], cosine_matrix(clean, clean), n_boot=1)
    covered, trials = 0, 200
    for _ in range(trials):
        rows = generator.integers(0, 3000, 40)
        a, b = clean[rows], changed[rows]
        (found,) = kept_similarity(paired_cosine(a, b)[None], cosine_matrix(a, a), n_boot=300)
        covered += found.low <= true.value <= found.high
    assert 0.89 <= covered / trials <= 0.99


def test_another_image_keeps_nothing_and_a_collapsed_space_has_no_value():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 400, 5)) + 2  # alike by their common mean alone
    (found,) = kept_similarity(paired_cosine(x, y)[None], cosine_matrix(x, x))
    assert abs(found.value) < 0.2 and found.low < 0 < found.high
    same = np.ones((10, 3))
    assert np.isnan(kept_similarity(paired_cosine(same, same)[None], cosine_matrix(same, same))[0]).all()


def test_rows_of_every_model_space_and_strength_are_written(evaluation_of):
    _, written = evaluation_of(invariance)
    assert (written["n"], written["split"], written["default"]) == (60, "probe", "quarters")
    assert len(written["steps"]) == N_STEPS
    keys = [(row["model"], row["space"], row["transform"], row["strength"]) for row in written["rows"]]
    models = {("run", "quarters"), ("run", "random"), ("pixels", "pixels")}
    models |= {("untrained:vae", "quarters"), ("untrained:vae", "random")}
    assert {key[:2] for key in keys} == models and len(set(keys)) == len(keys) == 5 * N_STEPS
    assert all(row["low"] <= row["value"] <= row["high"] <= 1 + 1e-6 for row in written["rows"])
    assert all(row["metric"] == "kept" and -1 <= row["cosine"] <= 1 + 1e-6 for row in written["rows"])


def test_examples_show_the_images_that_were_encoded(evaluation_of):
    context, written = evaluation_of(invariance)
    examples = context.probe.array("invariance-examples")
    assert examples.shape == (1 + N_STEPS, 4, SIDE, SIDE, 3) and examples.dtype == np.uint8
    at = [(step["transform"], step["strength"]) for step in written["steps"]].index(("flip", 1))
    np.testing.assert_array_equal(examples[1 + at], examples[0][:, :, ::-1])
    probe = context.material.probe
    assert all(any(np.array_equal(image, other) for other in probe.images) for image in examples[0])


class Blind(Tiny):
    """Features that a mirror image does not change, and some that nothing changes."""

    def encode(self, images, keys=None):
        rows = images.mean(dim=3).flatten(1)
        return {"quarters": rows, "collapsed": torch.full((len(images), 3), 0.3)}


def test_what_a_model_is_blind_to_is_kept_whole(evaluation_of):
    _, written = evaluation_of(invariance, method=Blind(TinyConfig(), ImageSpec(3, SIDE)))
    rows = rows_with(written, model="run")
    assert {row["space"] for row in rows} == {"quarters"}  # the other tells no images apart
    value = {(row["transform"], row["strength"]): row["value"] for row in rows}
    assert value["flip", 1] == pytest.approx(1, abs=1e-4)
    assert value["flip", 2] < 0.95 and value["noise", 0.3] < value["noise", 0.01]


def test_too_few_images_are_a_reason(evaluation_of):
    _, written = evaluation_of(invariance, test=1)
    assert "one image" in written["skipped"]
