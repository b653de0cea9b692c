"""A report's measurements: per evaluation a table, and a figure where one says more."""

from collections.abc import Callable, Sequence

import numpy as np

from workbench.comparison.colours import colours_of
from workbench.comparison.seeds import Group
from workbench.comparison.table import COSTS, Row, comparison_table, cost_text, mapping_of
from workbench.figures.dots import Dot, Dots
from workbench.figures.heat_map import HeatMap
from workbench.format import is_number
from workbench.headline import best_space, rows_of, space_in
from workbench.palette import run_colour
from workbench.report import generation
from workbench.report.answers import share
from workbench.report.document import Block, Figure, Heading, Table
from workbench.report.entries import Entry, entries
from workbench.report.tables import pivot, protocol, section
from workbench.store import Run


def all_of(groups: Sequence[Group]) -> list[Block]:
    """Every section for which there are numbers."""
    makers: tuple[Callable[[Sequence[Group]], list[Block]], ...] = (
        *(probes, few_labels, layers, factors, invariance, similarity, retrieval, agreement),
        *(generation.reconstruction, generation.decoder, generation.likelihood, transfer, cost),
    )
    return [block for make in makers for block in make(groups)]


def probes(groups: Sequence[Group]) -> list[Block]:
    """Linear probe, kNN and the thorough probes, a row per model and space."""
    names = {"linear": "linear probe", "linear_sgd": "linear probe, SGD", "knn": "kNN", "finetune": "fine-tuned"}
    spaces = [best_space(group.runs) for group in groups]

    def is_secondary(entry: Entry) -> bool:
        return entry.group is not None and entry.row.get("space") != spaces[entry.group]

    numbers = {name: sorted(entries(groups, name, "space"), key=is_secondary) for name in names}
    main = numbers["linear"] or numbers["knn"]
    caption = "Linear probe and kNN, top-1 in %"
    blocks = section("Probes", groups, names, ("model", "space"), numbers=numbers, caption=caption)
    if blocks and main:
        blocks.insert(
            1, _dots(groups, _headlines(groups, main), "linear probe, top-1 in %" if numbers["linear"] else "kNN, %")
        )
    return blocks


def few_labels(groups: Sequence[Group]) -> list[Block]:
    """Accuracy by share of the labels."""
    numbers = entries(groups, "few_labels", "space", "labels")
    return pivot(
        "Few labels", numbers, lambda e: f"{100 * float(e.row.get('labels') or 0):g} % of the labels",
        note=protocol(groups, "few_labels", "Top-1 in %."),
    )  # fmt: skip


def layers(groups: Sequence[Group]) -> list[Block]:
    """The best layer by validation at full and at equal widths."""
    chosen = {run.id: _best_layers(run) for group in groups for run in group.runs}

    def spaces(entry: Entry) -> str:
        width = entry.row.get("width")
        return "all features" if width == "full" else f"{width} features"

    def best(run: Run, row: Row) -> bool:
        return chosen[run.id].get((str(row.get("model")), str(row.get("width")))) == row.get("space")

    numbers = entries(groups, "layers", "width", keep=best)
    note = protocol(
        groups, "layers", "Top-1 in % of the layer that is best on validation images, which may differ between widths."
    )
    return pivot("Layers", numbers, spaces, by_space=False, caption="Best layer at equal width", note=note)


def _best_layers(run: Run) -> dict[tuple[str, str], str]:
    """By model and width, the space that validation prefers; of the run, as the evaluation chose it."""
    best: dict[tuple[str, str], Row] = {}
    for row in rows_of(run, "layers"):
        key = str(row.get("model")), str(row.get("width"))
        score = row["validation"] if is_number(row.get("validation")) else -1.0
        if key not in best or score > best[key]["score"]:
            best[key] = row | {"score": score}
    spaces = {key: str(row.get("space")) for key, row in best.items()}
    own = run.evaluation("layers").get("best")
    return spaces | ({("run", str(width)): str(space) for width, space in own.items()} if isinstance(own, dict) else {})


