"""timm's models by name: their configuration, downloaded weights, and a check that ours computes the same."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import try_to_load_from_cache
from timm.models import PretrainedCfg
from timm.models.resnet import ResNet
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from workbench.errors import WorkbenchError, first_line, unknown
from workbench.files import read_json
from workbench.weights.files import NAMES
from workbench.weights.formats import CLASSIFIERS, State

TOLERANCE = 1e-4  # of the largest feature


@dataclass(frozen=True)
class TimmModel:
    """A model as timm defines it.

    Attributes:
        name: timm's, such as ``vit_small_patch16_224.dino``.
        arguments: of ``timm.create_model`` beyond the name.
        heads: attention heads, of a ViT.
        mean, std: of the normalisation.
        size: side of the images in pixels, or None.
        licence: as timm, or the folder, states it, or None.
        url: where timm takes the weights from, or None.
    """

    name: str
    arguments: dict[str, Any]
    heads: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: int | None
    licence: str | None
    url: str | None


def named(name: str, arguments: dict[str, Any] | None = None) -> TimmModel:
    """timm's configuration of a model.

    Raises:
        WorkbenchError: timm has no such model, or it is neither a ViT nor a ResNet.
    """
    arguments = arguments or {}
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise unknown("timm model", name, timm.list_models())
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise unknown("timm model", name, [f"{architecture}.{known}" for known in tags] or [architecture])
    model = _build(name, arguments)
    if type(model) not in (VisionTransformer, ResNet):
        kind = type(model).__name__
        raise WorkbenchError(f"timm's {name} is a {kind}; only its VisionTransformer and ResNet can be imported.")
    config: Any = timm.get_pretrained_cfg(name) or PretrainedCfg()
    blocks: Any = model.blocks if isinstance(model, VisionTransformer) else None
    heads = blocks[0].attn.num_heads if blocks is not None else None
    url = f"https://huggingface.co/{config.hf_hub_id}" if config.hf_hub_id else config.url
    mean, std = tuple(config.mean), tuple(config.std)
    return TimmModel(name, arguments, heads, mean, std, config.input_size[-1], config.license, url or None)


def in_folder(folder: Path) -> TimmModel | None:
    """The model that ``config.json`` describes in a folder of the Hugging Face hub or of ``workbench export``, or None.

    Raises:
        WorkbenchError: it names a model that timm does not know.
    """
    content = read_json(folder / "config.json")
    stated, arguments = content.get("pretrained_cfg"), content.get("model_args")
    stated, arguments = (value if isinstance(value, dict) else {} for value in (stated, arguments))
    if not content or not (content.get("architecture") or arguments):
        return None
    if "architecture" in content:
        model = named(str(content["architecture"]), arguments)
    else:
        model = TimmModel("", arguments, arguments.get("num_heads"), (), (), None, None, None)
    mean, std = (tuple(stated.get(key) or getattr(model, key)) for key in ("mean", "std"))
    size = stated["input_size"][-1] if isinstance(stated.get("input_size"), list) else model.size
    return replace(model, mean=mean, std=std, size=size, licence=stated.get("license"), url=None)


def downloaded(name: str) -> Path:
    """The copy of the weights in the cache of timm or the Hugging Face hub; nothing is downloaded.

    Raises:
        WorkbenchError: there is none.
    """
    config: Any = timm.get_pretrained_cfg(name) or PretrainedCfg()
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if config.hf_hub_id:
        for file in (config.hf_hub_filename, *NAMES):
            cached = try_to_load_from_cache(config.hf_hub_id, file) if file else None
            if isinstance(cached, str):
                return Path(cached)
    if config.url and (folder / Path(config.url).name).is_file():
        return folder / Path(config.url).name
    raise WorkbenchError(
        f"There is no downloaded copy of timm's {name}, neither in the Hugging Face cache nor in {folder}; give its "
        f"file with --file, or fetch it with `python -c \"import timm; timm.create_model('{name}', pretrained=True)\"`."
    )


def check_same(model: TimmModel, state: State, network: nn.Module, channels: int, size: int) -> None:
    """Raise a WorkbenchError unless our network gives the features of timm's for the same weights and images."""
    shape = {"img_size": size} if isinstance(network, VisionTransformer) else {}
    theirs = _build(model.name, model.arguments | {"in_chans": channels} | shape, "cpu").eval()
    own = theirs.state_dict()
    extra = [name for name in own if name not in state and not name.startswith(CLASSIFIERS)]
    extra = [name for name in extra if not name.endswith("num_batches_tracked")]
    other = [name for name in state if name not in own or own[name].shape != state[name].shape]
    if extra or other:
        raise WorkbenchError(
            f"The weights are not those of timm's {model.name}, which differs in {', '.join((extra + other)[:3])}; "
            "give the matching file or name."
        )
    theirs.load_state_dict(state, strict=False)
    images = torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(0))
    network.eval()
    with torch.inference_mode():
        expected = theirs.forward_features(images)  # pyright: ignore[reportCallIssue]
        if isinstance(network, VisionTransformer):
            given = network.forward_features(images)
        else:
            expected, given = expected.mean(dim=(2, 3)), network(images)
    difference = float((given - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
    if not difference < TOLERANCE:
        raise WorkbenchError(
            f"timm's {model.name} computes something else than a plain ViT or ResNet with these weights (features "
            f"differ by {100 * difference:.2g} %), for example by another activation; it cannot be imported."
        )


def _build(name: str, arguments: dict[str, Any], device: str = "meta") -> nn.Module:
    try:
        with torch.device(device):
            return timm.create_model(name, pretrained=False, **arguments)
    except (TypeError, RuntimeError, ValueError, AssertionError) as error:
        reason = first_line(error)
        raise WorkbenchError(f"timm cannot build {name} ({reason}); give the file of another model.") from None
