"""What cannot be imported is refused in one sentence, and leaves nothing behind."""

import argparse
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from tests.weights.published import moco, photos, vit
from workbench.cli import main

TRACE: dict[str, str] = {}


class Malicious:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (TRACE["path"],)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos", each=4)


def refused(capsys: pytest.CaptureFixture[str], source: str, *words: str, data: str = "photos") -> str:
    """The error message; nothing is left in the runs."""
    capsys.readouterr()
    assert main(["import", source, "--data", data, *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("error: ") and len(captured.err) < 500
    assert not Path("runs").exists() or list(Path("runs").iterdir()) == []
    return captured.err


@pytest.mark.parametrize("zipped", [True, False])
def test_a_malicious_pickle_is_not_executed(zipped: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    TRACE["path"] = str(tmp_path / "executed")
    torch.save({"state_dict": Malicious()}, "evil.pth", _use_new_zipfile_serialization=zipped)
    assert "mkdir, which could execute any code" in refused(capsys, "evil.pth")
    Path("evil.bin").write_bytes(pickle.dumps({"state_dict": Malicious()}))
    refused(capsys, "evil.bin")
    assert not Path("executed").exists()
    pickle.loads(pickle.dumps(Malicious()))  # it is malicious
    assert Path("executed").exists()


def test_other_objects_are_refused_too(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": {"a": torch.ones(3)}, "args": argparse.Namespace(lr=1)}, "args.pth")
    assert "argparse.Namespace" in refused(capsys, "args.pth")
    torch.save([1, 2], "list.pth")
    assert "holds a list instead of named tensors" in refused(capsys, "list.pth")
    torch.save({"epoch": 3}, "epoch.pth")
    assert "holds no named tensors, only: epoch" in refused(capsys, "epoch.pth")


def test_damaged_and_missing_files(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(vit().state_dict(), "whole.pth")
    whole = Path("whole.pth").read_bytes()
    torch.save(vit().state_dict(), "older.pth", _use_new_zipfile_serialization=False)
    older = Path("older.pth").read_bytes()
    for name, content in {
        "half.pth": whole[: len(whole) // 2],
        "empty.pth": b"",
        "page.bin": b"<html>" * 30,
        "text.pth": b"a text",  # torch raises struct.error, IndexError, AssertionError of these
        "old-half.pth": older[: len(older) // 2],
        "old-start.pth": older[:40],
        "old-storages.pth": older.replace(b"storageq", b"storagek"),
        "short.safetensors": b"\x10",
        "header.safetensors": b"\xff" * 64,
    }.items():
        Path(name).write_bytes(content)
        assert "cannot be read as weights: it is truncated" in refused(capsys, name)
    assert "There is no file none.pth" in refused(capsys, "none.pth")
    assert "has no model.safetensors" in refused(capsys, "photos")


def test_other_networks_are_told_by_three_tensors(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(timm.create_model("swin_tiny_patch4_window7_224").state_dict(), "swin.pth")
    assert "belong to neither a ViT nor a ResNet" in refused(capsys, "swin.pth")
    torch.save(timm.create_model("resnet34").state_dict(), "r34.pth")
    assert "has 3, 4, 6, 3 basic blocks" in refused(capsys, "r34.pth")
    torch.save(timm.create_model("wide_resnet50_2").state_dict(), "wide.pth")
    error = refused(capsys, "wide.pth")
    assert "layer1.0.conv1.weight is (128, 64, 1, 1), not (64, 64, 1, 1)" in error and "more; such a network" in error
    assert error.count("layer") == 3
    torch.save(vit(init_values=1.0, num_heads=4).state_dict(), "scaled.pth")
    assert "blocks.0.ls1.gamma (48,) has no place" in refused(capsys, "scaled.pth", "--heads", "4")
    torch.save(vit().state_dict() | {"pos_embed": torch.ones(1, 18, 48)}, "registers.pth")
    assert "not a square" in refused(capsys, "registers.pth", "--heads", "4")
    content, _ = moco("vit_small", vit(), 48)
    state = content["state_dict"]
    state["module.predictor.0.weight"] = torch.ones(40, 25)
    torch.save(content, "predictor.pth")
    assert "not those of MoCo v3's predictor: 0.weight is (40, 25), not (40, 24)" in refused(capsys, "predictor.pth")


def test_what_no_tensor_tells_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": vit().state_dict()}, "deit.pth")
    assert "give --heads" in refused(capsys, "deit.pth")
    assert "does not divide" in refused(capsys, "deit.pth", "--heads", "7")
    assert "takes images of 16 px" in refused(capsys, "deit.pth", "--heads", "6", "--image-size", "32")
    assert "channels" in refused(capsys, "deit.pth", "--heads", "6", data="digits")
    assert "goes with timm:NAME" in refused(capsys, "deit.pth", "--file", "deit.pth")


def test_names_of_timm(capsys: pytest.CaptureFixture[str]) -> None:
    assert 'did you mean "vit_small_patch16_224"?' in refused(capsys, "timm:vit_smal_patch16_224")
    assert 'did you mean "vit_small_patch16_224.dino"?' in refused(capsys, "timm:vit_small_patch16_224.dinno")
    assert "more." in refused(capsys, "timm:nothing")  # not all of their names
    assert "is a SwinTransformer" in refused(capsys, "timm:swin_tiny_patch4_window7_224")


def test_a_full_disk_leaves_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(vit(num_heads=4).state_dict(), "vit.pth")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workbench.weights.imported_run.save_file", full)
    assert "No space left" in refused(capsys, "vit.pth", "--heads", "4")
