"""``workbench augmentations``: SimCLR's study of augmentations, one run per cell of a matrix."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from workbench.cli.options import Flag, Names, Output
from workbench.config import read_settings
from workbench.errors import WorkbenchError, unknown
from workbench.format import format_duration
from workbench.hints import command, default_runs
from workbench.methods import METHODS

if TYPE_CHECKING:
    from workbench.studies.augmentations import Cell, Study


def augmentations(
    method: str,
    /,
    *,
    config: Path | None = None,
    transformations: Names = (),
    output: Output | None = None,
    runs: Path | None = None,
    verbose: Flag = False,
) -> int:
    """Train a run for every pair of augmentations and compare their linear probes (SimCLR, figure 5).

    One view of each image is transformed, the other stays plain. A cell applies its row's transformation and then its
    column's, a diagonal cell just one. Finished cells are not trained again.

    Args:
        method: A method trained on two views of each image, such as mocov3.
        config: YAML file of settings for all cells.
        transformations: Rows and columns: crop, cutout, colour, sobel, noise, blur, rotation; by default all.
        output: Folder of the study; by default compositions/<name of the configuration file> in the runs folder.
        runs: Folder of the runs; by default that of the configuration file, $WORKBENCH_RUNS or runs.
        verbose: Show the training of each cell, too.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    settings = read_settings(config, method) if config else {}
    place = (runs or Path(settings.get("runs") or default_runs())) / "compositions"
    folder = output or place / (config.stem if config else method)
    from workbench.data.options import TRANSFORMATIONS
    from workbench.studies.augmentations import Study

    study = Study(method, settings, str(config or ""), folder, transformations or TRANSFORMATIONS)
    failures = _train_cells(study, verbose)
    _print(study)
    print(f"Figure: {folder / 'composition.svg'}; view the runs with `{command('app', runs=folder / 'runs')}`.")
    for cell, reason in failures.items():
        print(f"error: The cell {', '.join(cell)} failed: {reason}", file=sys.stderr)
    return 2 if failures else 0


def _train_cells(study: "Study", verbose: bool) -> "dict[Cell, str]":
    """Train and measure the missing cells; returns the errors of those that failed."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    failures: dict[Cell, str] = {}
    missing = [cell for cell in study.cells if study.row(cell) is None]
    if len(missing) < len(study.cells):
        console.print(f"{len(study.cells) - len(missing)} of {len(study.cells)} cells are already finished.")
    began = time.monotonic()
    for done, cell in enumerate(missing):
        number, start = study.cells.index(cell) + 1, time.monotonic()
        name = f"cell {number} of {len(study.cells)}  {', '.join(cell)}"
        try:
            with training_output(verbose):
                study.train(cell)
            row = study.measure(cell)
        except KeyboardInterrupt:
            console.print(f"Stopped in {name}; run the same command to continue.")
            raise
        except WorkbenchError as error:
            if not study.rows:  # the first cell failed, so the settings are wrong
                raise
            failures[cell] = str(error)
            console.print(f"{name}  failed: {error}")
            continue
        pace = (time.monotonic() - began) / (done + 1)
        console.print(
            f"{name}  {row['value']:.1f} % [{row['low']:.1f}, {row['high']:.1f}]  "
            f"{format_duration(time.monotonic() - start)}, {format_duration(pace * (len(missing) - done - 1))} left"
        )
    study.write()
    return failures


@contextmanager
def training_output(verbose: bool) -> Iterator[None]:
    """Context in which training prints nothing, unless ``verbose``."""
    from workbench.training.progress import console

    former, console.quiet = console.quiet, not verbose
    try:
        yield
    finally:
        console.quiet = former


def _print(study: "Study") -> None:
    """Print the matrix with its means, and the baselines below it."""
    record = study.record()
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    table.add_column("first \\ second")
    for name in (*study.names, "mean"):
        table.add_column(name, justify="right")
    means = {(row.get("first"), row.get("second")): f"{row['value']:.1f}" for row in study.means(study.names)}
    for first in study.names:
        cells = (study.row((first,) if first == second else (first, second)) for second in study.names)
        values = [f"{row['value']:.1f}" if row else "" for row in cells]
        table.add_row(first, *values, means.get((first, None), ""))
    table.add_row("mean", *(means.get((None, name), "") for name in study.names))
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(table)
    for row in record["rows"]:
        if row["model"] != "run":
            print(f"{row['model']} {row['value']:.1f} % [{row['low']:.1f}, {row['high']:.1f}]")
    print(f"Top-1 in %. {record['protocol']} n = {record['n']:,}, seed {study.config.seed}.")
