"""The table of ``workbench compare``: runs, groups of seeds and baselines side by side, from what is stored."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.comparison.seeds import Group, Row, group_runs, name_of, over_seeds
from workbench.format import finite_number, format_count, format_duration, format_interval, format_megabytes, is_number
from workbench.headline import best_space, default_space, rows_of
from workbench.hints import command, on_runs
from workbench.store import Run

MEASURES = {"knn": "kNN", "linear": "linear probe", "retrieval": "retrieval", "reconstruction": "reconstruction"}
HEADINGS = {"knn": "kNN %", "linear": "linear %", "retrieval": "mAP@10 %", "reconstruction": "reconstruction dB"}
METRICS = {"knn": "top1", "linear": "top1", "retrieval": "map@10", "reconstruction": "psnr"}
SAMPLES = {"knn": "test images", "linear": "test images", "retrieval": "queries", "reconstruction": "test images"}
AGREE = "Where all seeds of a row have the same value, its interval is over images, as that of a single run."
RANDOM_INIT = "random init"
"""The model in ``finetune.json`` that started from random weights."""
COSTS = {
    "parameters": "parameters",
    "flops_per_image": "FLOPs/image",
    "images_seen": "images seen",
    "seconds": "training",
    "peak_memory_mb": "memory",
}


def comparison_table(runs: Sequence[Run]) -> list[Row]:
    """The :func:`group_table` of the groups of seeds among runs."""
    return group_table(group_runs(runs))


def group_table(groups: Sequence[Group]) -> list[Row]:
    """One row per group of seeds (or single run), then one per baseline.

    Features are read in the group's best space by validation (:func:`~workbench.headline.best_space`), the one that is
    tested; where the method's default is another one, a row of the kind ``default space`` follows.

    Returns:
        rows with ``model``, ``kind`` (``run``, ``default space`` or ``baseline``), ``id`` of a single run, ``ids`` and
        ``seeds`` of all, ``data``, ``space``; ``knn``, ``linear`` and ``retrieval`` in percent and ``reconstruction``
        in dB, each ``{value, low, high, n, ns, checkpoint, of}`` or None; ``n`` images or queries, None where seeds
        differ in it, ``ns`` all of these numbers, and ``of`` how many seeds the row has; of several seeds ``value`` is
        the mean, ``low`` and ``high`` bound Student's interval over seeds, and ``values`` are there, fewer than ``of``
        where a seed lacks the evaluation; the training's ``parameters``,
        ``flops_per_image``, ``images_seen``, ``seconds`` and ``peak_memory_mb`` (means), or None; ``warning``, a
        sentence where a run's cells are not all of its last checkpoint, or None.
    """
    table: list[Row] = []
    baselines: dict[tuple[Any, ...], Row] = {}
    for group in groups:
        first = group.runs[0]
        data, cost = (mapping_of(first, key) for key in ("data", "cost"))
        identity = {"id": first.id if len(group) == 1 else None, "ids": [run.id for run in group.runs]}
        identity |= {"seeds": list(group.seeds), "data": data.get("name")}
        costs = {key: _mean([mapping_of(run, "cost").get(key) for run in group.runs]) for key in COSTS}
        best, default = best_space(group.runs), next(filter(None, map(default_space, group.runs)), None)
        row = _row(group.runs, "run", best, group.label, "run") | identity | costs
        table.append(row | {"warning": " ".join(filter(None, map(_warning, group.runs))) or None})
        if default != best:
            row = _row(group.runs, "run", default, group.label, "default space") | identity | costs
            table.append(row | {"reconstruction": None})
        models = [str(row.get("model")) for kind in MEASURES for run in group.runs for row in rows_of(run, kind)]
        for model in dict.fromkeys(model for model in models if model != "run"):
            # Untrained networks of one method are told apart by their size.
            untrained = model.startswith("untrained:")
            own = cost.get("parameters") if untrained else None
            space = "pixels" if model == "pixels" else best if untrained else None
            row = _row(group.runs, model, space, model, "baseline")
            row |= identity | dict.fromkeys(COSTS) | {"id": None, "ids": [], "parameters": own}
            row["seeds"] = row["seeds"] if untrained and any("values" in (row[key] or {}) for key in MEASURES) else []
            known = baselines.setdefault((model, data.get("fingerprint"), own), row)
            if not untrained:  # the first run may lack an evaluation
                known |= {key: known[key] or row[key] for key in MEASURES}
    order = sorted(baselines.values(), key=lambda row: (row["knn"] is None, row["model"] != "pixels", row["model"]))
    return table + order


def baseline_value(rows: Sequence[Row], model: str, key: str, parameters: Any = None) -> float | None:
    """A baseline's value of a measure in a table, of untrained networks the one with as many parameters; or None."""
    for row in rows:
        own = row["kind"] == "baseline" and row["model"] == model
        if own and row[key] and (parameters is None or row["parameters"] == parameters):
            return row[key]["value"]
    return None


