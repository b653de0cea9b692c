"""``workbench import``: published weights as a run that can be evaluated and compared."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from workbench.config import DataOptions, TrainConfig
from workbench.data import datasets
from workbench.errors import WorkbenchError
from workbench.methods.base import ImageSpec, Method
from workbench.methods.encoder import Encoder, EncoderConfig
from workbench.methods.mocov3 import MoCoV3, MoCoV3Config
from workbench.networks.encoder import normalisation
from workbench.run import Run
from workbench.weights import diffusers_import, files, from_timm
from workbench.weights.formats import Weights, recognise
from workbench.weights.from_timm import TimmModel
from workbench.weights.imported_run import write_run
from workbench.weights.network import Architecture, fitted, infer

UNKNOWN_IMAGES = "unknown: the weights were imported"


@dataclass(frozen=True)
class ImportOptions:
    """The options of ``workbench import``.

    Attributes:
        source: a file, a folder with one and its ``config.json``, a diffusers pipeline, or ``timm:NAME``.
        file: weights of ``timm:NAME``; by default the downloaded copy.
        data: images to evaluate the run on.
        download: allow the data set to be downloaded.
        runs: the folder of the runs.
        name, licence: of the run, if given.
        heads: attention heads of a ViT, if the file does not state them.
        size: side of the images in pixels, if the network accepts any.
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


def import_weights(options: ImportOptions) -> tuple[Run, str]:
    """Make a run of published weights, completely or not at all.

    Returns:
        the run, and a description of the network and its source.

    Raises:
        WorkbenchError: there is no such file or model, the file is damaged, refused, or of another network, or the
            images have another number of channels.
    """
    if (Path(options.source).expanduser() / "model_index.json").is_file():  # a diffusers pipeline
        return _import_pipeline(options)
    path, model = _locate(options)
    weights = recognise(files.read(path), str(path))
    heads = options.heads or weights.heads or (model.heads if model else None)
    size = options.size or (model.size if model and "pos_embed" not in weights.encoder else None)
    architecture = infer(weights.encoder, heads, size, str(path))
    method, config = _build(weights, architecture, model, str(path))
    images = architecture.images
    if model and model.name:
        from_timm.check_same(model, weights.encoder, method.get_submodule("backbone"), images.channels, images.size)
    dataset = _dataset(options, images, path)
    config = replace(config, name=options.name or _name(options, path), **_run_settings(options, images))
    url = model.url if model else None
    source = _source(path, path.name, _kind(options, weights, model), url, _left_out(weights))
    licence = options.licence or (model.licence if model else None)
    run = write_run(options.runs, method, images, config, dataset, source, licence)
    return run, _describe(_network_text(method, config), images, source, licence)


def _import_pipeline(options: ImportOptions) -> tuple[Run, str]:
    """Make a run of a diffusers pipeline; as :func:`import_weights`."""
    folder = Path(options.source).expanduser()
    if options.file:
        raise WorkbenchError(f"--file goes with timm:NAME; import {options.source} or {options.file}, not both.")
    pipeline = diffusers_import.read_pipeline(folder)
    method, images = pipeline.method, pipeline.images
    dataset = _dataset(options, images, folder)
    config = replace(pipeline.config, name=options.name or folder.resolve().name, **_run_settings(options, images))
    name = str(pipeline.file.relative_to(folder))
    source = _source(pipeline.file, name, pipeline.kind, None, pipeline.left_out)
    run = write_run(options.runs, method, images, config, dataset, source, options.licence)
    network = (
        f"ddpm: U-Net of widths {', '.join(map(str, config.widths))}, predicts {config.prediction}, schedule "
        f"{config.noise_schedule}, {config.noise_steps} steps"
    )
    return run, _describe(network, images, source, options.licence)


def _source(path: Path, file: str, kind: str, url: str | None, left_out: list[str]) -> dict[str, Any]:
    """The entry ``source`` of ``run.json``."""
    content = {"file": file, "sha256": files.sha256(path), "kind": kind, "url": url}
    return content | {"training_images": UNKNOWN_IMAGES, "left_out": left_out}


