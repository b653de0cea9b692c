"""``workbench demo``: train, evaluate and compare three methods, then open the app."""

import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

import workbench
from workbench.cli import serve
from workbench.cli.completion import data_sets
from workbench.cli.options import RUNS, RunsFolder
from workbench.config import read_settings
from workbench.hints import command
from workbench.store import Run

CHECKOUT = Path(workbench.__file__).parent.parent
DEMO = ("mocov3", "vae", "ddpm")
RECIPES = (CHECKOUT if (CHECKOUT / "recipes").is_dir() else Path()) / "recipes"


def demo(
    *,
    data: Annotated[
        str | None,
        Parameter(completer=data_sets, help="digits, shapes, or a folder of images; by default those of the recipes."),
    ] = None,
    runs: RunsFolder = RUNS,
    serve_app: Annotated[bool, Parameter(name="--serve", help="Open the app at the end.")] = True,
) -> None:
    """Train mocov3, vae and ddpm on the same images, compare them and open the app."""
    started = time.monotonic()
    console = Console(highlight=False)

    def heading(text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - started), 60)
        console.rule(f"[bold]{text}[/] · {minutes}:{seconds:02d}", align="left")

    given: dict[str, Any] = {"runs": str(runs)} | ({} if data is None else {"data": data})
    trained: list[Run] = []
    from workbench import training
    from workbench.comparison import printing
    from workbench.comparison.differences import differences
    from workbench.comparison.table import comparison_table
    from workbench.evaluation import runner

    for number, method in enumerate(DEMO, start=1):
        heading(f"{number} of {len(DEMO) + 2}: train {method}")
        recipe = RECIPES / "demo" / f"{method}.yaml"
        run = training.start(method, read_settings(recipe, method) | given, where=str(recipe))
        assert run is not None  # only a dry run has none
        trained.append(run)
    heading(f"{len(DEMO) + 1} of {len(DEMO) + 2}: evaluate")
    runner.evaluate(trained, only=(), device="auto", checkpoint="last")
    heading(f"{len(DEMO) + 2} of {len(DEMO) + 2}: compare")
    printing.print_table(comparison_table(trained), runs=runs)
    pairs = differences(trained)
    printing.print_differences(pairs)
    if sentence := printing.leader(pairs):
        console.print(f"\n[bold]{escape(sentence)}[/]")
    heading("done")
    ids = [run.id for run in trained]
    console.print("Next steps:")
    for words in (["app"], ["compare", *ids, "--wide"], ["report", *ids, "--output", "report.html"]):
        console.print(f"  {escape(command(*words, runs=runs))}", soft_wrap=True)
    if serve_app:
        serve.app(runs=runs)
