"""Results of a sweep: rows of its runs, means over seeds, and the files they are written to."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench.comparison.colours import colours_of
from workbench.comparison.seeds import Row
from workbench.comparison.table import cost_text, mapping_of
from workbench.data.datasets import Dataset
from workbench.figures.drawing import FORMATS, Drawing
from workbench.figures.shares import Panels, Shares
from workbench.figures.study import OVER_IMAGES, TITLES, Study
from workbench.files import plain, replacing, write_json
from workbench.format import is_number
from workbench.run import Run, now
from workbench.studies.recipe import Recipe
from workbench.studies.tables import line, mean_over, mean_text, measure_tables, table_lines, variance_shares

COSTS = ("parameters", "flops_per_image", "seconds")
COLUMNS = (
    *("model", "cell", "seed", "measure", "quantity", "metric", "value", "low", "high"),
    *("validation", "interval", "space", "run", *COSTS),
)


def sweep_record(
    recipe: Recipe,
    dataset: Dataset,
    settings: Mapping[str, Mapping[str, Any]],
    runs: Mapping[tuple[str, int], Run],
    failures: Mapping[tuple[str, int], str],
    target: str | None = None,
) -> dict[str, Any]:
    """What ``sweep.json`` holds; see docs/run-format.md.

    Args:
        settings: of each cell, resolved, by its name.
        runs: trained and evaluated, by cell and seed.
        failures: why others are missing.
        target: the name of the images to which features transfer, if there are any.
    """
    order = [cell.name for cell in recipe.cells]
    done = sorted(runs, key=lambda key: (order.index(key[0]), key[1]))
    measures = recipe.measures
    rows = [row for key in done for measure in measures for row in _rows(runs[key], *key, measure, target)]
    pixels = {row["measure"]: row for row in rows if row["model"] == "pixels"}  # the same beside every run
    rows = [row for row in rows if row["model"] != "pixels"]
    rows += [row | {"cell": None, "seed": None, "run": None} for row in pixels.values()]
    evaluations = {name: runs[done[0]].evaluation(name) for name in measures} if done else {}
    means = _means(rows, order, measures)
    tables = measure_tables(recipe.tables, {key: runs[key] for key in done})
    indices = colours_of(list(runs.values()))
    colours = {cell: {"colour": indices[run.id]} for (cell, _), run in runs.items()}
    labels = {cell.name: cell.labels for cell in recipe.cells if cell.labels}
    every = [row | {"quantity": row["measure"]} for row in rows]
    every += [row for table in tables.values() for row in table["rows"]]
    return {
        "name": recipe.name,
        "created": now(),
        "title": recipe.title,
        "scale": recipe.scale,
        "figure": recipe.figure,
        "data": dataset.name,
        "fingerprint": dataset.fingerprint,
        "train": len(dataset.train),
        "seeds": sorted({seed for _, seed in done}),
        "measures": measures,
        "transfer_to": target,
        "split": "test",
        "n": {name: content.get("n") for name, content in evaluations.items()},
        "protocols": {name: content.get("protocol") for name, content in evaluations.items()},
        "cells": [
            {"cell": cell.name, "method": cell.method, "settings": settings[cell.name]} | colours.get(cell.name, {})
            for cell in recipe.cells
        ],
        "rows": rows,
        "means": means,
        "tables": tables,
        "shares": variance_shares(labels, every),
        "costs": [_cost(runs[key], *key) for key in done],
        "best": _best(means),
        "curves": [curve for key in done if (curve := _curve(runs[key], *key))["knn"]],
        "failures": [{"cell": cell, "seed": seed, "error": why} for (cell, seed), why in failures.items()],
        "published": [asdict(block) for block in recipe.published],
    }


def write_sweep(folder: Path, content: Mapping[str, Any], formats: Sequence[str] = FORMATS) -> None:
    """Write ``sweep.json``, ``.csv`` and ``.md``, and figures: ``sweep``, and where there are tables and shares,
    ``sweep-tables`` and ``sweep-shares``."""
    content = plain(content)
    costs = {(row["cell"], row["seed"]): {key: row[key] for key in COSTS} for row in content["costs"]}
    costs |= {(name, "mean"): row for name, row in mean_costs(content).items()}
    write_json(folder / "sweep.json", content)
    with replacing(folder / "sweep.csv", "w") as file:
        lines = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        lines.writeheader()
        rows = [row | {"interval": "images"} for row in content["rows"]]
        rows += [row | {"seed": "mean"} for row in content["means"]]
        for table in content["tables"].values():
            rows += [row | {"interval": "images"} for row in table["rows"]]
            rows += [row | {"seed": "mean"} for row in table["means"]]
        for row in rows:
            lines.writerow(row | (costs.get((row["cell"], row["seed"]), {}) if row["model"] == "run" else {}))
    with replacing(folder / "sweep.md", "w") as file:
        file.write(markdown(content))
    figures: dict[str, Drawing] = {"sweep": Study(content)}
    if any(table["means"] for table in content["tables"].values()):
        figures["sweep-tables"] = Panels(content)
    if content["shares"]:
        figures["sweep-shares"] = Shares(content)
    for name, figure in figures.items():
        figure.save(*(folder / f"{name}{suffix}" for suffix in formats))


def markdown(content: Mapping[str, Any]) -> str:
    """``sweep.md``: a line per cell with its baselines, published numbers and cost, and how all was measured."""
    measures, means, costs = content["measures"], {}, mean_costs(content)
    for row in content["means"]:
        kind = "untrained" if row["model"].startswith("untrained:") else row["model"]
        means[row["cell"], kind, row["measure"]] = row
    present = {(m, k) for _, k, m in means}
    kinds = [(m, k) for m in measures for k in ("run", "untrained", "random init") if (m, k) in present]
    names = [cell["cell"] for cell in content["cells"]]
    headings = {_published(index, content["published"]): block for index, block in enumerate(content["published"])}
    blocks = {heading: block for heading, block in headings.items() if set(block["values"]) & set(names)}
    heads = [TITLES[m] if k == "run" else f"{TITLES[m]}, {k}" for m, k in kinds]
    heads += [heading.lower() for heading in blocks]
    heads += ["parameters", "FLOPs per image", "training time"] if costs else []
    seeds = len(content["seeds"])
    lines = [f"# {content['title']}", "", _setting(content), ""]
    lines += [line(["top-1 %", *heads]), line(["---"] * (1 + len(heads)))]
    for name in names:
        values = [mean_text(means.get((name, k, m)), seeds) for m, k in kinds]
        values += [f"{block['values'][name]:.1f}" if name in block["values"] else "" for block in blocks.values()]
        values += [cost_text(key, costs.get(name, {}).get(key)) for key in COSTS] if costs else []
        bold = f"**{name}**" if name == content["best"] else name
        lines.append(line([bold, *(value or "-" for value in values)]))
    if any(key[1] == "pixels" for key in means):
        values = [mean_text(means.get((None, "pixels", m))) if k == "run" else "" for m, k in kinds]
        lines.append(line(["pixels", *values, *[""] * (len(heads) - len(values))]))
    lines += ["", *notes(content), *table_lines(content)]
    return "\n".join(lines) + "\n"


def notes(content: Mapping[str, Any]) -> list[str]:
    """How the numbers were measured, what was published, and failures: a paragraph each, with empty lines between."""
    sentences: list[str] = []
    seeds = content["seeds"]
    if len(seeds) > 1:
        sentences.append(
            f"Mean over seeds {', '.join(map(str, seeds))} with its 95 % interval (Student's t); a cell with one seed "
            "has an interval over test images, which does not cover other seeds."
        )
    elif seeds:
        sentences.append(f"One seed ({seeds[0]}): 95 % intervals over test images, which do not cover other seeds.")
    if content["best"]:
        sentences.append("In bold: the best linear probe on validation images, among the cells with all seeds.")
    for measure, protocol in content["protocols"].items():
        heading = f"{TITLES[measure]} (n = {content['n'][measure]:,})"
        heading = heading if measure == "knn" else heading[0].upper() + heading[1:]
        sentences.append(OVER_IMAGES.sub("", f"{heading}: {protocol}"))
    for index, block in enumerate(content["published"]):
        values = ", ".join(f"{name} {value:.1f}" for name, value in block["values"].items())
        heading = _published(index, content["published"])
        sentences.append(f"{heading}: {block['setting']} ({block['source']}): {values}.")
    if content["costs"]:
        devices = ", ".join(sorted({row["device"] for row in content["costs"]}))
        sentences.append(
            "Cost: parameters without momentum copies; FLOPs of the encoder's forward pass on one image, two per "
            f"multiply-add; training time of a run on {devices}, without monitoring and writing, the mean over seeds."
        )
    sentences += [f"The cell {f['cell']}, seed {f['seed']}, failed: {f['error']}" for f in content["failures"]]
    return [line for sentence in sentences for line in (sentence, "")][:-1]


def mean_costs(content: Mapping[str, Any]) -> dict[str, Row]:
    """By cell, parameters, FLOPs per image and seconds of training, each the mean over the runs that have it."""
    means: dict[str, Row] = {}
    for name in dict.fromkeys(row["cell"] for row in content["costs"]):
        known = {key: [row[key] for row in content["costs"] if row["cell"] == name] for key in COSTS}
        known = {key: [value for value in values if is_number(value)] for key, values in known.items()}
        means[name] = {key: sum(values) / len(values) if values else None for key, values in known.items()}
    return means


def _published(index: int, blocks: Sequence[Mapping[str, Any]]) -> str:
    """The heading of a column of published numbers, and of their source below the table."""
    return "Published" if len(blocks) == 1 else f"Published ({index + 1})"


def _cost(run: Run, cell: str, seed: int) -> Row:
    """The cost of a run, and the device that it was trained on."""
    cost, hardware = mapping_of(run, "cost"), mapping_of(run, "hardware")
    row = {"cell": cell, "seed": seed, "run": run.id, "device": str(hardware.get("name"))}
    return row | {key: cost.get(key) for key in COSTS}


def _rows(run: Run, cell: str, seed: int, measure: str, target: str | None) -> Iterator[Row]:
    """The rows of an evaluation in each model's default space, of transfers those to ``target``."""
    content = run.evaluation(measure)
    for row in content["rows"]:
        if row.get("target", target) != target:
            continue
        if row["model"] != "pixels" and row.get("space") != content.get("default"):
            continue
        bounds = {key: row.get(key) for key in ("value", "low", "high", "validation")}
        source = {"model": row["model"], "cell": cell, "seed": seed, "run": run.id, "measure": measure}
        yield source | {"space": row.get("space"), "metric": "top1"} | bounds


