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
