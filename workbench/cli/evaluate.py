"""``workbench evaluate`` and ``workbench compare``."""

import json
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from workbench.cli.options import RUNS, AsJson, Checkpoint, References, RunsFolder
from workbench.config import Device
from workbench.errors import WorkbenchError
from workbench.files import plain
from workbench.store import Run, find_run


def evaluate(
    *references: References,
    only: Annotated[
        tuple[str, ...],
        Parameter(help="An evaluation to run, such as knn; may be repeated; by default all quick ones.", negative=""),
    ] = (),
    thorough: Annotated[
        bool,
        Parameter(help="Also those that train for minutes: linear_sgd, finetune, transfer, decoder.", negative=""),
    ] = False,
    transfer_to: Annotated[
        str | None,
        Parameter(name="--transfer-to", help="Probe the runs on this data set: a name, folder or Parquet file."),
    ] = None,
    checkpoint: Checkpoint = "last",
    device: Annotated[Device, Parameter(help="Where to compute.")] = "auto",
    runs: RunsFolder = RUNS,
) -> None:
    """Measure what runs have learnt; the results are stored in them."""
    found = _find(references, runs)
    from workbench.evaluation import runner

    runner.evaluate(found, only=only, thorough=thorough, transfer_to=transfer_to, device=device, checkpoint=checkpoint)


def compare(*references: References, as_json: AsJson = False, runs: RunsFolder = RUNS) -> None:
    """Print runs side by side with their baselines, from what `workbench evaluate` has stored."""
    found = _find(references, runs)
    from workbench.comparison import differences
    from workbench.comparison.printing import print_differences, print_table
    from workbench.comparison.seeds import group_runs
    from workbench.comparison.table import comparison_table

    table = comparison_table(found)
    groups, note = group_runs(found), None
    try:
        pairs, left_out = differences.group_differences(groups), differences.left_out(groups)
    except WorkbenchError as error:  # the table is worth having all the same
        pairs, left_out, note = [], [], str(error)
    if as_json:
        told = [asdict(pair) | {"difference": pair.difference._asdict(), "sentence": str(pair)} for pair in pairs]
        content = plain({"rows": table, "differences": told, "left_out": left_out, "note": note})
        print(json.dumps(content, indent=1, ensure_ascii=False))
    else:
        print_table(table)
        print_differences(pairs, left_out)
        if note:
            print(f"\nNo differences were tested: {note}")


def _find(references: tuple[str, ...], runs: RunsFolder) -> list[Run]:
    if not references:
        raise WorkbenchError("Say which runs, such as `workbench compare RUN RUN`; `workbench runs` lists them.")
    found = [find_run(reference, runs) for reference in references]
    return list({run.path.resolve(): run for run in found}.values())