def _dataset(options: ImportOptions, images: ImageSpec, where: Path) -> datasets.Dataset:
    """The images to evaluate the run on.

    Raises:
        WorkbenchError: they do not have the network's number of channels.
    """
    dataset = datasets.load(options.data, DataOptions(image_size=images.size), options.download)
    if dataset.channels != images.channels:
        raise WorkbenchError(
            f"The network in {where} takes images of {images.channels} channels, but those of {dataset.name} have "
            f"{dataset.channels}; choose other data with --data."
        )
    return dataset


def _run_settings(options: ImportOptions, images: ImageSpec) -> dict[str, Any]:
    """The settings of run and data."""
    named = options.data in datasets.CATALOGUE
    return {
        "runs": options.runs,
        "data": options.data if named else str(Path(options.data).expanduser().resolve()),
        "data_options": DataOptions(image_size=images.size),
    }


def _locate(options: ImportOptions) -> tuple[Path, TimmModel | None]:
    """The file of weights, and the model as timm or a ``config.json`` beside the file describes it."""
    prefix, _, name = options.source.partition(":")
    if prefix == "timm" and name:
        model = from_timm.named(name)
        return files.find(options.file) if options.file else from_timm.downloaded(name), model
    if options.file:
        raise WorkbenchError(f"--file goes with timm:NAME; import {options.source} or {options.file}, not both.")
    path = files.find(Path(options.source).expanduser())
    return path, from_timm.in_folder(path.parent)


def _name(options: ImportOptions, path: Path) -> str:
    if options.source.startswith("timm:"):
        return options.source.removeprefix("timm:")
    return path.resolve().parent.name if path.name in files.NAMES else path.name.partition(".")[0]


def _kind(options: ImportOptions, weights: Weights, model: TimmModel | None) -> str:
    if options.source.startswith("timm:"):
        return f"timm's {options.source.removeprefix('timm:')}"
    return f"a folder of timm's format ({model.name or 'with a stem of its own'})" if model else weights.kind


def _build(
    weights: Weights, architecture: Architecture, model: TimmModel | None, where: str
) -> tuple[Method, TrainConfig]:
    """The method that the weights belong to, with the weights loaded."""
    images = architecture.images
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on the choice of a size
        config: Any
        if weights.complete:
            config = MoCoV3Config(**architecture.settings, **_heads(weights, where))
            method: Method = MoCoV3(config, images)
        else:
            mean, std = (tuple(statistic.flatten().tolist()) for statistic in normalisation(images.channels))
            mean, std = (model.mean or mean, model.std or std) if model else (mean, std)
            config = EncoderConfig(**architecture.settings, frozen_patch=False, mean=mean, std=std)
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
        heads = ("projector", "predictor", "momentum_encoder", "momentum_projector")
        parts |= {name.replace("_", " "): True for name in heads if getattr(weights, name)}
    return list(parts)


def _network_text(method: Method, config: Any) -> str:
    """A ViT or ResNet in words."""
    network = config.backbone
    if config.is_vit:
        table = {"sincos": "sin-cos position", "learned": "learned position", "none": "no position"}[config.position]
        stem = "convolutional stem" if config.stem == "conv" else f"patches of {config.patch} px"
        network = f"ViT, width {config.width}, {config.depth} blocks, {config.heads} heads, {stem}, {table}, "
        network += "class token" if config.token == "class" else "mean of the patches"
    return f"{'mocov3 with all its heads' if isinstance(method, MoCoV3) else 'encoder'}: {network}"


def _describe(network: str, images: ImageSpec, source: dict[str, Any], licence: str | None) -> str:
    """The summary of an import that the command prints."""
    left = f"; left out: {', '.join(source['left_out'])}" if source["left_out"] else ""
    return (
        f"{network}\nimages {images.channels} x {images.size} x {images.size} px; from {source['kind']}{left}\n"
        f"licence: {licence or 'not stated; state it with --licence'}"
    )
