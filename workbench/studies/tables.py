"""Tables of a study beside top-1: layers, factors, reconstructions and likelihoods, and shares of variance.

Every number is a quantity of a measure, such as ``hue`` of ``factors`` or ``total`` of ``likelihood``. Where the recipe
labels its cells by two crossed factors, such as objective and trunk, each quantity's variance is shared among them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from workbench.comparison.likelihood import SIGNS
from workbench.comparison.seeds import Row, over_seeds
from workbench.comparison.shares import by_quantity, share_text
from workbench.comparison.table import of_seeds
from workbench.format import format_interval, is_number
from workbench.metrics.variance import two_way_shares
from workbench.run import Run

Runs = Mapping[tuple[str, int], Run]
TITLES = {
    "layers": "Best layer, linear probe, top-1 %",
    "factors": "Factors, linear probe (R², classes in %)",
    "reconstruction": "Reconstruction, PSNR in dB",
    "decoder": "One decoder on frozen features, PSNR in dB",
    "likelihood": "Negative log-likelihood in bits per dimension",
}
"""Titles of the tables, by measure."""
LAST_PART = 0.25  # of a training, over which the variance of the bound is averaged
VARIANCE = "variance of one draw while training, (bits/dim)²"
DECIMALS = {"layers": 1, "factors": 2, "reconstruction": 2, "decoder": 2, "likelihood": 3}


def measure_tables(measures: Sequence[str], runs: Runs) -> dict[str, dict[str, Any]]:
    """By measure ``{title, n, protocols, left_out, rows, means}``, protocols and reasons by cell.

    Args:
        measures: those of :data:`TITLES` in the recipe.
        runs: trained and evaluated, by cell and seed.
    """
    tables = {}
    for measure in (measure for measure in TITLES if measure in measures):
        contents = {key: run.evaluation(measure) for key, run in runs.items()}
        contents = {key: content for key, content in contents.items() if content.get("rows")}
        rows = [
            {"cell": cell if _is_own(model) else None, "seed": seed, "measure": measure, "model": model, **row}
            for (cell, seed), content in contents.items()
            for model, row in _quantities(measure, content, runs[cell, seed])
        ]
        ns = sorted({content["n"] for content in contents.values()})
        protocols = {cell: str(content["protocol"]) for (cell, _), content in contents.items()}
        skipped = {c: run.evaluation(measure).get("skipped") for (c, _), run in runs.items() if c not in protocols}
        tables[measure] = {
            "title": TITLES[measure],
            "n": ns,
            "protocols": protocols,
            "left_out": {cell: why for cell, why in skipped.items() if why},
            "rows": rows,
            "means": _means(rows),
        }
    return tables


def variance_shares(labels: Mapping[str, Mapping[str, str]], rows: Sequence[Row]) -> list[Row]:
    """The shares of each quantity's variance explained by either label, their interaction, and seeds.

    Args:
        labels: by cell, values of the same two names, each combination once.
        rows: with model, cell, seed, measure, quantity and value. Seeds that are missing in a cell are left out, and
            so is a quantity with fewer than two, or with the same value in all runs.
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
    shares: list[Row] = []
    for (measure, quantity), known in values.items():
        seeds = [seed for seed in sorted({s for _, s in known}) if all((cell, seed) in known for cell in labels)]
        if len(seeds) < 2 or len({known[cell, seed] for cell in labels for seed in seeds}) == 1:
            continue
        parts = two_way_shares(np.array([[[known[cell, s] for s in seeds] for cell in cells] for cells in order]))
        for part, share in zip((first, second, f"{first} x {second}", "seeds"), parts, strict=True):
            shares.append({"measure": measure, "quantity": quantity, "part": part, "seeds": seeds} | share._asdict())
    return shares


def table_lines(content: Mapping[str, Any]) -> list[str]:
    """The ``tables`` and ``shares`` of ``sweep.json`` in Markdown, each with its heading."""
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
            values = [mean_text(means.get((cell, model, q)), seeds, DECIMALS[measure]) for q in order]
            kind = model.split(":")[0]
            lines.append(line([cell if model == "run" else f"{cell}, {kind}" if cell else model, *values]))
        n = " or ".join(f"{n:,}" for n in table["n"])
        lines += ["", f"n = {n}. {' '.join(_merged(table['protocols']))}"]
        lines += [part for cell, why in table["left_out"].items() for part in ("", f"Left out: {cell}. {why}")]
    if content["shares"]:
        lines += ["", "## Shares of variance", "", *_share_lines(content["shares"])]
    return lines


