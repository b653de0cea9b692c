"""``workbench compare``: runs and baselines side by side, from what evaluation has stored. No torch."""

import re
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from workbench.evaluation import significance
from workbench.store import Run

Row = dict[str, Any]
MEASURES = {"knn": "kNN", "linear": "linear probe", "reconstruction": "reconstruction"}


def comparison_table(runs: Sequence[Run]) -> list[Row]:
    """One row per run, then one per baseline.

    Returns:
        rows with ``model`` and ``kind`` (``run``, ``best space`` or ``baseline``), ``id`` of the run, ``data``,
        ``space``; ``knn`` and ``linear`` in percent and ``reconstruction`` in dB, each
        ``{value, low, high, n, checkpoint}`` or None; ``parameters`` and ``seconds`` of training, or None; ``warning``,
        a sentence where a run's cells are not all of its last checkpoint, or None. Features are read in the run's
        default space; where another space did better on the validation split, a row of the kind ``best space`` follows.
    """
    table: list[Row] = []
    baselines: dict[tuple[Any, ...], Row] = {}
    for run in runs:
        info = run.info()
        data, cost = (value if isinstance(value := info.get(key), dict) else {} for key in ("data", "cost"))
        name = info.get("name") or info.get("method") or run.id
        told = {"id": run.id, "data": data.get("name")}
        trained = {"parameters": cost.get("parameters"), "seconds": cost.get("seconds")}
        default = run.evaluation("linear").get("default") or run.evaluation("knn").get("default")
        row = _row(run, "run", default, name, "run") | told | trained
        table.append(row | {"warning": _warning(run, row, cost.get("steps"))})
        best = _best_space(run)
        if best not in (None, default):
            table.append(_row(run, "run", best, name, "best space") | told | trained | {"reconstruction": None})
        found = [str(row.get("model")) for kind in ("linear", "knn", "reconstruction") for row in _rows(run, kind)]
        for model in dict.fromkeys(model for model in found if model != "run"):
            # A random network's size tells those of two runs of one method apart.
            own = cost.get("parameters") if model.startswith("untrained:") else None
            space = "pixels" if model == "pixels" else default if model.startswith("untrained:") else None
            row = _row(run, model, space, model, "baseline") | told | {"id": None, "parameters": own, "seconds": None}
            baselines.setdefault((model, data.get("fingerprint"), own), row)
    order = sorted(baselines.values(), key=lambda row: (row["knn"] is None, row["model"] != "pixels", row["model"]))
    return table + order


def print_table(rows: Sequence[Row]) -> None:
    """Print a comparison; intervals are 95 %."""
    headings = ("model", "space", "kNN %", "linear %", "reconstruction dB", "parameters", "training")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("model", "space") else "right", overflow="fold")
    names = [row["model"] for row in rows if row["kind"] == "run"]
    several = len({row["data"] for row in rows}) > 1
    for row in rows:
        model = f"{row['model']} ({row['id']})" if names.count(row["model"]) > 1 and row["id"] else row["model"]
        model += f" on {row['data']}" if several else ""
        table.add_row(
            f"{model}, best space" if row["kind"] == "best space" else model,
            str(row["space"] or ""),
            *(_interval(row[key]) for key in ("knn", "linear", "reconstruction")),
            _count(row["parameters"]),
            _time(row["seconds"]),
            style="dim" if row["kind"] == "baseline" else None,
        )
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False)
    console.print(table)
    counts = {key: sorted({row[key]["n"] for row in rows if row[key]}) for key in ("linear", "reconstruction")}
    read = {"linear": "test images for kNN and linear probe", "reconstruction": "for the reconstruction"}
    notes = [f"{' or '.join(f'{n:,}' for n in found)} {read[key]}" for key, found in counts.items() if found]
    if notes:
        console.print(f"In brackets 95 % bootstrap intervals over test images: {', '.join(notes)}.", style="dim")
        if any(len(found) > 1 for found in counts.values()):
            console.print("The runs were evaluated on different numbers of images; evaluate them again together.")
    elif not any(row["knn"] for row in rows):
        console.print("Nothing has been measured yet; `workbench evaluate RUN...` does.")
    for warning in [row["warning"] for row in rows if row["warning"]]:
        console.print(warning, style="yellow", soft_wrap=True)


