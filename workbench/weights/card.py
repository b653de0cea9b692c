"""The model card of an exported run: the network, how to load it, its results and its origin."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workbench.format import is_number
from workbench.headline import headline_value
from workbench.hints import command
from workbench.store import Run
from workbench.studies.cells import is_measured
from workbench.training.checkpoint import LoadedMethod

MEASURED = {"knn": "kNN", "linear": "linear probe", "linear_sgd": "linear probe by SGD", "finetune": "fine-tuned"}
TIMM = ("library_name: timm", "tags: [image-feature-extraction, timm]")


def write(
    run: Run,
    loaded: LoadedMethod,
    config: dict[str, Any],
    tags: Sequence[str] = TIMM,
    network: str = "encoder",
    loading: str | None = None,
) -> str:
    """The text of ``README.md``, in Markdown with the hub's heading.

    Args:
        config: the exported ``config.json``.
        tags: lines of the heading.
        network: what was exported, in words.
        loading: how to load it, if not with timm.
    """
    info = run.info()
    licence, name = info.get("licence"), info.get("name") or run.id
    heading = ["---", *tags]
    if licence:
        text = " ".join(str(licence).split()).replace("\\", "\\\\").replace('"', "'")
        heading.append(f'license: "{text}"')
    parts = [
        "\n".join([*heading, "---"]),
        f"# {name}",
        _what(run, info, loaded, network),
        "## Load it\n\n" + (loading or _loading(config)),
        "## Results\n\n" + "\n\n".join(_measured(run, loaded.step)),
        "## Origin\n\n" + "\n".join(f"- {line}" for line in _origin(run, info, loaded)),
    ]
    return "\n\n".join(parts) + "\n"


def _what(run: Run, info: dict[str, Any], loaded: LoadedMethod, network: str) -> str:
    cost = info.get("cost") or {}
    heads = " including heads" if network == "encoder" else ""
    size = f"{cost['parameters'] / 1e6:.2f} M parameters{heads}" if cost.get("parameters") else ""
    flops = f"{cost['flops_per_image'] / 1e9:.3g} GFLOPs per image" if cost.get("flops_per_image") else ""
    images = f"images of {loaded.images.channels} x {loaded.images.size} x {loaded.images.size}"
    facts = ", ".join(filter(None, (images, size, flops)))
    return f"The {network} of the run `{run.id}`, method {info.get('method')}: {facts}."


def _loading(config: dict[str, Any]) -> str:
    stated, arguments = config["pretrained_cfg"], config["model_args"] | {"num_classes": config["num_classes"]}
    lines = ["import timm", "import torch"]
    if "architecture" in config:
        lines += [f"model = timm.create_model({config['architecture']!r}, checkpoint_path='model.safetensors',"]
        lines += [f"    **{arguments!r})"]
    else:
        lines += {"conv": _conv_stem, "small": _small_stem}[config["stem"]](config, arguments)
        lines += ["timm.models.load_checkpoint(model, 'model.safetensors')"]
    lines += [
        "model.eval()",
        f"mean, std = (torch.tensor(t)[:, None, None] for t in ({stated['mean']}, {stated['std']}))",
        "# images: float (N, C, H, W) in [0, 1]; shorter side resized (bicubic), centre crop",
        "features = model((images - mean) / std)",
    ]
    by_name = "`timm.create_model('local-dir:FOLDER', pretrained=True)` loads it, too.\n\n"
    return (by_name if "architecture" in config else "") + "```python\n" + "\n".join(lines) + "\n```"


def _conv_stem(config: dict[str, Any], arguments: dict[str, Any]) -> list[str]:
    """Lines that build timm's ViT with a stem of convolutions."""
    stages, width = arguments["patch_size"].bit_length() - 1, arguments["embed_dim"]
    channels = (*(max(width // 2 ** (stages - stage), 16) for stage in range(1, stages + 1)), width)
    stem = {
        "in_chans": arguments["in_chans"],
        "depth": stages + 1,
        "channels": channels,
        "kernel_size": (*[3] * stages, 1),
        "stride": (*[2] * stages, 1),
    }
    others = {key: value for key, value in arguments.items() if key != "patch_size"}
    return [
        "from functools import partial",
        "from timm.layers import HybridEmbed",
        "from timm.models.vision_transformer import VisionTransformer",
        "from timm.models.vision_transformer_hybrid import ConvStem",
        f"stem = ConvStem(**{stem!r})",
        "model = VisionTransformer(embed_layer=partial(HybridEmbed, backbone=stem, proj=False), patch_size=1,",
        f"    **{others!r})",
    ]


def _small_stem(config: dict[str, Any], arguments: dict[str, Any]) -> list[str]:
    """Lines that build timm's ResNet with the stem for small images."""
    name = "resnet50" if config["num_features"] == 2048 else "resnet18"
    return [
        f"model = timm.create_model({name!r}, **{arguments!r})",
        f"model.conv1 = torch.nn.Conv2d({arguments['in_chans']}, 64, 3, padding=1, bias=False)",
        "model.maxpool = torch.nn.Identity()",
    ]


def _measured(run: Run, step: int) -> Iterator[str]:
    """The results of the weights of a step; those of other steps belong to another model."""
    known = {name: run.evaluation(name) for name in MEASURED if is_measured(run, name, step)}
    known = {name: content for name, content in known.items() if headline_value(run, name) is not None}
    if not known:
        yield f"None yet for the weights of step {step}; evaluate them with `{command('evaluate', run.id)}`."
        return
    lines = (_line(MEASURED[name], row, content) for name, content in known.items() for row in content["rows"])
    yield "\n".join(("| measure | model | space | top-1, % | 95 % interval | n |", "|---|---|---|---|---|---|", *lines))
    for name, content in known.items():
        facts = ", ".join(f"{key} {content[key]}" for key in ("split", "checkpoint") if content.get(key))
        yield f"**{MEASURED[name]}** ({facts}): {content.get('protocol')}"


def _line(measure: str, row: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    numbers = (row.get(key) for key in ("value", "low", "high"))
    value, low, high = (f"{number:.1f}" if is_number(number) else "?" for number in numbers)
    where = f"{row.get('model')} | {row.get('space')}"
    return f"| {measure} | {where} | {value} | [{low}, {high}] | {content.get('n')} |"


def _origin(run: Run, info: dict[str, Any], loaded: LoadedMethod) -> Iterator[str]:
    data, source = info.get("data") or {}, info.get("source") or {}
    counts = ", ".join(f"{data[key]} {key}" for key in ("train", "val", "test") if data.get(key) is not None)
    images = f"{data.get('name')} (fingerprint {data.get('fingerprint')}; {counts})"
    if source:
        url = f" ({source['url']})" if source.get("url") else ""
        yield f"Weights: {source.get('file')}, {source.get('kind')}{url}, SHA-256 {source.get('sha256')}"
        yield f"Training images: {source.get('training_images')}"
        yield f"Evaluated on: {images}"
    else:
        yield f"Trained and evaluated on: {images}"
        yield f"Seed: {info.get('seed')}"
    yield f"Checkpoint: {loaded.description}"
    yield f"Licence: {info.get('licence') or 'not stated'}"
    versions = info.get("versions") or {}
    yield "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items())
