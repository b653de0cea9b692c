"""``workbench import`` and ``workbench export``: weights in and out."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from workbench.cli.options import RUNS, Checkpoint, Reference, RunsFolder
from workbench.errors import WorkbenchError
from workbench.store import find_run


def import_(
    source: Annotated[
        str, Parameter(name="SOURCE", help="A file or folder of weights, a pipeline of diffusers, or timm:NAME.")
    ],
    /,
    *,
    file: Annotated[
        Path | None, Parameter(help="Weights of timm:NAME; by default a copy that was downloaded before.")
    ] = None,
    name: Annotated[str | None, Parameter(help="Name to call the run by; by default the file's or model's.")] = None,
    data: Annotated[
        str, Parameter(help="Images to evaluate it on: a built-in name, a folder or a Parquet file.")
    ] = "shapes",
    download: Annotated[bool, Parameter(help="Allow these images to be downloaded.", negative="")] = False,
    licence: Annotated[
        str | None, Parameter(help="Licence of the weights, a name, text or URL; it stays with the run.")
    ] = None,
    heads: Annotated[
        int | None, Parameter(help="Attention heads of a ViT, where the file does not tell them (DeiT-S: 6).")
    ] = None,
    image_size: Annotated[
        int | None, Parameter(help="Side of the images in pixels, where the network takes any; by default 224.")
    ] = None,
    runs: RunsFolder = RUNS,
) -> None:
    """Make a run of published weights, to be evaluated, compared and trained on from."""
    if image_size is not None and image_size < 1:
        raise WorkbenchError(f"--image-size must be at least 1 pixel, not {image_size}.")
    from workbench.weights.importing import Order, bring

    run, told = bring(Order(source, file, data, download, runs, name, licence, heads, image_size))
    print(f"{told}\nrun {run.id} in {runs}; `workbench evaluate {run.info()['name']}` measures it")


def export(
    run: Reference,
    /,
    *,
    output: Annotated[
        Path,
        Parameter(name=["--output", "-o"], help="Folder to make (timm, diffusers), or file to write (onnx: .onnx)."),
    ],
    form: Annotated[
        Literal["timm", "onnx", "diffusers"],
        Parameter(
            name="--format",
            help="timm: safetensors, config.json and a model card, which timm loads; onnx: the encoder with its "
            "normalisation, from uint8 images (N, C, H, W) to features; diffusers: a ddpm's U-Net, averaged, with its "
            "scheduler and a model card, which DDPMPipeline loads.",
        ),
    ] = "timm",
    checkpoint: Checkpoint = "last",
    runs: RunsFolder = RUNS,
) -> None:
    """Write a run's encoder, or what a ddpm draws with, for other programs."""
    found = find_run(run, runs)
    if form == "timm":
        from workbench.weights.exporting import export_timm

        print(export_timm(found, output, checkpoint))
    elif form == "diffusers":
        from workbench.weights.diffusers_format import export_diffusers

        print(export_diffusers(found, output, checkpoint))
    else:
        from workbench.weights.onnx_export import export_onnx

        print(export_onnx(found, output, checkpoint))
