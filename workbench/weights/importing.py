"""``workbench import``: published weights as a run that can be measured and compared."""

import secrets
import shutil
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from workbench import store
from workbench.config import DataOptions, TrainConfig, write_yaml
from workbench.data import datasets
from workbench.errors import WorkbenchError
from workbench.methods import IMPORTED, METHODS
from workbench.methods.base import ImageSpec, Method, evaluation_mode
from workbench.methods.encoder import Encoder, EncoderConfig
from workbench.methods.mocov3 import MoCoV3, MoCoV3Config
from workbench.networks.encoder import normalisation
from workbench.networks.momentum import MomentumCopy
from workbench.run import Run, seed_group
from workbench.training.hardware import describe_hardware, describe_versions
from workbench.weights import diffusers_format, files, from_timm
from workbench.weights.formats import State, Weights, recognise
from workbench.weights.from_timm import TimmModel
from workbench.weights.network import Found, fitted, infer

UNKNOWN_IMAGES = "unknown: the weights were imported"


@dataclass(frozen=True)
class Order:
    """What is to be imported, as it was asked for.

    Attributes:
        source: a file, a folder with one and its ``config.json``, or ``timm:NAME``.
        file: of ``timm:NAME``; by default a copy that was downloaded before.
        data: images on which the run will be evaluated.
        download: whether they may be.
        runs: the folder of the runs.
        name, licence: of the run, where they are given.
        heads: attention heads of a ViT, where the file does not tell them.
        size: side of the images in pixels, where the network takes any.
    """

    source: str
    file: Path | None = None
    data: str = "shapes"
    download: bool = False
    runs: Path = Path("runs")
    name: str | None = None
    licence: str | None = None
    heads: int | None = None
    size: int | None = None


def bring(order: Order) -> tuple[Run, str]:
    """Make a run of published weights, whole or not at all.

    Returns:
        the run, and in words what was found.

    Raises:
        WorkbenchError: there is no such file or model, the file is damaged, refused, or of another network, or the
            images are of another kind.
    """
    if diffusers_format.is_pipeline(order.source):
        return _bring_pipeline(order)
    path, model = _place(order)
    weights = recognise(files.read(path), str(path))
    heads = order.heads or weights.heads or (model.heads if model else None)
    size = order.size or (model.size if model and "pos_embed" not in weights.encoder else None)
    found = infer(weights.encoder, heads, size, str(path))
    method, config = _built(weights, found, model, str(path))
    if model and model.name:
        from_timm.check_same(model, weights.encoder, method.get_submodule("backbone"), *found.images[:2])
    dataset = _dataset(order, found.images, path)
    config = replace(config, name=order.name or _name(order, path), **_placed(order, found.images))
    source = {
        "file": path.name,
        "sha256": files.sha256(path),
        "kind": _kind(order, weights, model),
        "url": model.url if model else None,
        "training_images": UNKNOWN_IMAGES,
        "left_out": _left_out(weights),
    }
    licence = order.licence or (model.licence if model else None)
    run = _write(order.runs, method, config, _info(method, found.images, config, dataset, source, licence))
    return run, _told(method, config, found, source, licence)


def _bring_pipeline(order: Order) -> tuple[Run, str]:
    """Make a run of a folder of diffusers; as :func:`bring`."""
    folder = Path(order.source).expanduser()
    if order.file:
        raise WorkbenchError(f"--file goes with timm:NAME; import {order.source} or {order.file}, not both.")
    found = diffusers_format.read_pipeline(folder)
    dataset = _dataset(order, found.images, folder)
    config = replace(found.config, name=order.name or folder.resolve().name, **_placed(order, found.images))
    source = {
        "file": str(found.file.relative_to(folder)),
        "sha256": files.sha256(found.file),
        "kind": found.kind,
        "url": None,
        "training_images": UNKNOWN_IMAGES,
        "left_out": found.left_out,
    }
    info = _info(found.method, found.images, config, dataset, source, order.licence)
    left = f"; left out: {', '.join(found.left_out)}" if found.left_out else ""
    told = (
        f"ddpm: U-Net of the widths {', '.join(map(str, config.widths))}, predicts {config.prediction}, schedule "
        f"{config.noise_schedule}, {config.noise_steps} steps\nimages {found.images.channels} x {found.images.size} x "
        f"{found.images.size} px; from {found.kind}{left}\n"
        f"licence: {order.licence or 'not stated; say it with --licence'}"
    )
    return _write(order.runs, found.method, config, info), told


