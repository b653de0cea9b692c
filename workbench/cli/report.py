"""``workbench report``: a comparison and its conclusions in one file."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from workbench.cli.options import RUNS, References, RunsFolder, find_runs


def report(
    *references: References,
    output: Annotated[
        Path, Parameter(name=["--output", "-o"], help="File to write: .html, .md, .tex or .csv (all numbers).")
    ],
    pgf: Annotated[bool, Parameter(help="Figures of LaTeX in its own font (needs pdflatex).", negative="")] = False,
    runs: RunsFolder = RUNS,
) -> None:
    """Write a comparison of runs and its conclusions to one file, from what `workbench evaluate` has stored.

    Figures of LaTeX are files in a folder beside it, such as report-figures/.
    """
    from workbench import report

    report.check(output)
    chosen = find_runs(references, runs, "report RUN RUN")
    report.write(chosen, output, pgf=pgf)
    print(f"{output}: {len(chosen)} run{'s' * (len(chosen) > 1)}, {output.stat().st_size / 1000:,.0f} kB")
