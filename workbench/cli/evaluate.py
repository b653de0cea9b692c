"""``workbench evaluate`` and ``workbench compare``."""

import json
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from workbench.cli.completion import data_sets
from workbench.cli.options import RUNS, AsJson, Checkpoint, Flag, References, RunsFolder, Wide, find_runs
from workbench.config import Device
from workbench.errors import WorkbenchError
from workbench.files import plain
from workbench.tables import output


def evaluate(
    *references: References,
    only: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    thorough: Flag = False,
    transfer_to: Annotated[str | None, Parameter(completer=data_sets)] = None,
    checkpoint: Checkpoint = "last",
    device: Device = "auto",
    runs: RunsFolder = RUNS,
) -> None:
    """Evaluate runs; the results are stored in their folders.

    Args:
        only: Evaluation to run, such as knn; may be repeated; by default all quick ones.
        thorough: Also run those that train for minutes: linear_sgd, finetune, transfer, decoder.
        transfer_to: Data set to probe the runs on: a name, folder or Parquet file.
        device: Where to compute.
    """
    chosen = find_runs(references, runs, "evaluate RUN")
    from workbench.evaluation import runner

    runner.evaluate(chosen, only=only, thorough=thorough, transfer_to=transfer_to, device=device, checkpoint=checkpoint)


def compare(*references: References, as_json: AsJson = False, wide: Wide = False, runs: RunsFolder = RUNS) -> None:
    """Print a table of runs and their baselines, from what `workbench evaluate` has stored.

    Runs that differ only in their seed form a group; differences between groups are tested.
    """
    chosen = find_runs(references, runs, "compare RUN RUN")
    from workbench.comparison import differences
    from workbench.comparison.printing import print_differences, print_table
    from workbench.comparison.seeds import group_runs
    from workbench.comparison.table import comparison_table

    table = comparison_table(chosen)
    groups, note = group_runs(chosen), None
    try:
        pairs, left_out = differences.group_differences(groups), differences.left_out(groups)
    except WorkbenchError as error:  # the table is still printed
        pairs, left_out, note = [], [], str(error)
    if as_json:
        tests = [asdict(pair) | {"difference": pair.difference._asdict(), "sentence": str(pair)} for pair in pairs]
        content = plain({"rows": table, "differences": tests, "left_out": left_out, "note": note})
        print(json.dumps(content, indent=1, ensure_ascii=False))
    else:
        print_table(table, wide, runs)
        print_differences(pairs, left_out)
        if note:
            output().print(f"\nNo differences were tested: {note}")
