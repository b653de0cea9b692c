"""``workbench export``: plain timm, or onnxruntime, computes the features of the run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

import workbench
from tests.weights.conftest import export, import_again, trained_run
from tests.weights.published import images, moco, normalised, photos, resnet, vit
from workbench.cli import main
from workbench.store import Run, list_runs

SMALL = {"patch": 4, "width": 48, "depth": 2, "heads": 4}
HEADS = {"hidden": 16, "out_dim": 8}
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "conv": ("mocov3", SMALL | HEADS | {"stem": "conv"}),
    "patch": ("mocov3", SMALL | HEADS | {"stem": "patch"}),
    "mean": ("mocov3", SMALL | HEADS | {"stem": "patch", "token": "mean"}),
    "small stem": ("mocov3", HEADS | {"backbone": "resnet18"}),
    "classifier": ("supervised", SMALL | {"stem": "patch", "position": "learned"}),
    "no position": ("supervised", SMALL | {"stem": "conv", "position": "none"}),
}


def built(folder: Path, pictures: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> tuple[torch.nn.Module, Any]:
    """What the lines in the model card make: the model and its output for images in [0, 1]."""
    code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"images": pictures}
    with torch.no_grad():
        exec(code, names)
    return names["model"], names["features"]


@pytest.mark.parametrize("kind", RUNS)
def test_the_model_card_loads_it_into_plain_timm(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method, settings = RUNS[kind]
    run = trained_run(method, settings, tmp_path / "runs")
    folder = export(run, tmp_path / "out")
    pictures = images(8, 1)
    model, features = built(folder, torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255, monkeypatch)
    loaded = workbench.load(run)
    found = loaded.encode(pictures)
    assert type(model).__module__.startswith("timm.")
    space = "logits" if method == "supervised" else loaded.default
    np.testing.assert_allclose(features, found[space], rtol=1e-5, atol=1e-5)
    config = json.loads((folder / "config.json").read_text())
    if "architecture" in config:
        again = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        with torch.no_grad():
            torch.testing.assert_close(again(normalised(pictures, (0.5,), (0.25,))), features, rtol=1e-5, atol=1e-5)
    assert (kind in ("conv", "small stem", "no position")) == ("architecture" not in config)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]


@pytest.mark.parametrize("kind", RUNS)
def test_import_takes_back_what_export_writes(kind: str, tmp_path: Path) -> None:
    run = trained_run(*RUNS[kind], tmp_path / "runs")
    folder = export(run, tmp_path / "out")
    back = import_again(folder, tmp_path / "runs")
    assert back.info()["method"] == "encoder"
    assert back.info()["data"]["fingerprint"] == run.info()["data"]["fingerprint"]
    before, after = (workbench.load(one).encode(images(8, 1)) for one in (run, back))
    for space, values in after.items():
        np.testing.assert_allclose(values, before[space], rtol=1e-6, atol=1e-6)
    second = export(back, tmp_path / "second")
    assert 'license: "MIT"' in (second / "README.md").read_text()
    given, wanted = (json.loads((path / "config.json").read_text()) for path in (second, folder))
    assert given["model_args"] == wanted["model_args"]
    assert given.get("architecture") == wanted.get("architecture")


@pytest.mark.parametrize("arch", ["vit_small", "resnet50"])
def test_published_weights_come_out_as_they_went_in(arch: str, tmp_path: Path) -> None:
    network = vit() if arch == "vit_small" else resnet()
    content, _ = moco(arch, network, 48 if arch == "vit_small" else 2048)
    torch.save(content, tmp_path / "moco.pth.tar")
    data, size = photos(tmp_path / "photos"), 16 if arch == "vit_small" else 72
    more = [] if arch == "vit_small" else ["--image-size", "72"]
    assert main(["import", str(tmp_path / "moco.pth.tar"), "--data", str(data), "--runs", str(tmp_path), *more]) == 0
    (run,) = list_runs(tmp_path)
    folder = export(run, tmp_path / "out")
    from safetensors.torch import load_file

    state, published = load_file(folder / "model.safetensors"), network.state_dict()
    assert state.keys() == published.keys()
    assert all(torch.equal(state[name], published[name]) for name in state)
    config = json.loads((folder / "config.json").read_text())
    kwargs = config["model_args"] | {"num_classes": 0}
    model = timm.create_model(config["architecture"], checkpoint_path=str(folder / "model.safetensors"), **kwargs)
    with torch.no_grad():
        given = model.eval()(normalised(images(size)))
    expected = workbench.load(run).encode(images(size))
    wanted = expected["class_token" if arch == "vit_small" else "pooled"]
    np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-5 * max(1.0, float(np.abs(wanted).max())))


def test_the_model_card_has_what_was_measured(tmp_path: Path) -> None:
    run = trained_run(*RUNS["patch"], tmp_path / "runs")
    card = (export(run, tmp_path / "one") / "README.md").read_text()
    assert f"evaluate them with `workbench evaluate {run.id}`" in card and "Licence: not stated" in card
    words = ["evaluate", run.id, "--runs", str(tmp_path / "runs"), "--only", "knn", "--only", "linear"]
    assert main(words) == 0
    card = (export(run, tmp_path / "two") / "README.md").read_text()
    for name in ("knn", "linear"):
        content = run.evaluation(name)
        assert content["protocol"] in card
        for row in content["rows"]:
            line = f"| {row['model']} | {row['space']} | {row['value']:.1f} | [{row['low']:.1f}, {row['high']:.1f}]"
            assert line in card
    info = run.info()
    for text in (info["data"]["fingerprint"], "Seed: 0", f"torch {info['versions']['torch']}", "library_name: timm"):
        assert text in card


def test_the_model_card_leaves_out_what_was_measured_of_other_weights(tmp_path: Path) -> None:
    run = trained_run(*RUNS["patch"], tmp_path / "runs")
    assert main(["evaluate", run.id, "--runs", str(tmp_path / "runs"), "--only", "knn"]) == 0
    run.write_evaluation("knn", run.evaluation("knn") | {"checkpoint": "last, step 2 (trained weights)"})
    card = (export(run, tmp_path / "out") / "README.md").read_text()
    assert "None yet for the weights of step 1" in card and "| kNN |" not in card


@pytest.mark.parametrize("kind", ["conv", "small stem", "classifier"])
def test_onnx_takes_bytes_and_gives_every_space(kind: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    run = trained_run(*RUNS[kind], tmp_path / "runs")
    file = export(run, tmp_path / "encoder.onnx", "--format", "onnx")
    session = onnxruntime.InferenceSession(str(file))
    pictures = images(8, 1, n=7)
    names = [output.name for output in session.get_outputs()]
    given = session.run(None, {"images": np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))})
    expected = workbench.load(run).encode(pictures)
    assert names == list(expected)
    for name, values in zip(names, given, strict=True):
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-4)
    assert [path.name for path in tmp_path.glob("*.onnx*")] == ["encoder.onnx"]


def refused(capsys: pytest.CaptureFixture[str], run: Run, output: Path, *words: str, inside: bool = True) -> str:
    capsys.readouterr()
    folder = output.parent if inside else output.parent.parent
    before = sorted(folder.iterdir())
    assert main(["export", run.id, "--runs", str(run.path.parent), "--output", str(output), *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and sorted(folder.iterdir()) == before
    return error


def test_unexportable_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    vae = trained_run("vae", {"width": 8}, tmp_path / "runs")
    assert "only the ViTs and ResNets" in refused(capsys, vae, tmp_path / "out")
    assert "only the ViTs and ResNets" in refused(capsys, vae, tmp_path / "out.onnx", "--format", "onnx")
    bn = trained_run("mocov3", SMALL | HEADS | {"stem": "patch", "mlp_norm": "batch"}, tmp_path / "runs")
    assert "--format onnx exports any encoder" in refused(capsys, bn, tmp_path / "out")
    conv = trained_run("mocov3", HEADS | {"backbone": "conv", "conv_width": 8}, tmp_path / "runs")
    assert "timm has no small convolutional encoder" in refused(capsys, conv, tmp_path / "out")
    assert "must end in .onnx" in refused(capsys, bn, tmp_path / "out", "--format", "onnx")
    assert "exists already" in refused(capsys, bn, tmp_path / "runs")
    (tmp_path / "file.onnx").touch()
    assert "exists already" in refused(capsys, bn, tmp_path / "file.onnx", "--format", "onnx")
    inside = tmp_path / "file.onnx" / "x.onnx"
    assert "choose another place" in refused(capsys, bn, inside, "--format", "onnx", inside=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "representation-workbench[onnx]" in refused(capsys, bn, tmp_path / "out.onnx", "--format", "onnx")
