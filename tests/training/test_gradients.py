"""Gradient norms by layer, readings of the features, and what a run says of its collapse."""

import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.tiny import EPOCH, TINY, settings, weights
from workbench.config import replace_flat
from workbench.errors import WorkbenchError
from workbench.methods import METHODS, load_method
from workbench.methods.base import ImageSpec
from workbench.methods.vae import VAE
from workbench.run import GRADIENTS
from workbench.store import Run, list_runs
from workbench.training import resume, start
from workbench.training.gradients import GradientWatch, layers, submodule


def built(method: str, **changes: object):
    kind, config = load_method(method)
    return kind(replace_flat(config(), TINY[method] | changes), ImageSpec(1, 8))


@pytest.mark.parametrize("method", METHODS)
def test_every_trained_parameter_is_in_one_layer(method: str) -> None:
    made = built(method)
    found = [id(parameter) for group in layers(made).values() for parameter in group]
    assert sorted(found) == sorted(id(p) for p in made.parameters() if p.requires_grad)


def test_layers_of_a_vit_are_its_blocks_and_heads() -> None:
    names = list(layers(built("mocov3", depth=3, frozen_patch=False)))
    blocks = [f"backbone.blocks.{index}" for index in range(3)]
    assert names == ["backbone.cls_token", "backbone.patch_embed", *blocks, "backbone.norm", "projector", "predictor"]
    assert "backbone.patch_embed" not in layers(built("mocov3"))  # frozen
    unet = list(layers(built("ddpm")))
    assert unet.index("unet.down_blocks.1") < unet.index("unet.mid_block") < unet.index("unet.up_blocks.0")
    assert "backbone.layer2.1" in layers(built("mocov3", backbone="resnet18"))


def test_norms_are_those_of_the_gradients_and_maxima_carry_their_step() -> None:
    made = built("vae")
    watch = GradientWatch(made, torch.device("cpu"))
    totals, seen = [], []
    for step in range(4):
        torch.manual_seed(step)
        for index, parameter in enumerate(made.parameters()):
            parameter.grad = torch.randn_like(parameter) * (10 if step == 1 else 1) if index != 3 else None
        watch.update()
        totals.append(float(torch.nn.utils.get_total_norm([p.grad for p in made.parameters() if p.grad is not None])))
        first = submodule(made, made.first_block)
        seen.append(float(torch.nn.utils.get_total_norm([p.grad for p in first.parameters() if p.grad is not None])))
    norms, rows = watch.pop()
    assert norms["grad_norm"] == pytest.approx(totals[-1], rel=1e-5)
    assert norms["grad_norm/first"] == pytest.approx(seen[-1], rel=1e-5)
    assert np.hypot.reduce(rows["norm"]) == pytest.approx(totals[-1], rel=1e-3)
    assert rows["max"][:2] == pytest.approx([totals[1], seen[1]], rel=1e-3)
    assert rows["ago"] == [2] * len(rows["max"]) and len(rows["max"]) == len(watch.names) + 2
    watch.update()
    assert watch.pop().layers["ago"] == [0] * len(rows["max"])  # a new row begins


def test_a_run_has_a_row_of_gradients_beside_each_row_of_metrics(tmp_path: Path) -> None:
    run = start("mocov3", settings("mocov3", tmp_path) | {"log_every": 4})
    assert run is not None
    gradients, names = run.metrics(GRADIENTS), run.info()["gradients"]["layers"]
    logged = [row for row in run.metrics() if "loss" in row]
    assert [row["step"] for row in gradients] == [row["step"] for row in logged]
    for row, beside in zip(gradients, logged, strict=True):
        assert len(row["norm"]) == len(names) and len(row["max"]) == len(row["ago"]) == len(names) + 2
        assert np.hypot.reduce(row["norm"]) == pytest.approx(beside["grad_norm"], rel=1e-3)
        assert row["max"][0] >= beside["grad_norm"] * 0.999 and all(0 <= ago < 4 for ago in row["ago"])
    assert any(ago for row in gradients for ago in row["ago"])
    assert "norm" not in logged[0] and run.info()["gradients"]["first"] in names


