"""``workbench import`` and ``workbench export``."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from workbench.cli.options import RUNS, Checkpoint, Flag, Reference, RunsFolder
from workbench.errors import WorkbenchError
from workbench.hints import command
from workbench.store import find_run


def import_(
    source: str,
    /,
    *,
    file: Path | None = None,
    name: str | None = None,
    data: str = "shapes",
    download: Flag = False,
    licence: str | None = None,
    heads: int | None = None,
    image_size: int | None = None,
    runs: RunsFolder = RUNS,
) -> None:
    """Import published weights as a run, to evaluate, compare or train from.

    Args:
        source: A file or folder of weights, a diffusers pipeline, or timm:NAME.
        file: Weights of timm:NAME; by default the downloaded copy.
        name: Name of the run; by default that of the file or model.
        data: Images to evaluate on: a built-in name, a folder or a Parquet file.
        download: Allow the data set to be downloaded.
        licence: Licence of the weights: a name, text or URL, stored with the run.
        heads: Attention heads of a ViT, if the file does not state them (DeiT-S: 6).
        image_size: Side of the images in pixels, if the network accepts any; by default 224.
    """
    if image_size is not None and image_size < 1:
        raise WorkbenchError(f"--image-size must be at least 1 pixel, not {image_size}.")
    from workbench.weights.importing import ImportOptions, import_weights

    options = ImportOptions(source, file, data, download, runs, name, licence, heads, image_size)
    run, description = import_weights(options)
    evaluate = command("evaluate", run.info()["name"], runs=runs)
    print(f"{description}\nrun {run.id} in {runs}; evaluate it with `{evaluate}`")


def export(
    run: Reference,
    /,
    *,
    output: Annotated[
        Path, Parameter(name=["--output", "-o"], help="Folder to create (timm, diffusers), or .onnx file to write.")
    ],
    form: Annotated[
        Literal["timm", "onnx", "diffusers"],
        Parameter(
            name="--format",
            help="timm: safetensors, config.json and a model card; onnx: the encoder with its normalisation, from "
            "uint8 images (N, C, H, W) to features; diffusers: the averaged U-Net of a ddpm, its scheduler and a model "
            "card, for DDPMPipeline.",
        ),
    ] = "timm",
    checkpoint: Checkpoint = "last",
    runs: RunsFolder = RUNS,
) -> None:
    """Export a run's encoder, or a ddpm's U-Net, for other libraries."""
    chosen = find_run(run, runs)
    if form == "timm":
        from workbench.weights.exporting import export_timm

        print(export_timm(chosen, output, checkpoint))
    elif form == "diffusers":
        from workbench.weights.diffusers_export import export_diffusers

        print(export_diffusers(chosen, output, checkpoint))
    else:
        from workbench.weights.onnx_export import export_onnx

        print(export_onnx(chosen, output, checkpoint))