def notes(rows: Sequence[Row], runs: Path | None = None) -> list[str]:
    """What the intervals of a comparison are, and what makes it unfair, a sentence each.

    Args:
        runs: folder of the runs, for a command.
    """
    counts = image_counts(rows)
    over: dict[str, list[str]] = {}  # measures by what their intervals are over
    for key, ns in counts.items():
        if ns:
            over.setdefault(f"{' or '.join(f'{n:,}' for n in ns)} {SAMPLES[key]}", []).append(MEASURES[key])
    if not any(row.get(key) for row in rows for key in MEASURES):
        ids = dict.fromkeys(run_id for row in rows for run_id in row["ids"])
        return [f"Not evaluated yet; run `{command('evaluate', *ids, runs=runs)}`."]
    sentences = []
    if over:
        samples = ", ".join(f"{what} ({', '.join(names)})" for what, names in over.items())
        sentences.append(f"Brackets: 95 % intervals over {samples}.")
    several = [row for row in rows if len(row["seeds"]) > 1]
    if several:
        sentences.append(
            "Rows with several seeds show the mean and its 95 % interval over seeds (Student's t), which includes the "
            "variation between seeds; the interval of a single run does not."
        )
    if any(agree(row[key]) for row in several for key in MEASURES):
        sentences.append(AGREE)
    return sentences + different_images(rows)


def different_images(rows: Sequence[Row]) -> list[str]:
    """A sentence where cells of one measure are of different numbers of images."""
    differing = {key: ns for key, ns in image_counts(rows).items() if len(ns) > 1}
    if not differing:
        return []
    numbers = ", ".join(f"{MEASURES[key]} {' or '.join(f'{n:,}' for n in ns)}" for key, ns in differing.items())
    return [f"The runs were evaluated on different numbers of images ({numbers}); evaluate them again in one command."]


def image_counts(rows: Sequence[Row]) -> dict[str, list[int]]:
    """By measure, the numbers of images or queries that its cells are measured on, ascending."""
    return {key: sorted({n for row in rows if row.get(key) for n in row[key]["ns"]}) for key in MEASURES}


def agree(cell: Row | None) -> bool:
    """Whether a cell is of several seeds that all have one value."""
    values = (cell or {}).get("values", ())
    return len(values) > 1 and len(set(values)) == 1


def _row(runs: Sequence[Run], model: str, space: str | None, name: str, kind: str) -> Row:
    row: Row = {"model": name, "kind": kind, "space": space, "warning": None}
    for key in ("knn", "linear", "retrieval"):
        row[key] = cell_of(runs, key, model=model, space=space)
    own = model == "run" or model.startswith("untrained:")
    variants = [run.evaluation("reconstruction").get("default") for run in runs] if own else [""]
    variant = next((variant for variant in variants if variant is not None), None)
    row["reconstruction"] = cell_of(runs, "reconstruction", model=model, variant=variant)
    if row["reconstruction"] and variant:
        row["reconstruction"]["variant"] = variant
    return row


