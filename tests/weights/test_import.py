"""``workbench import``: a published checkpoint's features are those of the network that it was made from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

import workbench
from tests.weights.conftest import new_run
from tests.weights.published import images, moco, normalised, photos, resnet, vit
from workbench import training
from workbench.cli import main
from workbench.errors import WorkbenchError
from workbench.run import GROUP_DIGITS
from workbench.store import Run, list_runs
from workbench.training.checkpoint import load_method_from


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return photos(tmp_path / "photos")


def saved(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


def imported(source: object, data: Path, *words: str) -> Run:
    runs = data.parent / "runs"
    before = {run.id for run in list_runs(runs)}
    assert main(["import", str(source), "--data", str(data), "--runs", str(runs), *words]) == 0
    (run,) = [run for run in list_runs(runs) if run.id not in before]
    return run


def computed(network: Callable[[torch.Tensor], torch.Tensor], pictures: np.ndarray) -> torch.Tensor:
    with torch.no_grad():
        return network(normalised(pictures))


def close(given: Any, expected: torch.Tensor) -> None:
    """To 1e-5 of the largest, or of 1."""
    largest = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(torch.as_tensor(given), expected, rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize("arch", ["vit_small", "vit_conv_small"])
def test_a_checkpoint_of_moco_v3_is_a_run_of_it_with_its_heads(arch: str, tmp_path: Path, data: Path) -> None:
    changes = {} if arch == "vit_small" else {"embed_layer": conv_stem}
    network = vit(**changes)
    content, projector = moco(arch, network, 48)
    run = imported(saved(content, tmp_path / "vit-s.pth.tar"), data)
    pictures = images(16)
    tokens = computed(network.forward_features, pictures)
    model = workbench.load(run)
    found = model.encode(pictures)
    close(found["class_token"], tokens[:, 0])
    close(found["pooled_patches"], tokens[:, 1:].mean(dim=1))
    close(found["projector"], projector(tokens[:, 0]).detach())
    config: Any = model.config
    assert (config.heads, config.position, config.hidden, config.out_dim) == (12, "sincos", 40, 24)
    assert run.info()["method"] == "mocov3" and run.summary()["name"] == "vit-s"
    state, published = model.method.state_dict(), content["state_dict"]
    assert len(state) == len(published)
    torch.testing.assert_close(state["predictor.4.running_mean"], published["module.predictor.4.running_mean"])


def conv_stem(img_size: int, patch_size: int, in_chans: int, embed_dim: int, **_: object) -> nn.Module:
    """MoCo v3's for patches of 4 pixels."""

    class Stem(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers: list[nn.Module] = []
            for before, after in ((in_chans, 24), (24, 48)):
                layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            self.proj = nn.Sequential(*layers, nn.Conv2d(48, embed_dim, 1))
            self.patch_size, self.grid_size, self.num_patches = (4, 4), (4, 4), 16

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.proj(x).flatten(2).transpose(1, 2)

    return Stem()


def test_a_resnet_of_moco_v3(tmp_path: Path, data: Path) -> None:
    network = resnet()
    content, projector = moco("resnet50", network, 2048)
    run = imported(saved(content, tmp_path / "r50.pth.tar"), data, "--image-size", "72")
    pictures = images(72)
    pooled = computed(network, pictures)
    found = workbench.load(run).encode(pictures)
    close(found["pooled"], pooled)
    close(found["projector"], projector(pooled).detach())
    assert run.info()["method"] == "mocov3"


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_resnet_of_torchvision(name: str, tmp_path: Path, data: Path) -> None:
    network = resnet(name)
    width = 512 if name == "resnet18" else 2048
    state = network.state_dict() | {"fc.weight": torch.rand(1000, width), "fc.bias": torch.rand(1000)}
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}  # as of old
    run = imported(saved(state, tmp_path / f"{name}.pth"), data, "--image-size", "72")
    expected = computed(network, images(72))
    close(workbench.load(run).encode(images(72))["pooled"], expected)
    info = run.info()
    assert info["method"] == "encoder" and info["source"]["left_out"] == ["classifier"]


def test_deits_checkpoint_and_what_is_kept_of_it(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture) -> None:
    network = vit(num_heads=6, num_classes=10)
    with torch.no_grad():
        network.pos_embed.normal_(std=0.02)
    file = saved({"model": network.state_dict()}, tmp_path / "deit.pth")
    run = imported(file, data, "--heads", "6", "--name", "deit", "--licence", "Apache-2.0")
    expected = computed(network.forward_features, images(16))[:, 0]
    model = workbench.load(run)
    close(model.encode(images(16))["class_token"], expected)
    assert vars(model.config)["position"] == "learned"
    info = run.info()
    assert info["licence"] == "Apache-2.0" and info["source"]["file"] == "deit.pth"
    assert len(info["source"]["sha256"]) == 64 and info["source"]["training_images"].startswith("unknown")
    assert "training images are unknown" in (run.path / "notes.md").read_text()
    capsys.readouterr()
    runs = str(run.path.parent)
    assert main(["evaluate", "deit", "--runs", runs, "--only", "knn"]) == 0
    assert {row["model"] for row in run.evaluation("knn")["rows"]} == {"run", "pixels", "untrained:encoder"}
    capsys.readouterr()
    assert main(["runs", "--json", "--runs", runs]) == 0
    assert '"licence": "Apache-2.0"' in capsys.readouterr().out
    assert main(["compare", "deit", "--runs", runs]) == 0
    assert main(["embed", "deit", "--runs", runs, "--output", str(tmp_path / "features.npy")]) == 0


