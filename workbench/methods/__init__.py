"""The methods by name. Their modules, and with them torch, are imported only when one is used."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from workbench.errors import unknown

if TYPE_CHECKING:
    from workbench.config import TrainConfig
    from workbench.methods.base import Method


@dataclass(frozen=True)
class Entry:
    """A method's metadata, known without importing it."""

    class_name: str
    family: str
    summary: str
    paper: str
    capabilities: tuple[str, ...]


METHODS: dict[str, Entry] = {
    "mocov3": Entry(
        "MoCoV3", "contrastive", "Momentum contrast with a vision transformer or a ResNet", "Chen, Xie, He 2021", ()
    ),
    "vae": Entry(
        "VAE",
        "generative",
        "Variational autoencoder with one latent vector, convolutional or with a vision transformer",
        "Kingma, Welling 2014",
        ("reconstructs", "samples", "likelihood"),
    ),
    "hvae": Entry(
        "HVAE",
        "generative",
        "Hierarchical variational autoencoder with latent variables at several resolutions",
        "Sønderby et al. 2016",
        ("reconstructs", "samples", "likelihood"),
    ),
    "ddpm": Entry(
        "DDPM",
        "generative",
        "Denoising diffusion with a U-Net or a vision transformer",
        "Ho, Jain, Abbeel 2020",
        ("reconstructs", "samples", "likelihood"),
    ),
    "vdm": Entry(
        "VDM",
        "generative",
        "Variational diffusion in continuous time, with a learned noise schedule",
        "Kingma et al. 2021",
        ("reconstructs", "samples", "likelihood"),
    ),
    "score": Entry(
        "Score",
        "generative",
        "Score matching, with the likelihood by the probability-flow ODE",
        "Song et al. 2021",
        ("reconstructs", "samples", "likelihood"),
    ),
    "supervised": Entry(
        "Supervised",
        "supervised",
        "A classifier on the encoders of mocov3, trained on labels",
        "Touvron et al. 2021",
        (),
    ),
}

IMPORTED: dict[str, Entry] = {  # cannot be trained: `workbench import` makes runs of it
    "encoder": Entry("Encoder", "imported", "An encoder that was trained elsewhere", "", ()),
}


def load_config(name: str) -> type[TrainConfig]:
    """A method's configuration class, without importing torch.

    Raises:
        WorkbenchError: there is no such method.
    """
    entry = METHODS.get(name) or IMPORTED.get(name)
    if entry is None:
        raise unknown("method", name, METHODS)
    return getattr(import_module(f"workbench.methods.configs.{name}"), entry.class_name + "Config")


def load_method(name: str) -> tuple[type[Method], type[TrainConfig]]:
    """A method's class and its configuration's class.

    Raises:
        WorkbenchError: there is no such method.
    """
    config_class, class_name = load_config(name), (METHODS | IMPORTED)[name].class_name
    return getattr(import_module(f"workbench.methods.{name}"), class_name), config_class