def cell_of(runs: Sequence[Run], evaluation: str, **where: Any) -> Row | None:
    """The number of a group's runs in an evaluation, as a cell of :func:`group_table`: of one run with its interval
    over images; of several, their mean with its interval over seeds.

    Args:
        where: entries of the rows that are read, the ``model`` among them.
    """
    cells = [cell for run in runs if (cell := _value(run, evaluation, **where))]
    own = where["model"] == "run"
    untrained = where["model"].startswith("untrained:") or where["model"] == RANDOM_INIT
    if not cells:
        return None
    if not (own or untrained):  # shared by all runs, measured once
        return cells[0] | {"of": 1}
    values = [cell["value"] for cell in cells]
    if len(values) == 1:
        return cells[0] | {"of": len(runs)}
    same = len(set(values)) == 1
    if untrained and same:  # all initialised with the same seed
        return cells[0] | {"of": 1}
    shared = {key: cells[0][key] if len({cell[key] for cell in cells}) == 1 else None for key in ("n", "checkpoint")}
    counts = {"ns": list(dict.fromkeys(n for cell in cells for n in cell["ns"])), "of": len(runs), "values": values}
    interval = cells[0] if same else over_seeds(values, METRICS.get(evaluation, "top1"))._asdict()
    return interval | shared | counts


def _value(run: Run, evaluation: str, **where: Any) -> Row | None:
    for row in rows_of(run, evaluation):
        if all(row.get(key) == value for key, value in where.items()):
            content = run.evaluation(evaluation)
            checkpoint = content.get("checkpoint") if where["model"] == "run" else None
            n = row.get("queries", content.get("n"))
            n = n if is_number(n) else None
            source = {"n": n, "ns": [] if n is None else [n], "checkpoint": checkpoint}
            return {"value": row["value"]} | {end: finite_number(row.get(end)) for end in ("low", "high")} | source
    return None


def _warning(run: Run) -> str | None:
    """A sentence where a run's cells are of different checkpoints, or of an earlier one than the cost beside them."""
    steps = mapping_of(run, "cost").get("steps")
    row = _row([run], "run", default_space(run), name_of(run), "run")
    cells = {name: row[key]["checkpoint"] for key, name in MEASURES.items() if row[key]}
    cells = {name: checkpoint for name, checkpoint in cells.items() if isinstance(checkpoint, str)}
    name, remedy = f"{row['model']} ({run.id})", f"run `{on_runs('evaluate', [run])}` to evaluate the last one."
    if len(set(cells.values())) > 1:
        which = "; ".join(f"{measure}: {checkpoint}" for measure, checkpoint in cells.items())
        return f"The cells of {name} were evaluated at different checkpoints ({which}); {remedy}"
    checkpoint = next(iter(cells.values()), "")
    step = re.search(r"\bstep (\d+)", checkpoint)
    if step and isinstance(steps, int | float) and int(step[1]) < steps:
        return f"{name} was evaluated at checkpoint {checkpoint}, but its cost includes all {steps} steps; {remedy}"
    return None


def mapping_of(run: Run, key: str) -> Row:
    """An entry of ``run.json`` that is a mapping, or an empty one."""
    value = run.info().get(key)
    return value if isinstance(value, dict) else {}


def _mean(values: Sequence[Any]) -> float | None:
    """The mean of the numbers; a value common to all stays as it is."""
    known = [value for value in values if is_number(value)]
    return (known[0] if len(set(known)) == 1 else float(np.mean(known))) if known else None


def interval_text(cell: Row | None) -> str:
    """A cell in print: value, interval and variant."""
    if cell is None:
        return ""
    variant = f" ({cell['variant']})" if cell.get("variant") else ""
    seeds = len(cell["values"]) if "values" in cell else 1
    interval = format_interval(cell["value"], cell["low"], cell["high"], digits=1)
    return f"{interval}{variant}{of_seeds(seeds, cell['of'])}"


def of_seeds(measured: int, seeds: int) -> str:
    """The suffix of a number that not all seeds of its row contribute to."""
    return f", {measured} of {seeds} seeds" if measured < seeds else ""


def cost_text(key: str, value: Any) -> str:
    """A cost in print, with its unit."""
    if not is_number(value):
        return ""
    return {"seconds": format_duration, "peak_memory_mb": format_megabytes}.get(key, format_count)(value)
