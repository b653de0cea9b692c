"""Gradient norms by layer, readings of the features, and what a run says of its collapse."""

import json
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.tiny import EPOCH, TINY, change_loss, failed_run, settings, stop_after, trained_run, weights
from workbench.config import DataOptions, replace_flat
from workbench.data import datasets
from workbench.data.loader import Images
from workbench.errors import WorkbenchError
from workbench.methods import METHODS, load_method
from workbench.methods.base import ImageSpec, Step
from workbench.methods.vae import VAE
from workbench.run import BATCHES, GRADIENTS
from workbench.store import Run
from workbench.training import resume, start
from workbench.training.gradients import GradientWatch, layers, submodule
from workbench.training.trainer import Trainer
from workbench.training.window import Window


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
    for parameter in made.parameters():
        parameter.grad = torch.zeros_like(parameter)
    watch.update()
    assert watch.pop().layers["ago"] == [0] * len(rows["max"])  # not of a step that belongs to the row before


def test_a_run_has_a_row_of_gradients_beside_each_row_of_metrics(tmp_path: Path) -> None:
    run = trained_run("mocov3", tmp_path, log_every=4)
    gradients, names = run.metrics(GRADIENTS), run.info()["gradients"]["layers"]
    logged = [row for row in run.metrics() if "loss" in row]
    assert [row["step"] for row in gradients] == [row["step"] for row in logged]
    for row, beside in zip(gradients, logged, strict=True):
        assert len(row["norm"]) == len(names) and len(row["max"]) == len(row["ago"]) == len(names) + 2
        assert np.hypot.reduce(row["norm"]) == pytest.approx(beside["grad_norm"], rel=1e-3)
        assert row["max"][0] >= beside["grad_norm"] * 0.999 and all(0 <= ago < 4 for ago in row["ago"])
    assert any(ago for row in gradients for ago in row["ago"])
    assert "norm" not in logged[0] and run.info()["gradients"]["first"] in names


def test_a_resume_drops_later_rows_and_keeps_the_maxima_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {"log_every": 4, "epochs": 2}
    whole = trained_run("vae", tmp_path / "whole", **asked)
    stop_after(13, 2, monkeypatch)
    stopped = failed_run(tmp_path / "stopped", KeyboardInterrupt, **asked)
    monkeypatch.undo()
    with open(stopped.path / GRADIENTS, "a", encoding="utf-8") as file:
        file.write('{"step": 16, "norm": [1]}\n{"step": 20, "no')  # as of a run that was killed later
    resume(stopped)
    assert stopped.metrics(GRADIENTS) == whole.metrics(GRADIENTS)
    assert all(torch.equal(tensor, weights(whole)[name]) for name, tensor in weights(stopped).items())


def test_a_spike_and_its_images_are_kept_and_outlive_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step_of, spiking, stop = Trainer.step, 23, list[int]()
    seen = dict[int, list[int]]()

    def step(self: Trainer, images: Images, epoch: int, at: int) -> Step:
        seen[at + 1] = images.ids.tolist()
        if at + 1 in stop:
            signal.raise_signal(signal.SIGTERM)
        return step_of(self, images, epoch, at)

    monkeypatch.setattr(Trainer, "step", step)
    change_loss(monkeypatch, lambda model, loss, at: loss * (50 if at == spiking else 1))
    asked = {"optim.lr": 0.0, "optim.clip": None}
    whole = trained_run("vae", tmp_path / "whole", **asked)
    rows = whole.metrics(BATCHES)
    assert [(row["step"], row["at"], row["of"]) for row in rows] == [(23, 23, "total"), (23, 23, "first")]
    assert all(row["ids"] == seen[spiking] and len(row["ids"]) == 16 for row in rows)
    train = datasets.load("digits", DataOptions(limit=160)).train
    kept = whole.array("batch-00000023")
    assert kept is not None
    np.testing.assert_array_equal(kept, train.images[[train.ids.tolist().index(one) for one in seen[spiking]]])
    stop.append(21)
    stopped = failed_run(tmp_path / "stopped", KeyboardInterrupt, **asked)
    stop.clear()
    stopped.log({"step": 29, "at": 29, "of": "total", "ids": [1]}, BATCHES)  # as of a run that was killed later
    assert resume(stopped).metrics(BATCHES) == rows


@pytest.mark.parametrize("poisoned", ["loss", "gradient"])
def test_what_led_to_non_finite_numbers_is_kept(poisoned: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model: VAE, loss: torch.Tensor, step: int) -> torch.Tensor:
        if step != EPOCH:  # the last step before a checkpoint
            return loss
        zero = 0 * next(model.parameters()).sum()
        return loss * torch.inf if poisoned == "loss" else loss + torch.sqrt(zero)  # its derivative at 0 is infinite

    change_loss(monkeypatch, broken, epochs=2)
    sentence = f"The {poisoned} became non-finite at step {EPOCH};.*no earlier checkpoint"
    run = failed_run(tmp_path, WorkbenchError, sentence, log_every=4, epochs=2)
    assert run.checkpoint() is None and run.summary()["status"] == "failed"
    assert [row["step"] for row in run.metrics(GRADIENTS)] == [4, 8, 10]
    assert all(value is not None for value in run.metrics(GRADIENTS)[-1]["max"])  # of the step before
    (row,) = run.metrics(BATCHES)
    assert (row["at"], row["of"], len(row["ids"])) == (EPOCH, poisoned, 16)