def test_the_encoder_of_a_linear_probe(tmp_path: Path, data: Path) -> None:
    network = vit(num_classes=7)
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    file = saved({"epoch": 90, "arch": "vit_small", "state_dict": state}, tmp_path / "linear.pth.tar")
    run = imported(file, data)
    expected = computed(network.forward_features, images(16))[:, 0]
    close(workbench.load(run).encode(images(16))["class_token"], expected)
    assert run.info()["method"] == "encoder" and run.info()["source"]["kind"] == "MoCo v3's linear probe"


def test_a_model_of_timm_with_its_own_normalisation(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture) -> None:
    torch.manual_seed(0)
    shallow = timm.create_model("vit_tiny_patch16_224", depth=1)
    file = tmp_path / "model.safetensors"
    torch.manual_seed(0)
    whole: Any = timm.create_model("vit_tiny_patch16_224")
    from safetensors.torch import save_file

    save_file(whole.state_dict(), file)
    run = imported("timm:vit_tiny_patch16_224", data, "--file", str(file))
    with torch.no_grad():
        expected = whole.eval().forward_features(normalised(images(224, n=2), (0.5,) * 3, (0.5,) * 3))[:, 0]
    close(workbench.load(run).encode(images(224, n=2))["class_token"], expected)
    info = run.info()
    assert info["name"] == "vit_tiny_patch16_224" and info["licence"] == "apache-2.0"
    capsys.readouterr()
    words = ["import", "timm:vit_tiny_patch16_224", "--data", str(data), "--runs", str(data.parent / "runs"), "--file"]
    assert main([*words, str(file), "--heads", "6"]) == 2
    assert "computes something else" in capsys.readouterr().err
    save_file(shallow.state_dict(), file)
    assert main([*words, str(file)]) == 2
    assert "differs in blocks.1.norm1.weight" in capsys.readouterr().err
    assert len(list_runs(run.path.parent)) == 1


def test_a_downloaded_copy_of_a_model_of_timm(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("workbench.weights.from_timm.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    words = ["import", "timm:resnet18.tv_in1k", "--data", str(data), "--runs", str(tmp_path / "runs")]
    assert main(words) == 2
    assert "There is no downloaded copy of timm's resnet18.tv_in1k" in capsys.readouterr().err
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    network = resnet("resnet18")
    url: Any = timm.get_pretrained_cfg("resnet18.tv_in1k")
    saved(network.state_dict(), tmp_path / "hub" / "checkpoints" / Path(url.url).name)
    run = imported("timm:resnet18.tv_in1k", data)
    expected = computed(network, images(224, n=2))
    close(workbench.load(run).encode(images(224, n=2))["pooled"], expected)


def test_training_starts_from_an_imported_encoder_and_is_not_resumed(tmp_path: Path, data: Path) -> None:
    file = saved(vit(num_heads=4).state_dict(), tmp_path / "vit.pth")
    run = imported(file, data, "--heads", "4")
    with pytest.raises(WorkbenchError, match="--init"):
        training.resume(run)
    assert run.info()["status"] == "finished"
    settings: dict[str, Any] = {"data": str(data), "data.limit": None, "data.image_size": 16}
    settings |= {"patch": 4, "width": 48, "depth": 2, "heads": 4, "stem": "patch", "optim.lr": 0.0, "init": run.id}
    published = load_method_from(run).method.state_dict()
    for method, more in (("supervised", {}), ("mocov3", {"hidden": 16, "out_dim": 8})):
        state = load_method_from(new_run(method, settings | more, run.path.parent)).method.state_dict()
        for name, value in published.items():
            assert torch.equal(state[name], value)
            if method == "mocov3":
                assert torch.equal(state[name.replace("backbone.", "momentum_backbone.module.")], value)
    with pytest.raises(WorkbenchError, match="no matching encoder"):
        new_run("supervised", settings | {"width": 96}, run.path.parent)


def test_runs_of_other_weights_are_no_seeds_of_one_another(tmp_path: Path, data: Path) -> None:
    file = saved(vit(num_heads=4).state_dict(), tmp_path / "a.pth")
    groups = [imported(file, data, "--heads", "4").summary()["group"] for _ in range(2)]
    other = vit(num_heads=4).state_dict()
    other["cls_token"] += 1
    groups.append(imported(saved(other, tmp_path / "b.pth"), data, "--heads", "4").summary()["group"])
    assert groups[0] == groups[1] != groups[2] and len(groups[2]) == GROUP_DIGITS
