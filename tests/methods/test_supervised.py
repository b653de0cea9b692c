"""Supervised: the loss, the encoder it shares with MoCo v3, and where the number of classes comes from."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from timm.loss.cross_entropy import LabelSmoothingCrossEntropy

from tests.training import tiny
from tests.training.tiny import settings
from workbench.errors import WorkbenchError
from workbench.evaluation import runner
from workbench.evaluation.features import Limits
from workbench.methods.base import Batch, ImageSpec, evaluation_mode
from workbench.methods.mocov3 import MoCoV3, MoCoV3Config
from workbench.methods.supervised import Supervised, SupervisedConfig, smoothed_cross_entropy
from workbench.model import load
from workbench.store import Run
from workbench.training import start
from workbench.training.checkpoint import build_untrained, read_config
from workbench.training.loop import resolve

LIMITS = Limits(train=150, val=50, test=100, layer_train=100, layer_test=60, probe=40, reconstruct=8, samples=4)
SHAPE = {"width": 48, "depth": 2, "heads": 2, "patch": 4}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    easy = {"epochs": 20, "optim.lr": 5e-3, "optim.scale_lr": False, "crop_min": 1.0, "flip": 0.0, "jitter": 0.0}
    easy |= {"data.limit": 480, "monitor_every": 0}
    return tiny.trained_run("supervised", tmp_path_factory.mktemp("runs"), **easy)


def test_the_loss_is_that_of_timm_and_of_the_formula() -> None:
    """timm's is what DeiT's code calls."""
    torch.manual_seed(0)
    logits, labels = torch.randn(7, 5, dtype=torch.float64), torch.arange(7) % 5
    ours = smoothed_cross_entropy(logits, labels, 0.1)
    torch.testing.assert_close(ours, LabelSmoothingCrossEntropy(0.1)(logits, labels))
    wanted = 0.9 * np.eye(5)[labels.numpy()] + 0.1 / 5
    log_softmax = logits.numpy() - np.log(np.exp(logits.numpy()).sum(axis=1, keepdims=True))
    assert float(ours) == pytest.approx(-(wanted * log_softmax).sum(axis=1).mean(), rel=1e-12)


def test_the_loss_knows_no_constant_added_to_all_logits() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(7, 5), torch.arange(7) % 5
    one, other = (smoothed_cross_entropy(values, labels, 0.1) for values in (logits, logits + 3))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("more", [{}, {"backbone": "resnet18"}, {"token": "mean"}], ids=str)
def test_the_encoder_is_mocov3s_weight_for_weight(more: dict[str, str]) -> None:
    images = ImageSpec(3, 16)
    torch.manual_seed(0)
    classifier = Supervised(SupervisedConfig(**SHAPE | more, classes=5), images)  # pyright: ignore[reportArgumentType]
    contrastive = MoCoV3(MoCoV3Config(**SHAPE | more, hidden=32, out_dim=16), images)  # pyright: ignore[reportArgumentType]
    contrastive.backbone.load_state_dict(classifier.backbone.state_dict())
    pixels = torch.rand(4, 3, 16, 16)
    with evaluation_mode(classifier), evaluation_mode(contrastive):
        ours, theirs = classifier.encode(pixels), contrastive.encode(pixels)
    assert classifier.default_feature == contrastive.default_feature
    assert set(ours) - {"logits"} == set(theirs) - {"projector"}
    assert all(torch.equal(ours[space], theirs[space]) for space in ours if space != "logits")


def test_published_is_a_small_vit_with_deits_optimiser() -> None:
    values = SupervisedConfig.presets(224)["published"]
    assert (values["patch"], values["width"], values["depth"]) == (16, 384, 12)
    assert values["optim.lr"] * 512 / 256 == pytest.approx(5e-4) and not values["frozen_patch"]
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = Supervised(SupervisedConfig(patch=16, width=384, heads=12, position="learned"), ImageSpec(3, 224))
    assert sum(p.numel() for p in network.parameters()) == 22_050_664  # timm's deit_small_patch16_224


def test_the_classes_are_those_of_the_data(tmp_path: Path) -> None:
    config, _ = resolve("supervised", settings("supervised", tmp_path) | {"classes": 3})
    assert isinstance(config, SupervisedConfig) and config.classes == 10


def test_images_without_labels_are_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for index in range(12):
        pixels = np.random.default_rng(index).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{index}.png")
    wanted = settings("supervised", tmp_path / "runs") | {"data": str(tmp_path / "photos"), "batch_size": 4}
    with pytest.raises(WorkbenchError, match="The training images of photos have no labels to learn from; choose"):
        start("supervised", wanted | {"data.cache": str(tmp_path / "cache")})
    assert not (tmp_path / "runs").exists()
    method = Supervised(SupervisedConfig(**SHAPE, classes=5), ImageSpec(3, 16))  # pyright: ignore[reportArgumentType]
    with pytest.raises(WorkbenchError, match="no labels"):
        method(Batch((torch.rand(2, 3, 16, 16),), torch.arange(2)), 0.0)


def test_it_learns_what_it_is_told(trained: Run) -> None:
    rows = [row["training_top1"] for row in trained.metrics() if "training_top1" in row]
    assert rows[-1] > rows[0] + 20


def test_a_checkpoint_and_an_untrained_network_know_their_classes(trained: Run) -> None:
    model = load(trained, device="cpu")
    images = np.zeros((2, 8, 8, 1), np.uint8)
    assert model.encode(images)["logits"].shape == model.untrained().encode(images)["logits"].shape == (2, 10)
    assert isinstance(build_untrained(trained, torch.device("cpu")), Supervised)
    assert read_config(trained)[1].classes == 10  # pyright: ignore[reportAttributeAccessIssue]


def test_evaluation_reads_it_like_mocov3(trained: Run) -> None:
    runner.evaluate([trained], only=("knn", "linear", "layers"), device="cpu", limits=LIMITS, quiet=True)
    for name in ("knn", "linear"):
        content = trained.evaluation(name)
        assert content["default"] == "class_token"
        models = {(row["model"], row["space"]) for row in content["rows"]}
        assert {("run", "class_token"), ("run", "logits"), ("pixels", "pixels")} < models
        assert ("untrained:supervised", "class_token") in models
    rows = trained.evaluation("linear")["rows"]
    linear = {row["model"]: row["value"] for row in rows if row["space"] == "class_token"}
    assert linear["run"] > linear["untrained:supervised"] + 10
    depths = [row["layer"] for row in trained.evaluation("layers")["rows"] if row["model"] == "run"]
    assert list(dict.fromkeys(depths)) == ["stem", "block_1", "logits"]
