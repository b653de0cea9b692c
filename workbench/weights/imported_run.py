"""The run directory of imported weights: identity, checkpoint and note, without metrics."""

import secrets
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from workbench import store
from workbench.config import TrainConfig, write_yaml
from workbench.data.datasets import Dataset
from workbench.errors import WorkbenchError
from workbench.files import replacing, storage_error
from workbench.methods import IMPORTED, METHODS
from workbench.methods.base import ImageSpec, Method
from workbench.run import Run, seed_group
from workbench.training.cost import count_parameters, flops_per_image
from workbench.training.hardware import describe_hardware, describe_versions


def write_run(
    runs: Path,
    method: Method,
    images: ImageSpec,
    config: TrainConfig,
    data: Dataset,
    source: dict[str, Any],
    licence: str | None,
) -> Run:
    """Write the run under a hidden name and rename it, so that it appears with its weights or not at all.

    Args:
        source: where the weights come from, as in ``run.json``.

    Raises:
        WorkbenchError: the folder cannot be written, or the disk is full.
    """
    info = _info(method, images, config, data, source, licence)
    store.check_writable(runs)
    staging = runs / f".tmp-import-{secrets.token_hex(4)}"
    text = write_yaml(info["method"], config)
    try:
        run = store.create_run(staging, text, info)
        folder = run.path / "checkpoints" / "step-00000000"
        folder.mkdir()
        weights = {name: tensor.contiguous() for name, tensor in method.state_dict().items()}
        save_file(weights, folder / "model.safetensors")
        with replacing(run.path / "notes.md", "w", run.path) as file:
            file.write(_note(info))
        run.update_summary(
            alive=False,
            step=0,
            steps=0,
            checkpoint=0,
            parameters=info["cost"]["parameters"],
            licence=licence,
            source={key: source[key] for key in ("file", "sha256", "kind", "url")},
            # Imports of other weights have the same settings, but are not further seeds of this one.
            group=seed_group(f"{text}source: {source['sha256']}\n", info["data"]["fingerprint"]),
        )
        run.path.rename(runs / run.id)
    except OSError as error:
        raise storage_error(error, runs / staging.name) from error
    except SafetensorError as error:
        raise WorkbenchError(f"The weights cannot be written to {runs} ({error}); free some space.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Run(runs / run.id)


def _info(
    method: Method, images: ImageSpec, config: TrainConfig, data: Dataset, source: dict[str, Any], licence: str | None
) -> dict[str, Any]:
    """The content of ``run.json``. There is no seed: no run of another seed is known."""
    known = METHODS | IMPORTED
    name, entry = next(item for item in known.items() if item[1].class_name == type(method).__name__)
    parameters, trainable = count_parameters(method)
    flops = flops_per_image(method, images, torch.device("cpu"))
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
        "cost": {"parameters": parameters, "trainable": trainable, "flops_per_image": flops, "steps": 0},
        "licence": licence,
        "source": source,
    }


def _note(info: dict[str, Any]) -> str:
    source = info["source"]
    left = f" Left out: {', '.join(source['left_out'])}." if source["left_out"] else ""
    url = f" ({source['url']})" if source["url"] else ""
    return (
        f"Imported from {source['file']}, {source['kind']}{url}, SHA-256 {source['sha256']}.{left} "
        f"Licence: {info['licence'] or 'not stated'}.\n\n"
        "The training images are unknown; they may include those of "
        f"{info['data']['name']}, on which the run is evaluated.\n"
    )