def _dataset(order: Order, images: ImageSpec, where: Path) -> datasets.Dataset:
    """The images that the run will be evaluated on.

    Raises:
        WorkbenchError: they have other channels than the network's.
    """
    dataset = datasets.load(order.data, DataOptions(image_size=images.size), order.download)
    if dataset.channels != images.channels:
        raise WorkbenchError(
            f"The network in {where} takes images of {images.channels} channels and those of {dataset.name} have "
            f"{dataset.channels}; choose others with --data."
        )
    return dataset


def _placed(order: Order, images: ImageSpec) -> dict[str, Any]:
    """Settings of the run that say where it and its images are."""
    named = order.data in datasets.CATALOGUE
    return {
        "runs": order.runs,
        "data": order.data if named else str(Path(order.data).expanduser().resolve()),
        "data_options": DataOptions(image_size=images.size),
    }


def _place(order: Order) -> tuple[Path, TimmModel | None]:
    """The file of weights, and what timm or a ``config.json`` beside it says of the model."""
    prefix, _, name = order.source.partition(":")
    if prefix == "timm" and name:
        model = from_timm.named(name)
        return files.find(order.file) if order.file else from_timm.downloaded(name), model
    if order.file:
        raise WorkbenchError(f"--file goes with timm:NAME; import {order.source} or {order.file}, not both.")
    path = files.find(Path(order.source).expanduser())
    return path, from_timm.in_folder(path.parent)


def _name(order: Order, path: Path) -> str:
    if order.source.startswith("timm:"):
        return order.source.removeprefix("timm:")
    return path.resolve().parent.name if path.name in files.NAMES else path.name.partition(".")[0]


def _kind(order: Order, weights: Weights, model: TimmModel | None) -> str:
    if order.source.startswith("timm:"):
        return f"timm's {order.source.removeprefix('timm:')}"
    return f"a folder of timm's format ({model.name or 'with a stem of its own'})" if model else weights.kind


def _built(weights: Weights, found: Found, model: TimmModel | None, where: str) -> tuple[Method, TrainConfig]:
    """The method that the weights are those of, with them."""
    images = found.images
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice to who chooses a size
        config: Any
        if weights.complete:
            config = MoCoV3Config(**found.settings, **_heads(weights, where))
            method: Method = MoCoV3(config, images)
        else:
            mean, std = (tuple(statistic.flatten().tolist()) for statistic in normalisation(images.channels))
            mean, std = (model.mean or mean, model.std or std) if model else (mean, std)
            config = EncoderConfig(**found.settings, frozen_patch=False, mean=mean, std=std)
            method = Encoder(config, images)
    size = f"width {config.width}, {config.depth} blocks" if config.is_vit else config.backbone
    what = f"a {'ViT' if config.is_vit else 'ResNet'} ({size}, {images.channels} x {images.size} x {images.size} px)"
    parts = {"backbone.": weights.encoder}
    if weights.complete:
        parts |= {
            "projector.": weights.projector,
            "predictor.": weights.predictor,
            "momentum_backbone.module.": weights.momentum_encoder,
            "momentum_projector.module.": weights.momentum_projector,
        }
    own, state = method.state_dict(), dict[str, torch.Tensor]()
    for prefix, part in parts.items():
        expected = {name.removeprefix(prefix): value for name, value in own.items() if name.startswith(prefix)}
        of = what if prefix == "backbone." else f"MoCo v3's {prefix.split('.')[0].replace('_', ' ')}"
        state |= {prefix + name: value for name, value in fitted(part, expected, where, of).items()}
    method.load_state_dict(state)
    return method.eval(), config


def _heads(weights: Weights, where: str) -> dict[str, Any]:
    """The settings of MoCo v3's projector and predictor."""
    matrices = [value for value in weights.projector.values() if value.ndim == 2]
    if not matrices:
        raise WorkbenchError(f"The projector in {where} has no linear layer; such a checkpoint cannot be imported.")
    norm = any(name.endswith("running_mean") for name in weights.projector)
    return {"hidden": len(matrices[0]), "out_dim": len(matrices[-1]), "head_norm": norm}


def _left_out(weights: Weights) -> list[str]:
    parts = {"classifier": weights.classes} if weights.classes else {}
    if not weights.complete:
        told = ("projector", "predictor", "momentum_encoder", "momentum_projector")
        parts |= {name.replace("_", " "): True for name in told if getattr(weights, name)}
    return list(parts)