def print_differences(pairs: Sequence[significance.Difference]) -> None:
    """Print which differences of linear probes are real, a sentence each."""
    if not pairs:
        return
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False)
    console.print(f"\nLinear probes, {len(pairs)} comparisons on the same {pairs[0].n:,} test images:")
    for pair in pairs:
        console.print(f"{'*' if pair.real else '-'} {pair}", style=None if pair.real else "dim")
    console.print(significance.CAVEAT, style="dim")


def _row(run: Run, model: str, space: str | None, name: str, kind: str) -> Row:
    row: Row = {"model": name, "kind": kind, "space": space, "warning": None}
    for key in ("knn", "linear"):
        row[key] = _value(run, key, model=model, space=space)
    own = model == "run" or model.startswith("untrained:")
    variant = run.evaluation("reconstruction").get("default") if own else ""
    row["reconstruction"] = _value(run, "reconstruction", model=model, variant=variant)
    if row["reconstruction"] and variant:
        row["reconstruction"]["variant"] = variant
    return row


def _value(run: Run, evaluation: str, **where: Any) -> Row | None:
    for row in _rows(run, evaluation):
        if all(row.get(key) == value for key, value in where.items()):
            content = run.evaluation(evaluation)
            checkpoint = content.get("checkpoint") if where["model"] == "run" else None
            told = {"n": content.get("n"), "checkpoint": checkpoint}
            return {key: row.get(key) for key in ("value", "low", "high")} | told
    return None


def _warning(run: Run, row: Row, steps: Any) -> str | None:
    """That a run's cells are of different checkpoints, or of an earlier one than the cost beside them."""
    cells = {name: row[key]["checkpoint"] for key, name in MEASURES.items() if row[key]}
    cells = {name: checkpoint for name, checkpoint in cells.items() if isinstance(checkpoint, str)}
    name, command = f"{row['model']} ({run.id})", f"`workbench evaluate {run.id}` measures the last one."
    if len(set(cells.values())) > 1:
        told = "; ".join(f"{measure}: {checkpoint}" for measure, checkpoint in cells.items())
        return f"The cells of {name} were measured on different checkpoints ({told}); {command}"
    checkpoint = next(iter(cells.values()), "")
    step = re.search(r"\bstep (\d+)", checkpoint)
    if step and _number(steps) and int(step[1]) < steps:
        return f"{name} was measured on the checkpoint {checkpoint}, but its cost is that of step {steps}; {command}"
    return None


def _rows(run: Run, evaluation: str) -> list[Row]:
    rows = run.evaluation(evaluation).get("rows")
    rows = rows if isinstance(rows, list) else []
    return [row for row in rows if isinstance(row, dict) and _number(row.get("value"))]


def _best_space(run: Run) -> str | None:
    """The space whose linear probe did best on the validation split."""
    own = [row for row in _rows(run, "linear") if row.get("model") == "run" and _number(row.get("validation"))]
    return max(own, key=lambda row: row["validation"])["space"] if own else None


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _interval(cell: Row | None) -> str:
    if cell is None:
        return ""
    bounds = f" [{cell['low']:.1f}, {cell['high']:.1f}]" if _number(cell["low"]) and _number(cell["high"]) else ""
    variant = f" {cell['variant']}" if "variant" in cell else ""
    return f"{cell['value']:.1f}{bounds}{variant}"


def _count(parameters: Any) -> str:
    if not _number(parameters):
        return ""
    return f"{parameters / 1e6:.1f} M" if parameters >= 1e6 else f"{parameters / 1e3:.0f} k"


def _time(seconds: Any) -> str:
    if not _number(seconds):
        return ""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
