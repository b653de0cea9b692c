import numpy as np
import pytest

from workbench.data.arrays import prepare
from workbench.data.decode import Form, decoded
from workbench.errors import WorkbenchError
from workbench.methods.base import ImageSpec, Method, Step
from workbench.methods.capabilities import Reconstructs
from workbench.model import load

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (300, 8, 8, 3), dtype=np.uint8)


class OnlyEncodes(Method):
    default_feature = "mean"

    def __init__(self) -> None:
        super().__init__(None, ImageSpec(3, 8))

    @classmethod
    def augmentations(cls, config, images):
        return ()

    def forward(self, batch, progress):
        return Step(batch.views[0].mean(), {})

    def encode(self, images, keys=None):
        return {"mean": images.mean(dim=(2, 3))}


def test_encode_gives_the_method_float_images_and_returns_arrays(make_model):
    features = make_model(method=OnlyEncodes()).encode(IMAGES)
    np.testing.assert_allclose(features["mean"], IMAGES.mean(axis=(1, 2)) / 255, atol=1e-6)
    assert features["mean"].dtype == np.float32


def test_encode_takes_one_image_floats_and_lists_of_several_sizes(make_model):
    model = make_model()
    expected = model.encode(IMAGES)["random"]
    np.testing.assert_allclose(model.encode(IMAGES[3])["random"], expected[3:4], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.encode(IMAGES / 255.0)["random"], expected, rtol=1e-5, atol=1e-6)
    large = RNG.integers(0, 256, (30, 20, 3), dtype=np.uint8)
    mixed = model.encode([IMAGES[0], large, IMAGES[1]])["random"]
    np.testing.assert_allclose(mixed[[0, 2]], expected[:2], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mixed[1], model.encode(decoded(large, Form(3, 8)))["random"][0], rtol=1e-5, atol=1e-6)


def test_encode_leaves_the_method_in_its_mode(make_model):
    method = OnlyEncodes().train()
    make_model(method=method).encode(IMAGES[:2])
    assert method.training


def test_channels_are_brought_to_the_models():
    grey = IMAGES[:4, :, :, :1]
    assert (prepare(grey, 3, 8).numpy() == np.moveaxis(grey, -1, 1)).all()
    assert (prepare(grey[..., 0], 1, 8).numpy() == np.moveaxis(grey, -1, 1)).all()
    luma = prepare(IMAGES[:4], 1, 8).numpy()[:, 0]
    np.testing.assert_allclose(luma, IMAGES[:4] @ [0.299, 0.587, 0.114], atol=1)
    transparent = np.concatenate([IMAGES[:4], grey], axis=-1)
    assert (prepare(transparent, 3, 8).numpy() == np.moveaxis(IMAGES[:4], -1, 1)).all()


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((2, 8, 8, 5), np.uint8), "shape"),
        (np.full((2, 8, 8, 3), 200.0), r"\[0, 1\]"),
        (np.full((2, 8, 8, 3), np.nan), r"\[0, 1\]"),
        (np.zeros((2, 8, 8, 3), np.int64), "int64"),
    ],
)
def test_what_is_no_image_is_refused(images, words):
    with pytest.raises(WorkbenchError, match=words):
        prepare(images, 3, 8)


def test_reconstruct_and_sample_return_images(make_model):
    model = make_model()
    drawn = model.reconstruct(IMAGES)
    assert list(drawn) == ["good", "bad"]
    np.testing.assert_array_equal(drawn["bad"], 255 - IMAGES)
    assert model.can(Reconstructs)
    samples = model.sample(5, seed=1)
    assert samples.shape == (5, 8, 8, 3) and samples.dtype == np.uint8
    assert (samples == model.sample(5, seed=1)).all() and not (samples == model.sample(5, seed=2)).all()


def test_a_missing_capability_is_named(make_model):
    model = make_model(method=OnlyEncodes())
    for ask in (lambda: model.reconstruct(IMAGES), lambda: model.sample(), lambda: model.nats(IMAGES)):
        with pytest.raises(WorkbenchError, match=r"cannot .*vae"):
            ask()


def test_load_names_what_is_missing(make_run):
    run = make_run()
    (run.path / "checkpoints" / "step-00000007").rmdir()
    with pytest.raises(WorkbenchError, match="no checkpoint yet"):
        load(run.id, run.path.parent, device="cpu")