def factors(groups: Sequence[Group]) -> list[Block]:
    """How well each factor is read: models across, the projector beside the best space."""
    numbers = entries(groups, "factors", "space", "factor", keep=_main_spaces(groups, "factors"))
    if not numbers:
        return []
    several = {e.model for e in numbers if e.kind == "run" and e.row.get("space") == "projector"}
    columns: dict[str, dict[str, Entry]] = {}
    for entry in numbers:
        place = "projector" if entry.row.get("space") == "projector" else "backbone"
        name = entry.model
        if name in several and entry.group is not None:
            label = groups[entry.group].label
            name = f"{label} {place}{name.removeprefix(label)}"
        columns.setdefault(name, {})[str(entry.row.get("factor"))] = entry
    names = list(dict.fromkeys(str(entry.row.get("factor")) for entry in numbers))
    metric = {str(entry.row.get("factor")): str(entry.row.get("metric")) for entry in numbers}
    digits = {name: 1 if metric[name] == "accuracy" else 2 for name in names}
    rows = [f"{name}, {'%' if metric[name] == 'accuracy' else 'R²'}" for name in names]
    table = [
        [model, *(column[name].printed(digits[name]) if name in column else "" for name in names)]
        for model, column in columns.items()
    ]
    grey = [index for index, column in enumerate(columns.values()) if next(iter(column.values())).grey]
    values = np.full((len(names), len(columns)), np.nan)
    for place, entry in np.ndenumerate([[column.get(name) for column in columns.values()] for name in names]):
        if entry is not None:
            values[place] = share(entry.row | {"value": entry.interval.value})
    text = [
        [f"{column[name].interval.value:.{digits[name]}f}" if name in column else "" for column in columns.values()]
        for name in names
    ]
    caption = "Colour: from chance (dark) to perfect (bright); numbers: accuracy in % or R²."
    note = protocol(groups, "factors")
    return [
        Heading("Factors"),
        Figure("factors", HeatMap("Probe of each factor", values, text, rows, list(columns)), caption),
        Table("Probe of each factor", ["model", *rows], table, grey=grey, note=note),
    ]


def _main_spaces(groups: Sequence[Group], evaluation: str) -> Callable[[Run, Row], bool]:
    """Keeps the rows of the groups' best spaces, of a run's projector, and of what all share."""
    spaces = {run.id: space_in(group.runs, evaluation) for group in groups for run in group.runs}

    def keep(run: Run, row: Row) -> bool:
        own = row.get("model") == "run"
        shared = not own and not str(row.get("model")).startswith("untrained")
        return shared or row.get("space") == spaces[run.id] or (own and row.get("space") == "projector")

    return keep


def invariance(groups: Sequence[Group]) -> list[Block]:
    """What is kept of a feature under each transformation at its greatest strength."""
    keep = _main_spaces(groups, "invariance")
    numbers = entries(groups, "invariance", "space", "transform", "strength", keep=keep)
    numbers = [entry for entry in numbers if is_number(entry.row.get("strength"))]
    strongest: dict[str, float] = {}
    for entry in numbers:
        name = str(entry.row.get("transform"))
        strongest[name] = max(strongest.get(name, 0.0), entry.row["strength"])
    numbers = [entry for entry in numbers if entry.row["strength"] == strongest[str(entry.row.get("transform"))]]
    note = protocol(
        groups, "invariance", "1: the feature does not change; 0: as different as the feature of another image."
    )

    def transform(entry: Entry) -> str:
        return f"{entry.row.get('transform')} {entry.row['strength']:g}"

    return pivot("Invariance", numbers, transform, digits=2, note=note)


def similarity(groups: Sequence[Group]) -> list[Block]:
    names = {"similarity": "second view retrieved, %"}
    caption = "Images whose second view is the most similar of all"
    return section("Similarity", groups, names, ("model", "space"), caption=caption)


def retrieval(groups: Sequence[Group]) -> list[Block]:
    names = {"retrieval": "mAP@10, %"}
    caption = "Mean average precision of the ten nearest images"
    return section("Retrieval", groups, names, ("model", "space"), caption=caption)


