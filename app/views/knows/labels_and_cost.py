"""Labels and cost: accuracy by number of labels, and against parameters, FLOPs, time and memory."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from app import theme
from app.figures import accuracy_cost
from app.figures.accuracy_cost import LabelCurve, Point
from app.reading import files, verdict
from app.reading.choice import Choice
from app.state import chosen_runs
from app.state.seeds import SeedGroup, seed_groups
from app.widgets import gaps, page, verdicts
from workbench import palette
from workbench.comparison.table import RANDOM_INIT, baseline_value, cell_of, group_table, interval_text, of_seeds
from workbench.format import finite_number
from workbench.headline import space_in
from workbench.store import Run

TITLE = "Labels and cost"
QUESTION = "How does accuracy depend on labels, model size and compute?"
EVALUATIONS = ("few_labels", "linear", "linear_sgd", "finetune", "transfer", "transfer_finetune")
PRICES = {  # entries of a run's cost: the switch, the axis, the unit of its numbers, and by what they are divided
    "parameters": ("parameters", "parameters", "", 1.0),
    "flops_per_image": ("FLOPs", "FLOPs to encode an image", "", 1.0),
    "images_seen": ("images seen", "images seen in training", "", 1.0),
    "seconds": ("time", "wall time of training, minutes", " min", 60.0),
    "peak_memory_mb": ("memory", "peak memory of training", " MB", 1.0),
}
TRAINED = {
    "linear": "linear probe",
    "linear_sgd": "linear probe by SGD",
    "finetune": "fine-tuned",
    "transfer": "transfer",
    "transfer_finetune": "fine-tuned, transfer",
}


def render() -> None:
    chosen, _ = gaps.comparable(chosen_runs.choices())
    if text := answer(chosen):
        page.verdict(text)
    labels(chosen)
    st.subheader("Accuracy against cost", anchor=False)
    prices(chosen)
    st.subheader("Fine-tuning and transfer", anchor=False)
    trained(chosen)


def answer(chosen: Sequence[Choice]) -> str:
    """Who is the most accurate with the fewest labels that all have, in its headline space."""
    counts = [set(known) for choice in chosen if (known := label_rows(choice))]
    fewest = min(set.intersection(*counts), default=None) if counts else None
    if fewest is None:
        return ""

    def row_of(run: Run, space: str | None) -> dict[str, Any] | None:
        rows = files.rows(run.evaluation("few_labels"), metric="top1", n_labels=fewest, model="run", space=space)
        return next(iter(rows), None)

    numbers = verdicts.of_groups(chosen, "few_labels", row_of)
    return verdict.ranking(numbers, f"accuracy with {fewest:,} labels", "%")


def point(label: str, colour: str, x: float, row: dict[str, Any], detail: str = "") -> Point:
    """A number with its interval at a price."""
    return Point(label, colour, x, row["value"], *files.bounds(row), detail)


def labels(chosen: Sequence[Choice]) -> None:
    """Accuracy against the number of labelled images, of each group of seeds in its headline space."""
    available, missing = gaps.split(chosen, "few_labels", label_rows)
    if available:
        groups = seed_groups(available, "linear")
        lines, grey, shares = [], {}, {}
        for n, share in (entry for choice in available for entry in label_rows(choice).items()):
            shares[n] = f"{n:,}<br>{100 * share:.3g} %"
        for seeds in groups:
            space = space_in(seeds.group.runs, "few_labels")
            method = seeds.group.runs[0].info().get("method")
            lines.append(label_curve(seeds, seeds.group.label, seeds.colour, shares, model="run", space=space))
            baselines = {f"untrained {seeds.group.label}": {"model": f"untrained:{method}", "space": space}}
            for name, where in (baselines | {"pixels": {"model": "pixels"}}).items():
                curve = label_curve(seeds, name, palette.GREY, shares, **where)
                if curve.points:
                    grey.setdefault(name, curve)
        figure = accuracy_cost.accuracy_by_labels([*lines, *grey.values()], shares)
        page.chart(figure, "label-curves", "accuracy against the number of labels, with intervals")
        page.other_spaces(groups, "few_labels")
        page.protocol(available, "few_labels", "best space of the linear probe by validation", groups=groups)
    gaps.explain(missing, "few_labels")


def label_rows(choice: Choice) -> dict[int, float]:
    """By number of labelled images of a run's rows, the share of the training images that they are; the fewest
    first."""
    rows = files.rows(choice.run.evaluation("few_labels"), metric="top1", model="run")
    known = {}
    for row in rows:
        share, n = finite_number(row.get("labels")), row.get("n_labels")
        if isinstance(n, int) and n > 0 and share is not None:
            known[n] = share
    return dict(sorted(known.items()))


def label_curve(seeds: SeedGroup, label: str, colour: str, numbers: Iterable[int], **where: str | None) -> LabelCurve:
    """The curve of a group's runs or of a baseline over numbers of labels.

    Args:
        where: model and space.
    """
    points = []
    for n in sorted(numbers):
        if cell := cell_of(seeds.group.runs, "few_labels", metric="top1", n_labels=n, **where):
            seeds_of = of_seeds(len(cell.get("values", [None])), cell["of"])
            points.append(point(label, colour, n, cell, f"{n:,} labels{seeds_of}"))
    return LabelCurve(label, colour, points, baseline=where["model"] != "run")


def prices(chosen: Sequence[Choice]) -> None:
    """Accuracy of the linear probe against what training or encoding costs."""
    available, missing = gaps.split(chosen, "linear")
    if available:
        price = page.switch("Cost", {name: entry[0] for name, entry in PRICES.items()}, "price")
        _, title, suffix, unit = PRICES[price]
        groups = seed_groups(available, "linear")
        table = group_table([seeds.group for seeds in groups])
        rows = [row for row in table if row["kind"] == "run"]
        points, untrained = [], []
        for seeds, row in zip(groups, rows, strict=True):
            group, cost = seeds.group, finite_number(row[price])
            if row["linear"] is None or cost is None or cost <= 0:
                page.note(f"{group.label}: {PRICES[price][0]} not recorded in run.json.")
                continue
            points.append(point(group.title, seeds.colour, cost / unit, row["linear"], str(row["space"] or "")))
            model = f"untrained:{group.runs[0].info().get('method')}"
            if random := cell_of(group.runs, "linear", model=model, space=row["space"]):
                untrained.append(point(group.title, palette.GREY, cost / unit, random))
        if points:
            pixels = baseline_value(table, "pixels", "linear")
            references = {} if pixels is None else {"pixels": pixels}
            figure = accuracy_cost.accuracy_by_cost(points, untrained, references, title, suffix)
            page.chart(figure, "price-front", f"linear probe accuracy against {title}")
            machines = dict.fromkeys(filter(None, (machine(run) for seeds in groups for run in seeds.group.runs)))
            where = "measured on " + " / ".join(machines) if machines and price in ("seconds", "peak_memory_mb") else ""
            page.note("grey line: Pareto front · grey mark: untrained network · dotted line: pixels")
            several = "costs are means over seeds" * any(len(seeds.group) > 1 for seeds in groups)
            page.details(
                "Pareto front: models with no cheaper model as accurate · grey mark: the same network untrained · "
                "dotted line: "
                "the same probe on raw pixels",
                page.measured(
                    available,
                    "linear",
                    "best space by validation",
                    several,
                    where,
                    before="Linear probe: ",
                    groups=groups,
                ),
            )
    gaps.explain(missing, "linear")


def machine(run: Run) -> str:
    """What a run was trained on, in words."""
    hardware = files.section(run.info(), "hardware")
    name = str(hardware.get("name") or hardware.get("device") or "")
    return f"{name}, {hardware['threads']} threads" if hardware.get("threads") and name else name


def trained(chosen: Sequence[Choice]) -> None:
    """What is measured only where it is asked for: fine-tuning, the probe by SGD, transfer."""
    groups, tasks = seed_groups(chosen, "linear"), list(TRAINED)[1:]
    table = numbers(groups)
    if len(table.columns) > 2:
        st.dataframe(table, hide_index=True, height="content")
        page.note("top-1 on test images in %, with its 95 % interval · best space of the linear probe by validation")
        having = {task: [choice for choice in chosen if files.rows(choice.run.evaluation(task))] for task in tasks}
        for task in filter(having.get, tasks):
            page.other_spaces(groups, task, f"{TRAINED[task][0].upper() + TRAINED[task][1:]}: ")
        page.details(
            "untrained, fine-tuned: the same network trained from random initialisation",
            *(
                page.measured(choices, task, before=f"{TRAINED[task][0].upper() + TRAINED[task][1:]}: ")
                for task, choices in having.items()
                if choices
            ),
        )
        for choice in chosen:
            sentence = gain(choice)
            if sentence:
                st.markdown(f"- {theme.literal(sentence)}")
    offers(chosen, tasks)


def offers(chosen: Sequence[Choice], tasks: Sequence[str]) -> None:
    """What is not measured yet, and the command that does; why other runs have none, the figures above have said."""
    lacking: dict[tuple[str, ...], list[Choice]] = {}
    for choice in chosen:
        evaluations = {task: choice.run.evaluation(task) for task in tasks}
        for reason in dict.fromkeys(
            str(evaluation["skipped"]) for evaluation in evaluations.values() if "skipped" in evaluation
        ):
            page.note(f"{choice.label}: {reason}")
        missing = tuple(task for task, known in evaluations.items() if "skipped" not in known and not files.rows(known))
        if missing and choice.status in ("finished", "interrupted"):
            lacking.setdefault(missing, []).append(choice)
    for missing, choices in lacking.items():
        what = " and ".join(", ".join(gaps.NAMES[task] for task in missing).rsplit(", ", 1))
        if able := gaps.evaluable(choices, what):
            gaps.box(
                f"{page.names(able)}: no {what} yet",
                "This command takes minutes per run:",
                gaps.evaluate(able, *missing),
            )


def numbers(groups: Sequence[SeedGroup]) -> pd.DataFrame:
    """Models down, evaluations across; transfer has a column for each target."""
    table: dict[str, dict[str, str]] = {}
    for seeds in groups:
        runs, label = seeds.group.runs, seeds.group.label
        untrained = f"untrained:{runs[0].info().get('method')}"
        for task, title in TRAINED.items():
            space = space_in(runs, task)
            rows = [row for run in runs for row in files.rows(run.evaluation(task), metric="top1")]
            for target in dict.fromkeys(row.get("target") for row in rows):
                column = f"{title} to {target}" if task.startswith("transfer") else title
                common = {"metric": "top1", "target": target}
                for name, where in (
                    (seeds.group.title, {"model": "run", "space": space}),
                    (f"untrained {label}", {"model": untrained, "space": space}),
                    (f"untrained {label}", {"model": RANDOM_INIT}),
                    ("pixels", {"model": "pixels"}),
                ):
                    if cell := cell_of(runs, task, **common, **where):
                        table.setdefault(name, {}).setdefault(column, interval_text(cell))
    columns = list(dict.fromkeys(column for cells in table.values() for column in cells))
    columns.sort(key=lambda column: next(i for i, title in enumerate(TRAINED.values()) if column.startswith(title)))
    order = sorted(table, key=lambda name: (name == "pixels", name.startswith("untrained ")))
    cells = [{"model": name} | {column: table[name].get(column, "") for column in columns} for name in order]
    return pd.DataFrame(cells, columns=["model", *columns])


def gain(choice: Choice) -> str:
    """What training before fine-tuning was worth, in a sentence."""
    evaluation = choice.run.evaluation("finetune")
    difference, p_value = files.section(evaluation, "difference"), finite_number(evaluation.get("p_value"))
    value, low, high = finite_number(difference.get("value")), *files.bounds(difference)
    if p_value is None or value is None or low is None or high is None:
        return ""
    p_text = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
    numbers = f"{value:+.1f} points, 95 % CI {low:.1f} to {high:.1f}, {p_text}"
    if p_value >= 0.05:
        return f"{choice.label}: no significant difference from fine-tuning random weights ({numbers})."
    better = "more" if value > 0 else "less"
    return f"{choice.label}: {better} accurate when fine-tuned from its weights than from random weights ({numbers})."