def test_a_stop_after_the_loss_went_wrong_leaves_a_failed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_after(5, 3, monkeypatch)
    change_loss(monkeypatch, lambda model, loss, step: loss * torch.nan if step > 1 else loss)
    run = failed_run(tmp_path, WorkbenchError, "became non-finite at step 2", log_every=100)
    assert run.summary()["status"] == "failed"


def test_means_of_bf16_terms_do_not_lose_what_is_added() -> None:
    window = Window()
    for _ in range(1000):
        window.add(torch.tensor(1.0, dtype=torch.bfloat16), {"term": torch.tensor(3.0, dtype=torch.bfloat16)})
    assert window.pop() == {"loss": 1.0, "term": 3.0}


def test_the_monitor_reads_images_in_the_parts_of_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode, most = VAE.encode, []

    def counted(self: VAE, images: torch.Tensor, keys: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        most.append(len(images))
        return encode(self, images, keys)

    monkeypatch.setattr(VAE, "encode", counted)
    start("vae", settings("vae", tmp_path) | {"epochs": 1, "accumulate": 4})
    assert max(most) == 4


def test_data_of_one_class_have_no_accuracy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = datasets.load

    def one_class(*args: Any, **options: Any) -> datasets.Dataset:
        found = load(*args, **options)
        train, val = (replace(part, labels=np.zeros(len(part), np.int64)) for part in (found.train, found.val))
        return replace(found, train=train, val=val, classes=["digit"])

    monkeypatch.setattr(datasets, "load", one_class)
    run = trained_run("vae", tmp_path, epochs=1)
    (row,) = [row for row in run.metrics() if "effective_rank" in row]
    assert not {"knn", "linear_monitor"} & row.keys()


def test_a_run_from_before_gradients_were_kept_is_resumed(tmp_path: Path) -> None:
    run = trained_run("vae", tmp_path, epochs=1)
    (run.path / GRADIENTS).unlink()
    folder = run.checkpoint()
    assert folder is not None
    state = torch.load(folder / "training.pt", weights_only=True)
    torch.save({key: value for key, value in state.items() if key != "gradients"}, folder / "training.pt")
    resume(run, epochs=2)
    assert [row["step"] for row in run.metrics(GRADIENTS)] == list(range(EPOCH + 1, 2 * EPOCH + 1))


def test_readings_of_two_views_and_of_one(tmp_path: Path) -> None:
    for method, views in (("mocov3", 2), ("vae", 1)):
        run = trained_run(method, tmp_path, epochs=1)
        (row,) = [row for row in run.metrics() if "knn" in row]
        assert 10 < row["linear_monitor"] <= 100
        assert 1 <= row["effective_rank"] <= 24 and 0 < row["normalised_std"] <= 1.01 and row["uniformity"] < 0
        assert ("alignment" in row) == (views == 2)
        assert run.info()["collapses"] == [] and run.summary()["collapse"] is None


def test_readings_change_nothing_of_the_training(tmp_path: Path) -> None:
    watched = trained_run("mocov3", tmp_path, epochs=2)
    alone = trained_run("mocov3", tmp_path, epochs=2, monitor_every=0)
    assert all(torch.equal(tensor, weights(alone)[name]) for name, tensor in weights(watched).items())


def test_collapse_is_named_when_it_happens_and_when_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    encode, epoch = VAE.encode, []

    def constant(self: VAE, images: torch.Tensor, keys: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        found = encode(self, images, keys)
        return {"posterior_mean": torch.ones_like(found["posterior_mean"])} if epoch[:1] == [3] else found

    monkeypatch.setattr(VAE, "encode", constant)
    run = trained_run("vae", tmp_path)
    assert run.info()["collapses"] == []
    epoch.append(3)
    capsys.readouterr()
    resume(run, epochs=6)
    said = capsys.readouterr().err
    assert len(re.findall("Collapse at step", said)) == 1 and f"Collapse at step {5 * EPOCH}:" in said
    assert "the features of all images are nearly the same" in said and "--lr" in said
    assert "complete collapse" in run.summary()["collapse"]
    (told,) = json.loads((run.path / "run.json").read_text())["collapses"]
    assert told["step"] == 5 * EPOCH and told["until"] is None
    epoch.clear()
    resume(run, epochs=7)
    assert f"Recovered from collapse at step {7 * EPOCH}" in capsys.readouterr().err
    assert run.summary()["collapse"] is None and run.info()["collapses"][0]["until"] == 7 * EPOCH


def test_features_that_are_not_finite_have_no_health(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VAE, "encode", lambda self, images, keys=None: {"posterior_mean": images.flatten(1) * np.inf})
    run = trained_run("vae", tmp_path, epochs=1)
    (row,) = [row for row in run.metrics() if "knn" in row]
    assert not {"effective_rank", "linear_monitor", "normalised_std"} & row.keys()


def test_a_run_that_is_gone_gets_no_row_of_gradients(tmp_path: Path) -> None:
    run = Run(tmp_path / "gone")
    with pytest.raises(WorkbenchError, match="is gone"):
        run.log({"step": 1}, GRADIENTS)
    assert run.metrics(GRADIENTS) == []
