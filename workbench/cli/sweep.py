"""``workbench sweep``: the runs of a study, one per cell and seed."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from workbench.cli.augmentations import training_output
from workbench.cli.completion import data_sets, recipes
from workbench.cli.options import Flag, Names, Output
from workbench.config import Device, read_mapping
from workbench.errors import WorkbenchError
from workbench.format import format_duration
from workbench.hints import command, default_runs

if TYPE_CHECKING:
    from workbench.studies.runner import Job, Sweep


def sweep(
    recipe: Annotated[str | None, Parameter(completer=recipes)] = None,
    /,
    *,
    scale: str = "tiny",
    seeds: int = 1,
    only: Names = (),
    dry_run: Flag = False,
    output: Output | None = None,
    data: Annotated[str | None, Parameter(completer=data_sets)] = None,
    download: Flag = False,
    device: Device = "auto",
    verbose: Flag = False,
) -> int:
    """Train every cell of a recipe with every seed, evaluate the runs and compare them with the published numbers.

    Finished runs are not trained again, and an interrupted run is resumed.

    Args:
        recipe: A recipe's name or file; without one, the recipes are listed.
        scale: tiny (minutes on a CPU), small (one GPU) or paper (as published).
        seeds: Runs per cell, with seeds 0, 1, …
        only: Cells to train, by name; by default all.
        dry_run: List cells and settings and estimate the time without training.
        output: Folder of the sweep; by default runs/sweeps/<recipe>-<scale>, and -<data> with --data.
        data: Images to train on instead of the recipe's.
        download: Allow the data set to be downloaded.
        device: Where to compute; with several GPUs, each trains a run of its own.
        verbose: Show the training of each run, too.
    """
    from workbench.studies.recipe import known, load

    if recipe is None:
        for name, file in known().items():
            print(f"{name:22} {read_mapping(file).get('title', '')}")
        return 0
    if seeds < 1:
        raise WorkbenchError(f"--seeds must be at least 1, not {seeds}.")
    changes: dict[str, Any] = {"device": device} | ({"data": data} if data else {})
    changes |= {"download": True} if download else {}
    plan = load(recipe, scale, changes)
    others = f"-{Path(data).stem}" if data else ""
    folder = output or default_runs() / "sweeps" / f"{plan.name}-{plan.scale}{others}"
    from workbench.studies.results import markdown
    from workbench.studies.runner import Sweep

    study = Sweep(plan, folder, seeds)
    jobs = study.jobs(only)
    if dry_run:
        _estimate(study, jobs)
        return 0
    failures = _train_jobs(study, jobs, verbose)
    print(markdown(study.record()))
    figures = sorted(str(file) for file in folder.glob("sweep*.svg"))
    shown = f"`{command('app', runs=folder / 'runs')}` shows the runs"
    print(f"Figure{'s' * (len(figures) > 1)}: {', '.join(figures)}; {shown}.")
    for name, reason in failures.items():
        print(f"error: {name} failed: {reason}", file=sys.stderr)
    return 2 if failures else 0


def _train_jobs(study: "Sweep", jobs: "Sequence[Job]", verbose: bool) -> dict[str, str]:
    """Train and evaluate the missing runs; returns the errors of those that failed."""
    from workbench import store
    from workbench.studies.runner import places

    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    left = [job for job in jobs if not job.is_done]
    if len(left) < len(jobs):
        console.print(f"{len(jobs) - len(left)} of {len(jobs)} runs are already finished.")
    store.check_writable(study.folder / "runs", "--output")
    failures: dict[str, str] = {}
    if not left:
        study.write()
        return failures
    study.write(())
    at_once = places(left[0].config.device)[: len(left)]
    if len(at_once) > 1:
        console.print(f"{len(left)} runs on {len(at_once)} devices, one process each.")
    began = time.monotonic()
    try:
        with training_output(verbose and len(at_once) == 1):
            _announce(console, left, 0, at_once)
            for done, (job, failed) in enumerate(study.work_off(left, at_once), start=1):
                name, pace = _name(job), (time.monotonic() - began) / done
                if failed:
                    failures[name] = failed
                result = f"failed: {failed}" if failed else _result(study, job)
                remaining = format_duration(pace * (len(left) - done))
                console.print(f"{done} of {len(left)}  {name}  {result}  {remaining} left")
                _announce(console, left, done, at_once)
    except KeyboardInterrupt:
        console.print("Stopped; run the same command to continue.")
        raise
    finally:
        study.write()
    return failures


def _announce(console: Console, left: "Sequence[Job]", done: int, at_once: Sequence[Any]) -> None:
    """Print which run is trained next, where runs are trained one after the other."""
    if len(at_once) == 1 and done < len(left):
        console.print(f"training {_name(left[done])} ({left[done].steps:,} steps)", style="dim")


def _name(job: "Job") -> str:
    return f"{job.cell}, seed {job.seed}"


def _result(study: "Sweep", job: "Job") -> str:
    record = study.record()
    tables = [row for table in record["tables"].values() for row in table["rows"] if row["quantity"] == "total"]
    rows = [r for r in record["rows"] + tables if (r["cell"], r["seed"], r["model"]) == (job.cell, job.seed, "run")]
    values = [f"{r['value']:.1f} %" if r["metric"] == "top1" else f"{r['value']:.3f} bits/dim" for r in rows]
    return ", ".join(f"{row['measure']} {value}" for row, value in zip(rows, values, strict=True))


def _estimate(study: "Sweep", jobs: "Sequence[Job]") -> None:
    """Print which runs would be trained with which settings, and about how long they would take."""
    from workbench.studies.runner import places

    left = [job for job in jobs if not job.is_done]
    cells = study.recipe.cells
    same = {key: value for key, value in cells[0].settings.items() if all(c.settings.get(key) == value for c in cells)}
    title = f"{study.recipe.title}: scale {study.recipe.scale}"
    print(f"{title}, {len(cells)} cells, {len(jobs)} runs, {len(left)} to train.")
    print(f"In all cells: {', '.join(f'{key} {value}' for key, value in same.items())}")
    total = 0.0
    with training_output(False):
        for cell in cells:
            own = [job for job in left if job.cell == cell.name]
            seconds = study.seconds(cell.name)
            total += seconds * len(own)
            varied = ", ".join(f"{key} {value}" for key, value in cell.settings.items() if key not in same)
            runs = f"{len(own)} run{'s' * (len(own) != 1)} of about {format_duration(seconds)}"
            print(f"- {cell.name} ({cell.method}; {varied or 'nothing else'}): {runs}")
    at_once = len(places(study.configs[cells[0].name].device))
    print(
        f"About {format_duration(total / at_once)} of training on {at_once} device{'s' * (at_once > 1)}, measured on a "
        "few steps of each cell, without monitoring and evaluation."
    )
