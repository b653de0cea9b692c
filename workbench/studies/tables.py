"""What a sweep tells beside top-1: its runs' layers, factors, reconstructions and likelihoods, and shares of variance.

Every number is a quantity of a measure, such as ``hue`` of ``factors`` or ``total`` of ``likelihood``. Where the recipe
labels its cells by two crossed factors, such as objective and trunk, each quantity's variance is shared among them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from workbench.comparison.seeds import over_seeds
from workbench.comparison.shares import SIGNS, by_quantity, share_text
from workbench.comparison.table import of_seeds
from workbench.format import is_number
from workbench.metrics.variance import two_way_shares
from workbench.run import Run

Row = dict[str, Any]
Runs = Mapping[tuple[str, int], Run]
TITLES = {
    "layers": "Best layer, linear probe, top-1 %",
    "factors": "Factors, linear probe (R², classes in %)",
    "reconstruction": "Reconstruction, PSNR in dB",
    "decoder": "One decoder on frozen features, PSNR in dB",
    "likelihood": "Negative log-likelihood in bits per dimension",
}
"""The measures, and what their tables are called."""
LAST_PART = 0.25  # of a training, whose mean variance of the bound is told
VARIANCE = "variance of one draw while training, (bits/dim)²"
DECIMALS = {"layers": 1, "factors": 2, "reconstruction": 2, "decoder": 2, "likelihood": 3}


def tables(measures: Sequence[str], runs: Runs) -> dict[str, dict[str, Any]]:
    """By measure ``{title, n, protocols, left_out, rows, means}``, protocols and reasons by cell.

    Args:
        measures: those of :data:`TITLES` that the recipe asks for.
        runs: trained and evaluated, by cell and seed.
    """
    found = {}
    for measure in (measure for measure in TITLES if measure in measures):
        contents = {key: run.evaluation(measure) for key, run in runs.items()}
        contents = {key: content for key, content in contents.items() if content.get("rows")}
        rows = [
            {"cell": cell if _is_own(model) else None, "seed": seed, "measure": measure, "model": model, **row}
            for (cell, seed), content in contents.items()
            for model, row in _quantities(measure, content, runs[cell, seed])
        ]
        ns = sorted({content["n"] for content in contents.values()})
        told = {cell: str(content["protocol"]) for (cell, _), content in contents.items()}
        skipped = {cell: run.evaluation(measure).get("skipped") for (cell, _), run in runs.items() if cell not in told}
        found[measure] = {
            "title": TITLES[measure],
            "n": ns,
            "protocols": told,
            "left_out": {cell: why for cell, why in skipped.items() if why},
            "rows": rows,
            "means": _means(rows),
        }
    return found


def shares(labels: Mapping[str, Mapping[str, str]], rows: Sequence[Row]) -> list[Row]:
    """The share of each quantity's variance that goes with either label, their interaction, and seeds.

    Args:
        labels: by cell, the same two names each, all combinations of their values once.
        rows: with model, cell, seed, measure, quantity and value. Seeds that are not there of every cell are left out,
            and so is a quantity with fewer than two, or that is the same of all runs.
    """
    if not labels:
        return []
    first, second = next(iter(labels.values()))
    levels = [list(dict.fromkeys(own[name] for own in labels.values())) for name in (first, second)]
    cell_of = {(own[first], own[second]): cell for cell, own in labels.items()}
    order = [[cell_of[a, b] for b in levels[1]] for a in levels[0]]
    values: dict[tuple[str, str], dict[tuple[str, int], float]] = {}
    for row in (row for row in rows if row["model"] == "run" and is_number(row["value"])):
        values.setdefault((row["measure"], row["quantity"]), {})[row["cell"], row["seed"]] = row["value"]
    found = []
    for (measure, quantity), known in values.items():
        seeds = [seed for seed in sorted({s for _, s in known}) if all((cell, seed) in known for cell in labels)]
        if len(seeds) < 2 or len({known[cell, seed] for cell in labels for seed in seeds}) == 1:
            continue
        parts = two_way_shares(np.array([[[known[cell, s] for s in seeds] for cell in cells] for cells in order]))
        for part, share in zip((first, second, f"{first} x {second}", "seeds"), parts, strict=True):
            found.append({"measure": measure, "quantity": quantity, "part": part, "seeds": seeds} | share._asdict())
    return found


def markdown(content: Mapping[str, Any]) -> list[str]:
    """Tables of what ``sweep.json`` holds under ``tables`` and ``shares``, each with its heading."""
    cells, seeds, lines = [cell["cell"] for cell in content["cells"]], len(content["seeds"]), []
    for measure, table in content["tables"].items():
        means = {(row["cell"], row["model"], row["quantity"]): row for row in table["means"]}
        if not means:
            continue
        order = list(dict.fromkeys(quantity for _, _, quantity in means))
        lines += ["", f"## {table['title']}", "", line(["", *order]), line(["---"] * (1 + len(order)))]
        models = list(dict.fromkeys((cell, model) for cell, model, _ in means))
        models.sort(key=lambda key: (key[0] is None, cells.index(key[0]) if key[0] in cells else 0, key[1] != "run"))
        for cell, model in models:
            values = [_text(means.get((cell, model, quantity)), DECIMALS[measure], seeds) for quantity in order]
            kind = model.split(":")[0]
            lines.append(line([cell if model == "run" else f"{cell}, {kind}" if cell else model, *values]))
        n = " or ".join(f"{n:,}" for n in table["n"])
        lines += ["", f"n = {n}. {' '.join(_once(table['protocols']))}"]
        lines += [part for cell, why in table["left_out"].items() for part in ("", f"Left out: {cell}. {why}")]
    if content["shares"]:
        lines += ["", "## Shares of variance", "", *_share_lines(content["shares"])]
    return lines


def line(cells: Sequence[str]) -> str:
    """A line of a table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _once(protocols: Mapping[str, str]) -> Iterator[str]:
    """Sentences of protocols by cell: first what is told of some cells alone, then what is told of all."""
    sentences = {cell: re.split(r"(?<=\.) (?=[A-Z]|95 %)", text) for cell, text in protocols.items()}
    common = [s for s in next(iter(sentences.values()), []) if all(s in own for own in sentences.values())]
    cells: dict[str, list[str]] = {}
    for cell, own in sentences.items():
        if rest := " ".join(sentence for sentence in own if sentence not in common):
            cells.setdefault(rest, []).append(cell)
    yield from (f"{'; '.join(names)}: {rest}" for rest, names in cells.items())
    yield from common


