"""``workbench embed``, ``reconstruct`` and ``sample``: a model's features or images, written to a file."""

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from workbench.cli.completion import data_sets
from workbench.cli.options import RUNS, Checkpoint, Output, Reference, RunsFolder
from workbench.config import Device
from workbench.errors import WorkbenchError, unknown
from workbench.files import decoded_names, replacing

if TYPE_CHECKING:
    from workbench.data.datasets import Dataset
    from workbench.model import TrainedModel

Data = Annotated[
    str | None,
    Parameter(completer=data_sets, help="A data set, a folder or a Parquet file; by default the run's own data."),
]
Number = Annotated[int, Parameter(name=["--number", "-n"])]
Place = Annotated[Device, Parameter(help="Where to compute.")]
Part = Literal["train", "val", "test", "all"]
SMALLEST = 96
"""Side in pixels up to which small images are enlarged, by a whole factor."""
COLUMNS = 16


def embed(
    run: Reference,
    /,
    *,
    output: Output,
    data: Data = None,
    split: Part | None = None,
    space: str | None = None,
    checkpoint: Checkpoint = "last",
    device: Place = "auto",
    runs: RunsFolder = RUNS,
) -> None:
    """Write features, sample ids, labels and file names of a data set to a file.

    Args:
        output: File to write: .npz, .parquet or .csv, or .npy for the features alone.
        split: Part of the data; by default the test split of the run's own data, or all of another data set.
        space: Layer of the features; by default the method's default feature.
    """
    _check_suffix(output, (".npz", ".npy", ".parquet", ".csv"))
    model, dataset = _open(run, data, checkpoint, device, runs)
    part = split or ("test" if data is None else "all")
    splits = [getattr(dataset, name) for name in (("train", "val", "test") if part == "all" else (part,))]
    splits = [images for images in splits if len(images)]
    features = [model.encode(images.images) for images in splits]
    space = space or model.default
    if space not in features[0]:
        raise unknown("space", space, features[0])
    columns: dict[str, np.ndarray] = {
        "features": np.concatenate([values[space] for values in features]),
        "ids": np.concatenate([images.ids for images in splits]),
    }
    if all(images.labels is not None for images in splits):
        columns["labels"] = np.concatenate([images.labels for images in splits])
    if all(images.names is not None for images in splits):
        columns["names"] = np.array(decoded_names(np.concatenate([images.names for images in splits])))
    with replacing(output) as file:
        _write_features(file, output.suffix, columns)
    print(f"{output}: {columns['features'].shape[0]:,} images, {columns['features'].shape[1]} features of {space}")


def reconstruct(
    run: Reference,
    /,
    *,
    output: Output,
    data: Data = None,
    n: Number = COLUMNS,
    seed: int = 0,
    checkpoint: Checkpoint = "last",
    device: Place = "auto",
    runs: RunsFolder = RUNS,
) -> None:
    """Write test images and their reconstructions to an image file, originals above.

    Args:
        output: Image file to write: .png or .webp.
        n: Number of images, stratified by class.
        seed: Seed of the noise, if the method uses any.
    """
    _check_picture(output, n)
    model, dataset = _open(run, data, checkpoint, device, runs)
    from workbench.data.arrays import prepare
    from workbench.data.datasets import stratified_order

    test = dataset.test
    chosen = test.take(np.sort(stratified_order(test.ids, test.labels, "probe")[:n]))
    reconstructions = model.reconstruct(chosen.images, chosen.ids, seed)
    channels, size = model.images.channels, model.images.size
    originals = prepare(np.asarray(chosen.images), channels, size).permute(0, 2, 3, 1).numpy()
    _write_picture(output, [originals, *reconstructions.values()], COLUMNS)
    variants = ", ".join(name for name in reconstructions if name)
    print(f"{output}: originals above, reconstructions below{f' ({variants})' if variants else ''}")