def _info(
    method: Method,
    images: ImageSpec,
    config: TrainConfig,
    data: datasets.Dataset,
    source: dict[str, Any],
    licence: str | None,
) -> dict[str, Any]:
    """What ``run.json`` says. No seed: whatever it was, runs of other seeds are not known."""
    known = METHODS | IMPORTED
    name, entry = next(item for item in known.items() if item[1].class_name == type(method).__name__)
    copies = {id(p) for part in method.modules() if isinstance(part, MomentumCopy) for p in part.parameters()}
    own = [parameter for parameter in method.parameters() if id(parameter) not in copies]
    with evaluation_mode(method), FlopCounterMode(display=False) as counter:
        method.encode(torch.zeros(1, images.channels, images.size, images.size))
    return {
        "name": config.name,
        "method": name,
        "family": entry.family,
        "capabilities": list(entry.capabilities),
        "data": data.described(),
        "seed": None,
        "status": "finished",
        "finished": store.now(),
        "versions": describe_versions(),
        "hardware": describe_hardware(torch.device("cpu")),
        "cost": {
            "parameters": sum(p.numel() for p in own),
            "trainable": sum(p.numel() for p in own if p.requires_grad),
            "flops_per_image": counter.get_total_flops(),
            "steps": 0,
        },
        "licence": licence,
        "source": source,
    }


def _write(runs: Path, method: Method, config: TrainConfig, info: dict[str, Any]) -> Run:
    """The run, built beside the others under a hidden name, so that it appears with its weights or not at all."""
    store.check_writable(runs)
    staging = runs / f".tmp-import-{secrets.token_hex(4)}"
    source, text = info["source"], write_yaml(info["method"], config)
    try:
        run = store.create_run(staging, text, info)
        folder = run.path / "checkpoints" / "step-00000000"
        folder.mkdir()
        weights: State = {name: tensor.contiguous() for name, tensor in method.state_dict().items()}
        save_file(weights, folder / "model.safetensors")
        with store.replacing(run.path / "notes.md", "w", run.path) as file:
            file.write(_note(info))
        run.update_summary(
            alive=False,
            step=0,
            steps=0,
            checkpoint=0,
            parameters=info["cost"]["parameters"],
            licence=info["licence"],
            source={key: source[key] for key in ("file", "sha256", "kind", "url")},
            # Runs of other weights are no seeds of this one, though their settings are the same.
            group=seed_group(f"{text}source: {source['sha256']}\n", info["data"]["fingerprint"]),
        )
        run.path.rename(runs / run.id)
    except OSError as error:
        raise store.storage_error(error, runs / staging.name) from error
    except SafetensorError as error:
        raise WorkbenchError(f"The weights cannot be written to {runs} ({error}); free some space.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Run(runs / run.id)


def _note(info: dict[str, Any]) -> str:
    source = info["source"]
    left = f" Left out: {', '.join(source['left_out'])}." if source["left_out"] else ""
    url = f" ({source['url']})" if source["url"] else ""
    return (
        f"Imported from {source['file']}, {source['kind']}{url}, SHA-256 {source['sha256']}.{left} "
        f"Licence: {info['licence'] or 'not stated'}.\n\n"
        "Which images it was trained on is not known here, and whether those of "
        f"{info['data']['name']}, on which it is evaluated, were among them.\n"
    )


def _told(method: Method, config: Any, found: Found, source: dict[str, Any], licence: str | None) -> str:
    """What was found, in words."""
    network = config.backbone
    if config.is_vit:
        table = {"sincos": "sin-cos position", "learned": "learned position", "none": "no position"}[config.position]
        stem = "convolutional stem" if config.stem == "conv" else f"patches of {config.patch} px"
        network = f"ViT, width {config.width}, {config.depth} blocks, {config.heads} heads, {stem}, {table}, "
        network += "class token" if config.token == "class" else "mean of the patches"
    kind = "mocov3 with all its heads" if isinstance(method, MoCoV3) else "encoder"
    left = f"; left out: {', '.join(source['left_out'])}" if source["left_out"] else ""
    return (
        f"{kind}: {network}\nimages {found.images.channels} x {found.images.size} x {found.images.size} px; "
        f"from {source['kind']}{left}\nlicence: {licence or 'not stated; say it with --licence'}"
    )
