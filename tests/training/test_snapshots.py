"""Snapshots: few, small, at even parts of the training, the same after a resume."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.training.tiny import EPOCH, trained_run
from workbench.methods import METHODS
from workbench.store import Run, list_runs
from workbench.training import resume
from workbench.training.checkpoint import load_method_from
from workbench.training.snapshots import load_snapshot, save_snapshot, snapshot_steps, snapshots
from workbench.training.trainer import Trainer


def train(method: str, runs: Path, **changes: object) -> Run:
    return trained_run(method, runs, monitor_every=0, **changes)


def steps_of(run: Run) -> list[int]:
    return [step for step, _ in snapshots(run)]


@pytest.mark.parametrize(("steps", "count", "expected"), [(100, 4, [0, 25, 50, 75]), (3, 5, [0, 1, 2]), (9, 0, [])])
def test_even_parts(steps: int, count: int, expected: list[int]) -> None:
    assert snapshot_steps(steps, count) == expected


@pytest.mark.parametrize("method", METHODS)
def test_a_snapshot_is_small_and_gives_nearly_the_features_of_its_step(method: str, tmp_path: Path) -> None:
    run = train(method, tmp_path, snapshots=3)
    assert steps_of(run) == [0, EPOCH, 2 * EPOCH]
    whole, (_, file) = run.checkpoint(), snapshots(run)[-1]
    assert whole is not None and file.stat().st_size < 0.4 * sum(part.stat().st_size for part in whole.iterdir())
    images = torch.rand(8, run.info()["data"]["channels"], *[run.info()["data"]["size"]] * 2)
    snapshot = load_snapshot(run, snapshots(run)[-1][1], torch.device("cpu"))
    last = load_method_from(run).method
    with torch.inference_mode():
        early, late = snapshot.encode(images), last.encode(images)
    assert early.keys() == late.keys()
    assert all(torch.isfinite(features).all() and features.dtype == torch.float32 for features in early.values())
    assert not np.allclose(early[last.default_feature], late[last.default_feature], atol=1e-4)


def test_bf16_costs_less_than_a_percent_of_the_features(tmp_path: Path) -> None:
    run = train("vae", tmp_path, snapshots=1)
    method = load_method_from(run).method
    save_snapshot(run, 7, method)
    file = dict(snapshots(run))[7]
    images = torch.rand(8, run.info()["data"]["channels"], *[run.info()["data"]["size"]] * 2)
    with torch.inference_mode():
        exact = method.encode(images)[method.default_feature]
        rounded = load_snapshot(run, file, torch.device("cpu")).encode(images)[method.default_feature]
    assert 0 < float((exact - rounded).norm() / exact.norm()) < 0.01


def test_training_longer_keeps_them_few_and_drops_none_that_it_needs(tmp_path: Path) -> None:
    run = train("vae", tmp_path, epochs=2, snapshots=4)
    assert steps_of(run) == [0, 5, 10, 15]
    for epochs in (4, 8, 16):
        resume(run, epochs=epochs)
        assert len(steps_of(run)) <= 4 and steps_of(run)[0] == 0
        shares = np.array(steps_of(run)) / (epochs * EPOCH)
        np.testing.assert_allclose(shares, [0, 0.25, 0.5, 0.75], atol=0.13)
    assert not list((run.path / "checkpoints" / "snapshots").glob(".tmp-*"))


def test_killed_and_resumed_training_has_the_same_snapshots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train("vae", tmp_path / "whole", snapshots=5)
    step, done = Trainer.step, []

    def dying(*arguments: Any) -> Any:
        done.append(1)
        if len(done) > EPOCH + 4:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(Trainer, "step", dying)
    with pytest.raises(KeyboardInterrupt):
        train("vae", tmp_path / "part", snapshots=5)
    monkeypatch.undo()
    (part,) = list_runs(tmp_path / "part")
    assert steps_of(part) == [0, 6, 12]
    (part.path / "checkpoints" / "snapshots" / ".tmp-torn").touch()
    resume(part)
    assert steps_of(part) == steps_of(whole) == [0, 6, 12, 18, 24]
    assert not list((part.path / "checkpoints" / "snapshots").glob(".tmp-*"))
    for (_, one), (_, two) in zip(snapshots(part), snapshots(whole), strict=True):
        first, second = load_file(one), load_file(two)
        assert all(torch.equal(first[name], second[name]) for name in first)