def sample(
    run: Reference,
    /,
    *,
    output: Output,
    n: Number = 64,
    seed: int = 0,
    steps: int | None = None,
    sampler: str | None = None,
    checkpoint: Checkpoint = "last",
    device: Place = "auto",
    runs: RunsFolder = RUNS,
) -> None:
    """Write samples of a generative model to an image file.

    Args:
        output: Image file to write: .png or .webp.
        n: Number of images.
        seed: The same seed gives the same images.
        steps: Steps of the sampler, if it has any; by default the sampler's own number.
        sampler: Sampler, if the method has several; by default the method's own.
    """
    _check_picture(output, n)
    from workbench.model import load

    images = load(run, runs, device, checkpoint).sample(n, seed, steps, sampler)
    _write_picture(output, [images], math.ceil(math.sqrt(n)))
    print(f"{output}: {n} samples, seed {seed}")


def _open(
    run: str, data: str | None, checkpoint: Literal["last", "best"], device: Device, runs: Path
) -> tuple["TrainedModel", "Dataset"]:
    """A run's model, and the requested data set at the model's image size."""
    from workbench.data.datasets import load as load_data
    from workbench.model import load

    model = load(run, runs, device, checkpoint)
    options = replace(model.config.data_options, limit=None)
    if data is None:
        return model, load_data(model.config.data, options)
    return model, load_data(data, replace(options, image_size=model.images.size, split="train"))


def _check_suffix(output: Path, known: tuple[str, ...]) -> None:
    if output.suffix.lower() not in known:
        raise WorkbenchError(f"The file {output} must end in {', '.join(known[:-1])} or {known[-1]}; change its name.")


def _check_picture(output: Path, n: int) -> None:
    _check_suffix(output, (".png", ".webp"))
    if n < 1:
        raise WorkbenchError(f"--number must be at least 1, not {n}.")


def _write_features(file: Any, suffix: str, columns: dict[str, np.ndarray]) -> None:
    if suffix.lower() == ".npy":
        np.save(file, columns["features"], allow_pickle=False)
    elif suffix.lower() == ".npz":
        np.savez(file, allow_pickle=False, **columns)
    else:
        import pyarrow as pa
        from pyarrow import csv, parquet

        features = columns["features"]
        single = {"id": "ids", "name": "names", "label": "labels"}
        table = pa.table({name: columns[key] for name, key in single.items() if key in columns})
        if suffix.lower() == ".csv":
            for number, column in enumerate(features.T):
                table = table.append_column(f"f{number}", pa.array(column))
            csv.write_csv(table, file)
        else:
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1])
            parquet.write_table(table.append_column("features", vectors), file)


def _write_picture(output: Path, rows: list[np.ndarray], columns: int) -> None:
    """Write images as a grid.

    Args:
        rows: arrays uint8 (N, H, W, C); their i-th images are placed above one another.
        columns: images side by side before the grid wraps.
    """
    from PIL import Image

    count, height, width, channels = rows[0].shape
    columns = min(columns, count)
    gap, scale = 2, max(1, SMALLEST // height)
    bands = math.ceil(count / columns)
    cell_h, cell_w = height * scale + gap, width * scale + gap
    canvas = np.full((bands * len(rows) * cell_h + gap, columns * cell_w + gap, channels), 255, np.uint8)
    for index in range(count):
        for row, images in enumerate(rows):
            top = ((index // columns) * len(rows) + row) * cell_h + gap
            left = (index % columns) * cell_w + gap
            large = images[index].repeat(scale, axis=0).repeat(scale, axis=1)
            canvas[top : top + height * scale, left : left + width * scale] = large
    picture = Image.fromarray(canvas[..., 0] if channels == 1 else canvas)
    kind = {"format": "PNG"} if output.suffix.lower() == ".png" else {"format": "WEBP", "lossless": True}
    with replacing(output) as file:
        picture.save(file, **kind)
