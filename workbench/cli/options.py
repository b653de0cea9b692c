"""Options that several commands share."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from workbench import hints
from workbench.cli.completion import run_references
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.store import Run

RunsFolder = Annotated[Path, Parameter(name="--runs", env_var="WORKBENCH_RUNS", help="Folder of the runs.")]
Reference = Annotated[
    str,
    Parameter(completer=run_references, help="A run: its id, the end or a unique prefix of it, its name or its path."),
]
References = Annotated[
    str,
    Parameter(name="RUN", completer=run_references, help="Runs by id, end or unique prefix of an id, name or path."),
]
AsJson = Annotated[bool, Parameter(name="--json", help="Print JSON.", negative="")]
Wide = Annotated[bool, Parameter(help="Print all columns, however narrow the terminal.", negative="")]
Checkpoint = Annotated[
    Literal["last", "best"], Parameter(help="Weights of the last checkpoint, or of the one with the best monitor kNN.")
]
Output = Annotated[Path, Parameter(name=["--output", "-o"])]
Flag = Annotated[bool, Parameter(negative="")]
Names = Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True)]
RUNS = Path("runs")
KINDS_OF_WEIGHTS = """\
Files:
  .pth, .pth.tar, .bin   only tensors are loaded; a file that would have to
                         execute code is refused
  .safetensors           with the config.json beside it, if there is one
  a folder               from the Hugging Face hub, or written by `export`
Kinds, recognised by their tensors:
  MoCo v3                a full checkpoint becomes a run of mocov3; one without
                         heads, or of the linear probe, an encoder
  DeiT, timm             ViTs and ResNets; classifiers are left out
  torchvision            ResNet-18 and ResNet-50
Examples:
  workbench import vit-s-300ep.pth.tar --name moco-s --licence CC-BY-NC-4.0
  workbench import deit_small_patch16_224.pth --heads 6 --data ~/photos
  workbench import timm:vit_small_patch16_224.dino --file model.safetensors
  workbench evaluate moco-s deit_small_patch16_224 --only knn"""
"""Printed below the help of `workbench import`; kept here so that listing the commands does not import torch."""


def find_runs(references: tuple[str, ...], runs: Path, example: str) -> "list[Run]":
    """The runs that a command line names, each once; of a name all that bear it, which is said.

    Raises:
        WorkbenchError: none is named, or one of them does not exist.
    """
    from workbench import store

    _check_any(references, runs, example)
    found = {reference: store.find_runs(reference, runs) for reference in references}
    for reference, named in found.items():
        if len(named) > 1:
            ends = ", ".join(store.short_ids([run.id for run in named]).values())
            print(f'"{reference}" matches {len(named)} runs, all are used: {ends}.', file=sys.stderr)
    return list({run.path.resolve(): run for named in found.values() for run in named}.values())


def find_each_run(references: tuple[str, ...], runs: Path) -> "list[Run]":
    """The runs that a command line names, each reference exactly one, for commands that change runs.

    Raises:
        WorkbenchError: none is named, or one of them does not exist or is not the only one of its name.
    """
    from workbench.store import find_run

    _check_any(references, runs)
    named = [find_run(reference, runs) for reference in references]
    return list({run.path.resolve(): run for run in named}.values())


def _check_any(references: tuple[str, ...], runs: Path, example: str = "") -> None:
    """Raise where no run is named.

    Args:
        example: a verb that may be suggested with the newest runs, and a word for each of these.
    """
    if not references:
        from workbench.store import list_runs

        verb, *places = example.split() or [""]
        newest = [run for run, _ in zip(list_runs(runs), places, strict=False)]
        such = f"; for example `{hints.on_runs(verb, newest)}`" if newest else ""
        raise WorkbenchError(f"No runs given{such}. List them with `{hints.command('runs', runs=runs)}`.")
