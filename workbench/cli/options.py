"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

RunsFolder = Annotated[Path, Parameter(name="--runs", help="Folder of the runs.")]
Reference = Annotated[str, Parameter(help="A run: an id, a unique beginning of one, a name or a path.")]
References = Annotated[str, Parameter(name="RUN", help="Runs: ids, unique beginnings of one, names or paths.")]
AsJson = Annotated[bool, Parameter(name="--json", help="Print JSON.", negative="")]
Checkpoint = Annotated[
    Literal["last", "best"], Parameter(help="Which weights: the last ones or the ones that the monitor liked best.")
]
RUNS = Path("runs")
KINDS_OF_WEIGHTS = """\
Files:
  .pth, .pth.tar, .bin   tensors alone are loaded; a file that would have to
                         execute anything is refused
  .safetensors           with config.json beside it where there is one
  a folder               of the Hugging Face hub, or that `export` has made
Kinds, told apart by their tensors:
  MoCo v3                all parts make a run of mocov3; without the heads, and
                         of its linear probe, the encoder alone is taken
  DeiT, timm             ViTs and ResNets; classifiers are left out
  torchvision            ResNet-18 and ResNet-50
Examples:
  workbench import vit-s-300ep.pth.tar --name moco-s --licence CC-BY-NC-4.0
  workbench import deit_small_patch16_224.pth --heads 6 --data ~/photos
  workbench import timm:vit_small_patch16_224.dino --file model.safetensors
  workbench evaluate moco-s deit_small_patch16_224 --only knn"""
"""Stands below the help of `workbench import`; here, so that the list of commands need not import that."""
