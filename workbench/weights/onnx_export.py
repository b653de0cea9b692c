"""``workbench export --format onnx``: uint8 images in, features out, with the normalisation inside."""

import importlib.util
import secrets
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.data.augment import to_float
from workbench.errors import WorkbenchError
from workbench.files import storage_error
from workbench.methods.base import Method
from workbench.store import Run
from workbench.training.checkpoint import Which, load_method_from
from workbench.weights.exporting import encoder_of

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-3  # of the largest feature
BATCH = 3  # of the example that is traced


class Features(nn.Module):
    """Named features of uint8 images, as a tuple."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """uint8 (N, C, size, size) -> the values of :meth:`Method.encode`, (N, D) each."""
        return tuple(self.method.encode(to_float(images)).values())


def export_onnx(run: Run, output: Path, which: Which = "last") -> str:
    """Write a run's encoder to an ONNX file and compare their features; returns a summary.

    The input ``images`` is uint8 (N, C, size, size), N free; each output is a space of the run, (N, D) float32.

    Raises:
        WorkbenchError: a package is missing, the method cannot be exported, or the file cannot be written.
    """
    if output.suffix != ".onnx":
        raise WorkbenchError(f"The file {output} must end in .onnx; change its name.")
    if output.exists():
        raise WorkbenchError(f"The file {output} exists already; give a new one with --output.")
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        install = "`pip install 'representation-workbench[onnx]'`"
        raise WorkbenchError(f"Exporting to ONNX needs {' and '.join(missing)}: {install}.")
    loaded = load_method_from(run, which)
    encoder_of(loaded, run)  # raises for any other
    images, model = loaded.images, Features(loaded.method).eval()
    shape = (BATCH, images.channels, images.size, images.size)
    example = torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    with torch.no_grad():
        spaces = list(loaded.method.encode(to_float(example)))
        expected = model(example)
    building = output.with_name(f".tmp-{secrets.token_hex(4)}-{output.name}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, output) from error
    try:
        _write(model, example, spaces, building, run)
        difference = _difference(building, example, expected)
        if not difference < TOLERANCE:
            raise WorkbenchError(
                f"The features of the ONNX file differ from those of {run.id} by {100 * difference:.2g} %, so it was "
                "deleted; try other versions of torch and onnxscript."
            )
        building.replace(output)
    except OSError as error:
        raise storage_error(error, output) from error
    finally:
        building.unlink(missing_ok=True)
    return (
        f"{output}: images uint8 (N, {images.channels}, {images.size}, {images.size}) to {', '.join(spaces)}; "
        f"checked with onnxruntime, features differ by at most {difference:.1g} of the largest"
    )


def _write(model: Features, example: Tensor, spaces: list[str], path: Path, run: Run) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its own changes
        program: Any = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=spaces,
            dynamic_shapes={"images": {0: torch.export.Dim("N")}},
            verbose=False,
        )
    program.model.metadata_props.update({"run": run.id, "licence": str(run.info().get("licence") or "not stated")})
    program.save(path, external_data=False)


def _difference(path: Path, example: Tensor, expected: tuple[Tensor, ...]) -> float:
    """Largest difference of any feature, relative to the largest feature of its space, over two batch sizes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for n in (1, BATCH):
        for output, reference in zip(session.run(None, {"images": example[:n].numpy()}), expected, strict=True):
            values = reference[:n].numpy()
            worst = max(worst, float(np.abs(np.asarray(output) - values).max() / max(np.abs(values).max(), 1e-12)))
    return worst