def _share_lines(found: Sequence[Row]) -> Iterator[str]:
    grouped = by_quantity(found)
    parts = next(iter(grouped.values()))
    yield line(["% of variance", *(row["part"] for row in parts)])
    yield line(["---"] * (1 + len(parts)))
    for (measure, quantity), own in grouped.items():
        told = [share_text(row) + _p(row["p"]) for row in own]
        yield line([f"{measure}: {quantity}" if quantity != measure else measure, *told])
    yield ""
    yield (
        "Of a two-way analysis of variance over runs, what noise explains taken off (as in omega squared), with 95 % "
        "bootstrap intervals over seeds and the p of its F test, not corrected for their number; a line sums to 100."
    )


def _p(p: float | None) -> str:
    return "" if p is None or not is_number(p) else ", p < 0.001" if p < 1e-3 else f", p = {p:.2g}"


def _quantities(measure: str, content: Mapping[str, Any], run: Run) -> Iterator[tuple[str, Row]]:
    """The model and quantities of an evaluation, those of each model in one order."""
    rows = content["rows"]
    if measure == "layers":
        yield from _best_layers(rows)
    elif measure == "factors":
        for row in rows:
            if row["model"] == "pixels" or row["space"] == content["default"]:
                yield row["model"], _told(row, row["factor"], "top1" if row["metric"] == "accuracy" else "r2")
    elif measure == "reconstruction":
        for row in rows:
            if row["model"] != "run" or row["variant"] == content["default"]:
                yield row["model"], _told(row, f"PSNR, {row['variant']}" if row["variant"] else "PSNR", "psnr")
    elif measure == "decoder":
        for row in rows:
            model = f"pixels, {row['width']} numbers" if row["model"] == "pixels" else row["model"]
            yield model, _told(row, "PSNR", "psnr")
    else:
        samples = "importance samples"
        for row in (row for row in rows if row["metric"] == "bits_per_dim"):
            pixels, weighted = row["model"] == "pixels", row["kind"].endswith(samples)
            model = row["kind"].removeprefix("exact, ") if pixels else row["model"]
            quantity = f"{row['kind'].rsplit(', ', 1)[1]}" if weighted and not pixels else row.get("term", "total")
            signs = {} if "term" in row else {"sign": SIGNS.get(str(row["kind"]).split(",")[0], "")}
            yield model, _told(row, quantity, "bits_per_dim") | signs
        variances = [row["bound_variance"] for row in run.metrics() if is_number(row.get("bound_variance"))]
        if variances:
            last = variances[-max(1, round(LAST_PART * len(variances))) :]
            yield "run", _told({"value": sum(last) / len(last)}, VARIANCE, "variance")