def test_a_resume_drops_later_rows_and_keeps_the_maxima_of_a_row_that_had_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"log_every": 4, "epochs": 2}
    whole = start("vae", settings("vae", tmp_path / "whole") | asked)
    after_step = VAE.after_step

    def stop(self: VAE, progress: float) -> None:
        after_step(self, progress)
        if round(progress * 2 * EPOCH) == 13:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(VAE, "after_step", stop)
    with pytest.raises(KeyboardInterrupt):
        start("vae", settings("vae", tmp_path / "stopped") | asked)
    monkeypatch.undo()
    (stopped,) = list_runs(tmp_path / "stopped")
    with open(stopped.path / GRADIENTS, "a", encoding="utf-8") as file:
        file.write('{"step": 16, "norm": [1]}\n{"step": 20, "no')  # as of a run that was killed later
    resume(stopped)
    assert whole is not None and stopped.metrics(GRADIENTS) == whole.metrics(GRADIENTS)
    assert all(torch.equal(tensor, weights(whole)[name]) for name, tensor in weights(stopped).items())


def test_a_run_from_before_gradients_were_kept_is_resumed(tmp_path: Path) -> None:
    run = start("vae", settings("vae", tmp_path) | {"epochs": 1})
    assert run is not None
    (run.path / GRADIENTS).unlink()
    folder = run.checkpoint()
    assert folder is not None
    state = torch.load(folder / "training.pt", weights_only=True)
    torch.save({key: value for key, value in state.items() if key != "gradients"}, folder / "training.pt")
    resume(run, epochs=2)
    assert [row["step"] for row in run.metrics(GRADIENTS)] == list(range(EPOCH + 1, 2 * EPOCH + 1))


def test_readings_of_two_views_and_of_one(tmp_path: Path) -> None:
    for method, views in (("mocov3", 2), ("vae", 1)):
        run = start(method, settings(method, tmp_path) | {"epochs": 1})
        assert run is not None
        (row,) = [row for row in run.metrics() if "knn" in row]
        assert 10 < row["linear_monitor"] <= 100
        assert 1 <= row["effective_rank"] <= 24 and 0 < row["normalised_std"] <= 1.01 and row["uniformity"] < 0
        assert ("alignment" in row) == (views == 2)
        assert run.info()["collapses"] == [] and run.summary()["collapse"] is None


def test_readings_change_nothing_of_the_training(tmp_path: Path) -> None:
    watched = start("mocov3", settings("mocov3", tmp_path) | {"epochs": 2})
    alone = start("mocov3", settings("mocov3", tmp_path) | {"epochs": 2, "monitor_every": 0})
    assert watched is not None and alone is not None
    assert all(torch.equal(tensor, weights(alone)[name]) for name, tensor in weights(watched).items())


def test_collapse_is_named_when_it_happens_and_when_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    encode, epoch = VAE.encode, []

    def constant(self: VAE, images: torch.Tensor, keys: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        found = encode(self, images, keys)
        return {"posterior_mean": torch.ones_like(found["posterior_mean"])} if epoch[:1] == [3] else found

    monkeypatch.setattr(VAE, "encode", constant)
    run = start("vae", settings("vae", tmp_path))
    assert run is not None and run.info()["collapses"] == []
    epoch.append(3)
    capsys.readouterr()
    resume(run, epochs=6)
    said = capsys.readouterr().err
    assert len(re.findall("Collapse at step", said)) == 1 and f"Collapse at step {5 * EPOCH}:" in said
    assert "the features of all images are nearly the same" in said and "--optim.lr" in said
    assert "complete collapse" in run.summary()["collapse"]
    (told,) = json.loads((run.path / "run.json").read_text())["collapses"]
    assert told["step"] == 5 * EPOCH and told["until"] is None
    epoch.clear()
    resume(run, epochs=7)
    assert f"The collapse is over at step {7 * EPOCH}" in capsys.readouterr().err
    assert run.summary()["collapse"] is None and run.info()["collapses"][0]["until"] == 7 * EPOCH


def test_features_that_are_not_finite_have_no_health(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VAE, "encode", lambda self, images, keys=None: {"posterior_mean": images.flatten(1) * np.inf})
    run = start("vae", settings("vae", tmp_path) | {"epochs": 1})
    assert run is not None
    (row,) = [row for row in run.metrics() if "knn" in row]
    assert not {"effective_rank", "linear_monitor", "normalised_std"} & row.keys()


def test_a_run_that_is_gone_gets_no_row_of_gradients(tmp_path: Path) -> None:
    run = Run(tmp_path / "gone")
    with pytest.raises(WorkbenchError, match="is gone"):
        run.log({"step": 1}, GRADIENTS)
    assert run.metrics(GRADIENTS) == []
