"""``workbench export --format timm``: a folder that timm loads."""

import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.files import plain, storage_error
from workbench.hints import on_runs
from workbench.methods.base import ImageSpec
from workbench.networks.encoder import EncoderOptions
from workbench.networks.resnet import SMALL
from workbench.store import Run
from workbench.training.checkpoint import LoadedMethod, Which, load_method_from
from workbench.weights import card
from workbench.weights.formats import State, timm_stem

ARCHITECTURES = {192: "vit_tiny_patch16_224", 384: "vit_small_patch16_224", 1024: "vit_large_patch16_224"}
OTHER_ARCHITECTURE = "vit_base_patch16_224"


class ExportableEncoder(NamedTuple):
    """A run's encoder, one of :mod:`workbench.networks.encoder`.

    Attributes:
        mean, std: (channels, 1, 1), of the normalisation.
        classifier: on the default feature, or None.
    """

    options: EncoderOptions
    images: ImageSpec
    backbone: nn.Module
    mean: Tensor
    std: Tensor
    classifier: nn.Linear | None


def encoder_of(loaded: LoadedMethod, run: Run) -> ExportableEncoder:
    """The encoder of a run's method.

    Raises:
        WorkbenchError: the method has none that can be exported.
    """
    options, method = loaded.config, loaded.method
    if not isinstance(options, EncoderOptions):
        embed = on_runs("embed", [run], "--output", "features.npz")
        weights = run.path / "checkpoints" / f"step-{loaded.step:08d}" / "model.safetensors"
        raise WorkbenchError(
            f"The run {run.id} is of the method {run.info().get('method')}, but only the ViTs and ResNets of mocov3, "
            f"supervised and imported encoders can be exported; `{embed}` writes its features, and its weights are in "
            f"{weights}."
        )
    backbone, mean, std = (getattr(method, name) for name in ("backbone", "mean", "std"))
    classifier = getattr(method, "classifier", None)
    return ExportableEncoder(options, loaded.images, backbone, mean, std, classifier)


def export_timm(run: Run, output: Path, which: Which = "last") -> str:
    """Write ``model.safetensors``, ``config.json`` and ``README.md`` into a new folder; returns a summary.

    Raises:
        WorkbenchError: timm has no such encoder, or the folder exists already or cannot be written.
    """
    check_new(output)
    loaded = load_method_from(run, which)
    encoder = encoder_of(loaded, run)
    conv, batch_norm = encoder.options.backbone == "conv", encoder.options.mlp_norm == "batch"
    if conv or (encoder.options.is_vit and batch_norm):
        what = "small convolutional encoder" if conv else "ViT with BatchNorm in its blocks"
        raise WorkbenchError(f"timm has no {what} like that of {run.id}; --format onnx exports any encoder.")
    config, state = timm_config(encoder, run), timm_state(encoder)

    def fill(folder: Path) -> None:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps(plain(config), indent=2) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(card.write(run, loaded, config), encoding="utf-8")

    whole_folder(output, fill)
    parameters = sum(value.numel() for value in state.values() if value.is_floating_point()) / 1e6
    how = "timm loads it by name" if "architecture" in config else "README.md has the code that builds it"
    return f"{output}: {parameters:.2f} M parameters as model.safetensors, config.json and README.md; {how}"


def check_new(output: Path) -> None:
    """Raise a WorkbenchError where an export would overwrite something."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise WorkbenchError(f"The folder {output} exists already; give a new one with --output.")


def whole_folder(output: Path, fill: Callable[[Path], None]) -> None:
    """Create a folder with the files that ``fill`` writes, completely or not at all.

    Raises:
        WorkbenchError: it cannot be written.
    """
    building = output.resolve().with_name(f".tmp-{secrets.token_hex(4)}-{output.name}")
    try:
        building.mkdir(parents=True)
        fill(building)
        building.replace(output.resolve())
    except OSError as error:
        raise storage_error(error, output) from error
    except SafetensorError as error:
        raise WorkbenchError(f"The weights cannot be written to {output} ({error}); free some space.") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def timm_state(encoder: ExportableEncoder) -> State:
    """The encoder's tensors, and a classifier's, by timm's names."""
    state = {name: value.detach().cpu().contiguous() for name, value in encoder.backbone.state_dict().items()}
    if encoder.options.is_vit and encoder.options.stem == "conv":
        state = timm_stem(state)
    if encoder.classifier is not None:
        head = "head" if encoder.options.is_vit else "fc"
        state |= {f"{head}.{name}": value.detach().cpu() for name, value in encoder.classifier.state_dict().items()}
    return state


def timm_config(encoder: ExportableEncoder, run: Run) -> dict[str, Any]:
    """``config.json`` in the layout of timm's models on the Hugging Face hub.

    If timm has no argument that builds the stem, ``stem`` names it and ``architecture`` is missing.
    """
    options, images = encoder.options, encoder.images
    classes = 0 if encoder.classifier is None else encoder.classifier.out_features
    if options.is_vit:
        width, depth, heads = options.vit_size
        architecture, features = ARCHITECTURES.get(width, OTHER_ARCHITECTURE), width
        pool, first, head = "token" if options.token == "class" else "avg", "patch_embed.proj", "head"
        arguments = {
            "img_size": images.size,
            "patch_size": options.patch,
            "embed_dim": width,
            "depth": depth,
            "num_heads": heads,
            "class_token": options.token == "class",
            "final_norm": options.token == "class",
            "fc_norm": False,
            "pos_embed": "none" if options.position == "none" else "learn",
        }
        stem = "conv" if options.stem == "conv" else None
    else:
        architecture, features = options.backbone, 2048 if options.backbone == "resnet50" else 512
        pool, first, head, arguments = "avg", "conv1", "fc", {}
        stem = "small" if images.size <= SMALL else None
    content: dict[str, Any] = {} if stem else {"architecture": architecture}
    content |= {"num_classes": classes, "num_features": features, "global_pool": pool}
    content["model_args"] = arguments | {"in_chans": images.channels, "global_pool": pool}
    content |= {"stem": stem} if stem else {}
    content["pretrained_cfg"] = {
        "tag": run.id,
        "custom_load": False,
        "input_size": [images.channels, images.size, images.size],
        "fixed_input_size": options.is_vit,
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "crop_mode": "center",
        "mean": [round(value, 6) for value in encoder.mean.flatten().tolist()],
        "std": [round(value, 6) for value in encoder.std.flatten().tolist()],
        "num_classes": classes,
        "pool_size": None,
        "first_conv": None if stem else first,
        "classifier": head,
        "license": run.info().get("licence"),
    }
    names = (run.info().get("data") or {}).get("classes")
    return content | ({"label_names": names} if classes and names else {})