def _best_layers(rows: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    """Of each model the layer that is best on validation images, at full width and on 32 principal components."""
    for width, quantity in (("full", "full width"), (32, "32 dimensions")):
        for model in dict.fromkeys(row["model"] for row in rows):
            own = [row for row in rows if row["model"] == model and row["width"] == width]
            if own:
                best = max(own, key=lambda row: row["validation"])
                yield model, _told(best, quantity, "top1") | {"space": best["space"]}


def _told(row: Mapping[str, Any], quantity: str, metric: str) -> Row:
    return {"quantity": quantity, "metric": metric} | {key: row.get(key) for key in ("value", "low", "high")}


def _is_own(model: str) -> bool:
    """Whether a model is a run or its untrained network, not a baseline that is the same beside every run."""
    return model == "run" or model.startswith("untrained:")


def _means(rows: Sequence[Row]) -> list[Row]:
    """A row per cell, model and quantity, over seeds where there are several; of shared models the first one's."""
    grouped: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if is_number(row["value"]):
            grouped.setdefault((row["cell"], row["model"], row["quantity"]), []).append(row)
    found = []
    for (cell, model, quantity), members in grouped.items():
        mean: Row = {"cell": cell, "model": model, "measure": members[0]["measure"], "quantity": quantity}
        mean |= {key: members[0][key] for key in ("metric", "sign") if key in members[0]}
        if cell is not None and len(members) > 1:
            mean |= over_seeds([row["value"] for row in members], mean["metric"])._asdict() | {"interval": "seeds"}
            mean["seeds"] = [row["seed"] for row in members]
        else:
            mean |= {key: members[0][key] for key in ("value", "low", "high")} | {"interval": "images"}
            mean["seeds"] = [members[0]["seed"]] if cell is not None else []
        found.append(mean)
    return found


def _text(row: Mapping[str, Any] | None, decimals: int, seeds: int) -> str:
    if row is None or not is_number(row["value"]):
        return ""
    decimals = 1 if row["metric"] == "top1" else decimals
    known = is_number(row["low"]) and is_number(row["high"])
    bounds = f" [{row['low']:.{decimals}f}, {row['high']:.{decimals}f}]" if known else ""
    fewer = of_seeds(len(row["seeds"]), seeds) if row["seeds"] else ""
    return f"{row.get('sign', '')}{row['value']:.{decimals}f}{bounds}{fewer}"
