"""A data set, a method and a run small enough to evaluate in a moment."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from workbench import store
from workbench.config import TrainConfig, write_yaml
from workbench.data.augment import plain
from workbench.data.datasets import Dataset, Split
from workbench.evaluation.context import Context
from workbench.evaluation.features import Limits, Material
from workbench.methods.base import ImageSpec, Method, Step
from workbench.methods.capabilities import Likelihood, Reconstructs, Samples
from workbench.model import TrainedModel

LONGEST = (
    *("test_sweep", "test_tour", "test_whole_batch", "test_export", "test_downloads", "test_resume"),
    *("test_diffusers", "test_sweep_tables", "test_contract", "test_views"),
)
SIDE, CLASSES = 8, ["dark blue", "grey", "bright yellow"]
LIMITS = Limits(train=90, val=40, test=60, reconstruct=20, samples=9, similarity=15)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no worker is left with one at the end."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@dataclass(frozen=True, kw_only=True)
class TinyConfig(TrainConfig):
    latent_dim: int = 4


class Tiny(Method, Reconstructs, Samples, Likelihood):
    """Features: four means of quarters of the image, times a learnt scale; and a random projection."""

    default_feature = "quarters"
    likelihood_kind = "exact"
    likelihood_note = "Every pixel is a coin."
    first_block = last_block = "projection"

    def __init__(self, config: TinyConfig, images: ImageSpec) -> None:
        super().__init__(config, images)
        self.images = images
        self.projection = nn.Linear(images.channels * images.size**2, 5)

    @classmethod
    def augmentations(cls, config, images):
        return (plain(images.size),)

    def forward(self, batch, progress):
        return Step(self.projection(batch.views[0].flatten(1)).mean(), {})

    def encode(self, images, keys=None):
        quarters = nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)
        return {"random": self.projection(images.flatten(1)), "quarters": quarters}

    def reconstruct(self, images, keys, default_only=False):
        return {"good": (images + 0.01).clamp(0, 1), "bad": 1 - images}

    def sample(self, n, seed, steps=None, sampler=None):
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(n, self.images.channels, self.images.size, self.images.size, generator=generator)

    def nats_terms(self, images, keys):
        half = torch.full((len(images),), 0.5 * float(images[0].numel() * np.log(2)))
        return {"reconstruction": half, "prior": half}


def make_split(n: int, seed: int, labels: bool = True, factors: bool = True) -> Split:
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % 3
    turn = rng.uniform(0, 360, n)
    base = 60 + 60 * classes[:, None, None, None] + rng.integers(-25, 26, (n, SIDE, SIDE, 3))
    base[:, :4, :, 0] += (20 * np.cos(np.deg2rad(turn))).astype(int)[:, None, None]
    base[:, 4:, :, 0] += (20 * np.sin(np.deg2rad(turn))).astype(int)[:, None, None]
    green = rng.uniform(0, 40, n)
    base[..., 1] += green.astype(int)[:, None, None]
    base[..., 2] -= (50 * classes)[:, None, None]
    known = {"turn": turn, "green": green, "noise": rng.normal(size=n), "parity": np.arange(n) % 2}
    return Split(
        np.clip(base, 0, 255).astype(np.uint8),
        classes.astype(np.int64) if labels else None,
        {name: values.astype(np.float32) for name, values in known.items()} if factors else None,
        np.arange(n, dtype=np.int64) + 1000 * seed,
    )


@pytest.fixture
def make_dataset():
    def make(test: int = 75, **options) -> Dataset:
        splits = [make_split(n, seed, **options) for seed, n in enumerate((120, 45, test), start=1)]
        names = CLASSES if options.get("labels", True) else None
        return Dataset("tiny", "feed", 3, SIDE, names, *splits, periods={"turn": 360.0})

    return make


@pytest.fixture
def make_run(tmp_path):
    def make(method: str = "vae", fingerprint: str = "feed", data: str = "tiny", **info) -> store.Run:
        content = {"method": method, "data": {"name": data, "fingerprint": fingerprint, "size": SIDE, "channels": 3}}
        run = store.create_run(tmp_path / "runs", write_yaml(method, TrainConfig()), content | info)
        (run.path / "checkpoints" / "step-00000007").mkdir()  # what make_model gives is in no file
        return run

    return make


@pytest.fixture
def make_model(make_run, monkeypatch):
    monkeypatch.setattr("workbench.model.build_untrained", lambda run, device, seed: _tiny(seed))

    def make(run: store.Run | None = None, seed: int = 7, method: Method | None = None) -> TrainedModel:
        spec = ImageSpec(3, SIDE)
        tiny = method or _tiny(seed)
        return TrainedModel(run or make_run(), tiny, TinyConfig(), spec, f"last, step {seed}", torch.device("cpu"))

    return make


def _tiny(seed: int) -> Tiny:
    torch.manual_seed(seed)
    return Tiny(TinyConfig(), ImageSpec(3, SIDE)).eval()


@pytest.fixture
def make_context(make_model, make_dataset, tmp_path):
    def make(run: store.Run | None = None, method: Method | None = None, **options) -> Context:
        model = make_model(run, method=method)
        material = Material(make_dataset(**options), LIMITS)
        probe = store.probe_of(model.run.path.parent, "feed")
        material.write_probe(probe)
        return Context(model.run, model, material, LIMITS, probe)

    return make
