"""All numbers as one long table: a row per run and measurement."""

import csv
import io
from collections.abc import Sequence

from workbench.headline import rows_of
from workbench.store import Run

COLUMNS = ("run", "seed", "evaluation", "model", "space", "metric", "value", "low", "high", "n", "detail")
KNOWN = {*COLUMNS, "created"}


def write(runs: Sequence[Run]) -> str:
    """CSV with the columns :data:`COLUMNS`; ``detail`` holds what else tells rows apart, such as ``factor=hue``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for run in runs:
        seed = run.info().get("seed")
        for evaluation in run.evaluations():
            n = run.evaluation(evaluation).get("n")
            for row in rows_of(run, evaluation):
                values = [row.get(key) for key in ("model", "space", "metric", "value", "low", "high")]
                rest = {key: value for key, value in row.items() if key not in KNOWN and value != ""}
                short = (key for key, value in rest.items() if isinstance(value, str | int | float))
                detail = "; ".join(f"{key}={rest[key]}" for key in short)
                writer.writerow([run.id, seed, evaluation, *values, row.get("n", n), detail])
    return text.getvalue()