def line(cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _merged(protocols: Mapping[str, str]) -> Iterator[str]:
    """Protocols by cell as one text: first the sentences of some cells alone, then those common to all."""
    sentences = {cell: re.split(r"(?<=\.) (?=[A-Z]|95 %)", text) for cell, text in protocols.items()}
    common = [s for s in next(iter(sentences.values()), []) if all(s in own for own in sentences.values())]
    cells: dict[str, list[str]] = {}
    for cell, own in sentences.items():
        if rest := " ".join(sentence for sentence in own if sentence not in common):
            cells.setdefault(rest, []).append(cell)
    yield from (f"{'; '.join(names)}: {rest}" for rest, names in cells.items())
    yield from common


def _share_lines(shares: Sequence[Row]) -> Iterator[str]:
    grouped = by_quantity(shares)
    parts = next(iter(grouped.values()))
    yield line(["% of variance", *(row["part"] for row in parts)])
    yield line(["---"] * (1 + len(parts)))
    for (measure, quantity), own in grouped.items():
        values = [share_text(row) + _p(row["p"]) for row in own]
        yield line([f"{measure}: {quantity}" if quantity != measure else measure, *values])
    yield ""
    yield (
        "Two-way analysis of variance over runs, corrected for the share that noise explains (as in omega squared), "
        "with 95 % bootstrap intervals over seeds and the p of the F test, not corrected for multiple tests; a line "
        "sums to 100."
    )


def _p(p: float | None) -> str:
    return "" if p is None or not is_number(p) else ", p < 0.001" if p < 1e-3 else f", p = {p:.2g}"


def _quantities(measure: str, content: Mapping[str, Any], run: Run) -> Iterator[tuple[str, Row]]:
    """Models and quantities of an evaluation, those of each model in the same order."""
    rows = content["rows"]
    if measure == "layers":
        yield from _best_layers(rows)
    elif measure == "factors":
        for row in rows:
            if row["model"] == "pixels" or row["space"] == content["default"]:
                yield row["model"], _row(row, row["factor"], "top1" if row["metric"] == "accuracy" else "r2")
    elif measure == "reconstruction":
        for row in rows:
            if row["model"] != "run" or row["variant"] == content["default"]:
                yield row["model"], _row(row, f"PSNR, {row['variant']}" if row["variant"] else "PSNR", "psnr")
    elif measure == "decoder":
        for row in rows:
            model = f"pixels, {row['width']} numbers" if row["model"] == "pixels" else row["model"]
            yield model, _row(row, "PSNR", "psnr")
    else:
        samples = "importance samples"
        for row in (row for row in rows if row["metric"] == "bits_per_dim"):
            pixels, weighted = row["model"] == "pixels", row["kind"].endswith(samples)
            model = row["kind"].removeprefix("exact, ") if pixels else row["model"]
            quantity = f"{row['kind'].rsplit(', ', 1)[1]}" if weighted and not pixels else row.get("term", "total")
            signs = {} if "term" in row else {"sign": SIGNS.get(str(row["kind"]).split(",")[0], "")}
            yield model, _row(row, quantity, "bits_per_dim") | signs
        variances = [row["bound_variance"] for row in run.metrics() if is_number(row.get("bound_variance"))]
        if variances:
            last = variances[-max(1, round(LAST_PART * len(variances))) :]
            yield "run", _row({"value": sum(last) / len(last)}, VARIANCE, "variance")


def _best_layers(rows: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    """The layer of each model that is best on validation images, at full width and on 32 principal components."""
    for width, quantity in (("full", "full width"), (32, "32 dimensions")):
        for model in dict.fromkeys(row["model"] for row in rows):
            own = [row for row in rows if row["model"] == model and row["width"] == width]
            if own:
                best = max(own, key=lambda row: row["validation"])
                yield model, _row(best, quantity, "top1") | {"space": best["space"]}


def _row(row: Mapping[str, Any], quantity: str, metric: str) -> Row:
    return {"quantity": quantity, "metric": metric} | {key: row.get(key) for key in ("value", "low", "high")}


def _is_own(model: str) -> bool:
    """Whether a model is a run or its untrained network, not a baseline shared by all runs."""
    return model == "run" or model.startswith("untrained:")


def _means(rows: Sequence[Row]) -> list[Row]:
    """A row per cell, model and quantity, over seeds where there are several; shared baselines count once."""
    grouped: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if is_number(row["value"]):
            grouped.setdefault((row["cell"], row["model"], row["quantity"]), []).append(row)
    means: list[Row] = []
    for (cell, model, quantity), members in grouped.items():
        mean: Row = {"cell": cell, "model": model, "measure": members[0]["measure"], "quantity": quantity}
        mean |= {key: members[0][key] for key in ("metric", "sign") if key in members[0]}
        members = members if cell is not None else members[:1]
        mean |= mean_over(members, mean["metric"])
        means.append(mean | {"seeds": [row["seed"] for row in members] if cell is not None else []})
    return means


def mean_over(members: Sequence[Row], metric: str) -> Row:
    """The mean of rows over seeds with its interval; of a single row its value and interval over images."""
    if len(members) > 1:
        return over_seeds([row["value"] for row in members], metric)._asdict() | {"interval": "seeds"}
    return {key: members[0][key] for key in ("value", "low", "high")} | {"interval": "images"}


def mean_text(row: Mapping[str, Any] | None, seeds: int = 1, decimals: int = 1) -> str:
    """A mean in print; its number of seeds follows where it is less than ``seeds``."""
    if row is None or not is_number(row["value"]):
        return ""
    decimals = 1 if row.get("metric") == "top1" else decimals
    fewer = of_seeds(len(row["seeds"]), seeds) if row["seeds"] else ""
    return row.get("sign", "") + format_interval(row["value"], row["low"], row["high"], digits=decimals) + fewer