def _means(rows: Sequence[Row], order: Sequence[str], measures: Sequence[str]) -> list[Row]:
    """One row for each cell, model and measure: over seeds where there are several."""
    grouped: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        grouped.setdefault((row["cell"], row["model"], row["measure"]), []).append(row)
    means: list[Row] = []
    for (cell, model, measure), members in grouped.items():
        mean: Row = {"model": model, "cell": cell, "measure": measure, "space": members[0]["space"]}
        chosen = [row["validation"] for row in members if is_number(row["validation"])]
        mean["validation"] = sum(chosen) / len(chosen) if chosen else None
        mean |= mean_over(members, "top1")
        means.append(mean | {"seeds": [row["seed"] for row in members if row["seed"] is not None]})
    place = {name: index for index, name in enumerate([*order, None])}
    return sorted(means, key=lambda row: (place[row["cell"]], measures.index(row["measure"]), row["model"] != "run"))


def _best(means: Sequence[Row]) -> str | None:
    """The cell with the best linear probe on validation images, on average, among those with the most seeds; None for
    a single cell."""
    own = [row for row in means if row["model"] == "run" and row["measure"] == "linear"]
    most = max((len(row["seeds"]) for row in own), default=0)
    scores = {row["cell"]: row["validation"] for row in own if len(row["seeds"]) == most}
    scores = {cell: value for cell, value in scores.items() if value is not None}
    return max(scores, key=lambda cell: scores[cell]) if len(scores) > 1 else None


def _curve(run: Run, cell: str, seed: int) -> Row:
    """The kNN monitor's readings on validation images."""
    rows = [row for row in run.metrics() if "knn" in row]
    return {"cell": cell, "seed": seed, "epoch": [row["epoch"] for row in rows], "knn": [row["knn"] for row in rows]}


def _setting(content: Mapping[str, Any]) -> str:
    methods = ", ".join(dict.fromkeys(cell["method"] for cell in content["cells"]))
    training = f"Scale {content['scale']}: {methods} on {content['data']}, {content['train']:,} training images"
    target = f"; transfer to {content['transfer_to']}" if content["transfer_to"] else ""
    return f"{training}{target}. Probes and baselines are fitted to as many as their notes say."