def agreement(groups: Sequence[Group]) -> list[Block]:
    """Likeness of best spaces to one another and to baselines, beside what chance would give; means over seeds."""
    runs = [run for group in groups for run in group.runs]
    name = "agreement" if any(rows_of(run, "agreement") for run in runs) else "cka"
    titles = {run.id: group.title for group in groups for run in group.runs}
    spaces = {run.id: space_in(group.runs, name) for group in groups for run in group.runs}
    pairs: dict[tuple[str, str, str], list[Row]] = {}
    for run in runs:
        for row in rows_of(run, name):
            other, space = str(row.get("other")), row.get("space")
            wanted = spaces.get(other, "pixels" if other == "pixels" else space)
            known = other in titles or other == "pixels" or other.startswith("untrained")
            if space != spaces[run.id] or row.get("other_space") != wanted or not known:
                continue
            key = titles[run.id], titles.get(other, other.replace(":", " ")), str(row.get("metric"))
            mirrored = key[1], key[0], key[2]
            pairs.setdefault(mirrored if mirrored in pairs else key, []).append(row)
    if not pairs:
        return []
    rows = []
    for key, members in pairs.items():
        mean, expected = (
            float(np.mean(known)) if (known := [row[part] for row in members if is_number(row.get(part))]) else None
            for part in ("value", "expected")
        )
        p_value = max((row["p_value"] for row in members if is_number(row.get("p_value"))), default=None)
        parts = [f"{mean:.2f}", "" if expected is None else f"{expected:.2f}"]
        rows.append([*key, *parts, "" if p_value is None else "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"])
    headings = ["model", "other", "metric", "similarity", "chance", "largest p"]
    used = [index for index in range(6) if index < 4 or any(row[index] for row in rows)]
    cells = [[row[index] for index in used] for row in rows]
    note = protocol(groups, name)
    table = Table("Similarity of representations (best spaces)", [headings[i] for i in used], cells, words=3, note=note)
    return [Heading("Agreement"), table]


def transfer(groups: Sequence[Group]) -> list[Block]:
    names = {"transfer": "linear probe, %", "transfer_finetune": "fine-tuned, %"}
    return section("Transfer", groups, names, ("model", "target", "space"), caption="Top-1 on other data sets")


def cost(groups: Sequence[Group]) -> list[Block]:
    """What training took."""
    table = [row for row in comparison_table([r for g in groups for r in g.runs]) if row["kind"] == "run"]
    devices = [", ".join(sorted({str(mapping_of(r, "hardware").get("name") or "") for r in g.runs})) for g in groups]
    rows = [
        [group.title, *(cost_text(key, row[key]) for key in COSTS), device]
        for group, row, device in zip(groups, table, devices, strict=True)
    ]
    note = "Means over seeds. FLOPs: one image through the encoder. Memory: peak during training."
    return [Heading("Cost"), Table("Training cost", ["model", *COSTS.values(), "device"], rows, note=note)]


def _headlines(groups: Sequence[Group], numbers: Sequence[Entry]) -> list[Entry]:
    """Of each model, the entry of the best space, or its first."""
    spaces = [best_space(group.runs) for group in groups]
    chosen: dict[str, Entry] = {}
    for entry in numbers:
        space = None if entry.group is None else spaces[entry.group]
        if entry.model not in chosen or entry.row.get("space") == space:
            chosen[entry.model] = entry
    return list(chosen.values())


def _dots(groups: Sequence[Group], numbers: Sequence[Entry], title: str) -> Figure:
    labels, dots = [], []
    colours = colours_of([group.runs[0] for group in groups])
    for row, entry in enumerate(numbers):
        space = str(entry.row.get("space") or "")
        labels.append(f"{entry.model} · {space}" if space and space != entry.model and not entry.grey else entry.model)
        own = None if entry.grey or entry.group is None else groups[entry.group].runs[0].id
        colour = run_colour(colours.get(own) if own else None)
        dots.append(Dot(row, *entry.interval, colour=colour, note=entry.printed()))
    caption = "Best space by validation, with 95 % intervals; grey: baselines."
    return Figure("probes", Dots(title, labels, dots), caption)
