"""``workbench report``: what was compared, and what may be concluded, in one file."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from workbench.cli.options import RUNS, References, RunsFolder
from workbench.errors import WorkbenchError
from workbench.store import find_run


def report(
    *references: References,
    output: Annotated[
        Path, Parameter(name=["--output", "-o"], help="File to write: .html, .md, .tex or .csv (all numbers).")
    ],
    runs: RunsFolder = RUNS,
) -> None:
    """Write what was compared and what may be concluded to one file, from what `workbench evaluate` has stored."""
    if not references:
        raise WorkbenchError("Say which runs, such as `workbench report RUN RUN`; `workbench runs` lists them.")
    from workbench import report

    report.check(output)
    found = list({run.id: run for run in (find_run(reference, runs) for reference in references)}.values())
    report.write(found, output)
    print(f"{output}: {len(found)} run{'s' * (len(found) > 1)}, {output.stat().st_size / 1000:,.0f} kB")
