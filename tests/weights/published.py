"""Checkpoints in the published formats, of random weights, and the networks that they are of."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HIDDEN, OUT = 40, 24


def photos(folder: Path, each: int = 20) -> Path:
    """A folder of small pictures in two classes."""
    rng = np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 120)):
        (folder / name).mkdir(parents=True)
        for index in range(each):
            pixels = rng.integers(low, low + 130, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


def images(size: int, channels: int = 3, n: int = 4) -> np.ndarray:
    """uint8 (n, size, size, channels)."""
    return np.random.default_rng(1).integers(0, 256, (n, size, size, channels), dtype=np.uint8)


def normalised(pictures: np.ndarray, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD) -> Tensor:
    """What a published network is given: (N, C, H, W)."""
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def shaken(network: nn.Module) -> nn.Module:
    """In evaluation mode, with statistics and scales as no initialisation has them."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point() and value.ndim == 1:
                noise = torch.rand(value.shape, generator=generator)
                value.copy_(0.5 + noise if name.endswith(("weight", "var")) else noise - 0.5)
    return network.eval()


def vit(**changes: Any) -> Any:
    """timm's ViT with MoCo v3's table of positions."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {"img_size": 16, "patch_size": 4, "embed_dim": 48, "depth": 2, "num_heads": 12}
    settings |= {"num_classes": 0} | changes
    model: Any = VisionTransformer(**settings)
    side, quarter = model.patch_embed.grid_size[0], model.embed_dim // 4
    omega = 1.0 / 10_000 ** (np.arange(quarter) / quarter)
    place = np.arange(side * side)
    outer = np.outer(place // side, omega), np.outer(place % side, omega)
    table = np.concatenate([f(part) for part in outer for f in (np.sin, np.cos)], axis=1)
    with torch.no_grad():
        model.pos_embed[0, 0] = 0
        model.pos_embed[0, 1:] = torch.from_numpy(table)
    shaken(model)
    return model


def head(layers: int, inputs: int, last_norm: bool = True) -> nn.Sequential:
    """MoCo v3's projector or predictor."""
    modules: list[nn.Module] = []
    for index in range(layers):
        last = index == layers - 1
        modules.append(nn.Linear(inputs if index == 0 else HIDDEN, OUT if last else HIDDEN, bias=False))
        if not last:
            modules += [nn.BatchNorm1d(HIDDEN), nn.ReLU(inplace=True)]
        elif last_norm:
            modules.append(nn.BatchNorm1d(OUT, affine=False))
    network = nn.Sequential(*modules)
    shaken(network)
    return network


def moco(arch: str, encoder: nn.Module, width: int) -> tuple[dict[str, Any], nn.Sequential]:
    """A checkpoint of MoCo v3's training around an encoder without classifier, and its projector."""
    name, layers = ("head", 3) if arch.startswith("vit") else ("fc", 2)
    torch.manual_seed(1)
    projector, predictor = head(layers, width), head(2, OUT, last_norm=name == "head")
    parts = {"base_encoder": encoder, f"base_encoder.{name}": projector, "predictor": predictor}
    parts |= {"momentum_encoder": copy.deepcopy(encoder), f"momentum_encoder.{name}": copy.deepcopy(projector)}
    state = {f"module.{part}.{key}": value for part, net in parts.items() for key, value in net.state_dict().items()}
    optimizer = torch.optim.AdamW(predictor.parameters()).state_dict()
    return {"epoch": 300, "arch": arch, "state_dict": state, "optimizer": optimizer, "scaler": {}}, projector


def resnet(name: str = "resnet50") -> nn.Module:
    """torchvision's ResNet, its classifier taken off."""
    torch.manual_seed(0)
    model = torchvision.models.get_model(name)
    model.fc = nn.Identity()
    return shaken(model)
