"""MoCo v3 against the published code.

``tests/golden/mocov3.npz`` was made by running ``moco/builder.py``, ``vits.py`` and the schedules of ``main_moco.py``
of facebookresearch/moco-v3 (commit c349e6e) on one gloo process in double precision, with a small linear
encoder and random weights.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from workbench.config import OptimOptions
from workbench.methods.base import Batch
from workbench.methods.mocov3 import MoCoV3, MoCoV3Config, momentum_schedule
from workbench.networks.heads import mlp_head
from workbench.networks.momentum import MomentumCopy
from workbench.networks.vit import sincos_position
from workbench.training.optim import learning_rate

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "mocov3.npz")


class Encoder(nn.Module):
    """The encoder of the golden run: tanh of a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(12, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.body(x))


def published(tag: str, kind: str, name: str) -> torch.Tensor:
    return torch.from_numpy(GOLDEN[f"{tag}/{kind}/{name}"])


def names(tag: str, kind: str) -> list[str]:
    return [key.split("/", 2)[2] for key in GOLDEN.files if key.startswith(f"{tag}/{kind}/")]


def build(tag: str, temperature: float) -> tuple[MoCoV3, dict[str, str]]:
    """Our method around the golden encoder and weights, and published names by ours."""
    model = MoCoV3.__new__(MoCoV3)
    nn.Module.__init__(model)
    model.config = MoCoV3Config(temperature=temperature, out_dim=8)
    model.backbone, model.has_batch_norm = Encoder(), False
    model.projector = mlp_head(3 if tag == "vit" else 2, 10, 14, 8)
    model.predictor = mlp_head(2, 8, 14, 8, last_norm=tag == "vit")
    model.register_buffer("mean", torch.zeros(()))
    model.register_buffer("std", torch.ones(()))
    head = "head" if tag == "vit" else "fc"
    model.momentum_backbone, model.momentum_projector = MomentumCopy(model.backbone), MomentumCopy(model.projector)
    ours = {
        "backbone.": "base_encoder.",
        "projector.": f"base_encoder.{head}.",
        "predictor.": "predictor.",
        "momentum_backbone.module.": "momentum_encoder.",
        "momentum_projector.module.": f"momentum_encoder.{head}.",
    }
    translation = {}
    for name, _ in model.named_parameters():
        prefix = next(p for p in ours if name.startswith(p))
        translation[name] = ours[prefix] + name.removeprefix(prefix)
    model.double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(published(tag, "before", translation[name]))
    return model, translation


@pytest.mark.parametrize(("tag", "temperature"), [("vit", 0.2), ("resnet", 1.0)])
def test_loss_gradients_and_momentum_encoder(tag: str, temperature: float, monkeypatch: pytest.MonkeyPatch) -> None:
    model, translation = build(tag, temperature)
    assert len([n for n in translation.values() if n.startswith(("base", "pred"))]) == len(names(tag, "grad"))
    monkeypatch.setattr("workbench.methods.mocov3.momentum_schedule", lambda start, progress: 0.9)
    views = (torch.from_numpy(GOLDEN[f"{tag}/x1"]), torch.from_numpy(GOLDEN[f"{tag}/x2"]))
    model.train()
    model.before_step(0.0)
    step = model(Batch(views, torch.arange(6)), 0.0)
    step.loss.backward()
    assert float(step.loss.detach()) == pytest.approx(float(GOLDEN[f"{tag}/loss"]), rel=1e-8)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, published(tag, "grad", translation[name]), rtol=1e-8, atol=1e-10)
    state = model.state_dict()
    for key in names(tag, "momentum"):  # parameters, and BatchNorm statistics that are the momentum encoder's own
        ours = f"momentum_backbone.module.{key}"
        if not key.startswith("body"):
            ours = f"momentum_projector.module.{key.split('.', 1)[1]}"
        torch.testing.assert_close(state[ours], published(tag, "momentum", key), rtol=1e-8, atol=1e-10)


def test_schedules() -> None:
    for epoch, rate, momentum in GOLDEN["schedule"]:
        # golden settings: 30 epochs, 4 of warm-up, learning rate 2.4; as 1,000 steps an epoch here
        options = OptimOptions(lr=2.4, scale_lr=False, warmup_epochs=4)
        ours = learning_rate(options, 256, round(epoch * 1000), 1000, 30_000)
        assert ours == pytest.approx(rate, rel=1e-9, abs=1e-12)
        assert momentum_schedule(0.99, epoch / 30) == pytest.approx(momentum, rel=1e-12)


def test_linear_scaling_of_the_learning_rate() -> None:
    options = OptimOptions(lr=1.5e-4, warmup_epochs=0)
    assert learning_rate(options, 4096, 0, 10, 100) == pytest.approx(2.4e-3)


def test_position_table() -> None:
    np.testing.assert_allclose(sincos_position(4, 4, 16), GOLDEN["position/4x4x16"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(sincos_position(8, 8, 192)[:, ::9, ::7], GOLDEN["position/8x8x192"], rtol=0, atol=1e-6)


def test_head_shapes_are_the_published_ones() -> None:
    """Every golden weight has a place in ours and the other way round, shape for shape."""
    for tag in ("vit", "resnet"):
        model, translation = build(tag, 0.2)
        shapes = {translation[name]: tuple(parameter.shape) for name, parameter in model.named_parameters()}
        golden = {name: GOLDEN[f"{tag}/before/{name}"].shape for name in names(tag, "before")}
        assert shapes == golden
