"""The recipes of sweeps: they fit together at every scale, and those of MoCo v3's paper measure every option of it."""

import warnings
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
import torch

from workbench.config import TrainConfig, flatten, replace_flat
from workbench.data.datasets import CATALOGUE
from workbench.methods import load_method
from workbench.methods.base import Batch, ImageSpec, Method
from workbench.methods.mocov3 import MoCoV3Config
from workbench.studies.recipe import Cell, known, load
from workbench.training.optim import build

NAMES = sorted(name for name, file in known().items() if file.parent.name == "mocov3")
SCALES = ("tiny", "small", "paper")
# Classes, channels and size in pixels.
KINDS = {"shapes": (6, 3, 32), "digits": (10, 1, 8), "cifar10": (10, 3, 32), "~/imagenet": (1000, 3, 224)}
NUMBERS = {"epochs", "batch_size", "accumulate", "momentum", "temperature", "monitor_every"}
NUMBERS |= {"optim.lr", "optim.weight_decay", "optim.warmup_epochs"}
# Measured by `workbench augmentations` and by objective-trunk, no part of the paper.
ELSEWHERE = {"composition", "conv_width"}
GENERATIVE = sorted(name for name, file in known().items() if file.parent.name == "generative")


def settled(cell: Cell, **changes: Any) -> tuple[Method, TrainConfig, ImageSpec]:
    """A cell's method as training would build it, on the device of the context."""
    method_class, config_class = load_method(cell.method)
    classes, channels, own_size = KINDS[cell.settings["data"]]
    size = cell.settings.get("data.image_size", own_size)
    preset = config_class.presets(size)[cell.settings["preset"]]
    config = replace_flat(config_class(), preset | cell.settings | changes).for_classes(classes, "data")
    images = ImageSpec(channels, size)
    return method_class(config, images), config, images


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", NAMES)
def test_every_cell_builds(name: str, scale: str) -> None:
    recipe = load(name, scale)
    assert len(recipe.cells) > 1 and len({cell.name for cell in recipe.cells}) == len(recipe.cells)
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore" if scale != "tiny" else "error")  # ViT-S with 16 px patches is undercomplete
        for cell in recipe.cells:
            _, config, _ = settled(cell)
            assert config.batch_size % config.accumulate == 0
            if scale == "tiny":  # at most some two minutes, and images that are there
                assert not CATALOGUE[config.data].download
                images = min(config.data_options.limit or 10**9, CATALOGUE[config.data].n_train)
                assert images // config.batch_size * config.epochs <= 2700 and config.epochs * images <= 120_000


@pytest.mark.parametrize("name", NAMES)
def test_cells_differ_and_published_numbers_say_where_they_stand(name: str) -> None:
    for scale in SCALES:
        cells = load(name, scale).cells
        assert len({(cell.method, str(sorted(cell.settings.items()))) for cell in cells}) == len(cells)
    recipe = load(name, "paper")
    for block in recipe.published:
        assert "20" in block.source or "README" in block.source
        assert all(30 < value < 100 for value in block.values.values())
        assert set(block.values) & {cell.name for cell in recipe.cells}, "none of them is a cell"


@pytest.mark.parametrize("scale", SCALES)
def test_every_option_of_mocov3_is_measured(scale: str) -> None:
    varied: set[str] = set()
    for name in NAMES:
        cells = [cell for cell in load(name, scale).cells if cell.method == "mocov3"]
        keys = {key for cell in cells for key in cell.settings}
        values = {key: {str(cell.settings.get(key)) for cell in cells} for key in keys}
        varied |= {key for key in keys if len(values[key]) > 1}
    own = set(flatten(MoCoV3Config())) - {field.name for field in fields(TrainConfig)}
    options = {key for key in own if not key.startswith(("data.", "optim."))} - {"data", *ELSEWHERE}
    assert options <= varied
    assert {"batch_size", "epochs", "optim.lr"} <= varied


@pytest.mark.parametrize("name", GENERATIVE)
def test_every_cell_of_the_generative_recipes_builds(name: str) -> None:
    recipe = load(name, "tiny")
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("error")
        for cell in recipe.cells:
            settled(cell)
    assert any("conv_width" in cell.settings for cell in recipe.cells) == (name == "objective-trunk")


def step(cell: Cell, batch_size: int = 4) -> None:
    """One step with a few images, the optimiser's included."""
    method, config, images = settled(cell, batch_size=batch_size, accumulate=1)
    optimizer = build(method, config.optim, torch.device("cpu"))
    pixels, keys = torch.rand(batch_size, images.channels, images.size, images.size), torch.arange(batch_size)
    views = tuple(view(pixels, keys + i) for i, view in enumerate(type(method).augmentations(config, images)))
    loss = method(Batch(views, keys, keys), 0.0).loss
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)


@pytest.mark.parametrize("name", NAMES)
def test_a_tiny_cell_takes_a_step(name: str) -> None:
    step(load(name, "tiny").cells[-1])


def different_networks() -> Iterator[Any]:
    """The cells of scale ``paper`` whose steps differ by more than numbers such as the learning rate."""
    seen = set()
    for name in NAMES:
        for cell in load(name, "paper").cells:
            kind = str(sorted((key, value) for key, value in cell.settings.items() if key not in NUMBERS))
            if (cell.method, kind) not in seen:
                seen.add((cell.method, kind))
                yield pytest.param(cell, id=f"{name}, {cell.name}")


@pytest.mark.slow
@pytest.mark.parametrize("cell", [*different_networks()])
def test_a_paper_cell_takes_a_step(cell: Cell) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        step(cell, batch_size=2)
