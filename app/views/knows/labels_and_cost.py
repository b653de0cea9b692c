"""Labels and cost: accuracy by number of labels, and against parameters, FLOPs, time and memory."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app import theme
from app.figures import accuracy_cost
from app.figures.accuracy_cost import LabelCurve, Point
from app.reading import files
from app.reading.choice import Choice
from app.state import chosen_runs, seeds
from app.widgets import gaps, page
from workbench import palette
from workbench.format import finite_number

TITLE = "Labels and cost"
QUESTION = "How many labels does a model need, and what does its accuracy cost?"
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
    labels(chosen)
    st.subheader("What did it cost?", anchor=False)
    prices(chosen)
    st.subheader("With more training, and on other images", anchor=False)
    trained(chosen)


def point(label: str, colour: str, x: float, row: dict, detail: str = "") -> Point:
    """A row of an evaluation at a price."""
    return Point(label, colour, x, row["value"], *files.bounds(row), detail)


def kind(row: dict) -> str:
    """``run``, ``untrained`` or ``pixels``, or what else the row's model is."""
    return "untrained" if row["model"].startswith("untrained") else row["model"]


def labels(chosen: Sequence[Choice]) -> None:
    """Accuracy against the number of labelled images."""
    available, missing = gaps.split(chosen, "few_labels", lambda choice: label_rows(choice, "run"))
    if available:
        lines, shares = [], {}
        grey: dict[str, LabelCurve] = {}
        for choice in available:
            lines.append(label_curve(choice, "run", choice.label, choice.colour))
            for row in label_rows(choice, "run"):
                shares[row["n_labels"]] = f"{row['n_labels']:,}<br>{100 * row['labels']:.3g} %"
            for model, label in (("untrained", untrained_name(choice, chosen)), ("pixels", "pixels")):
                curve = label_curve(choice, model, label, palette.GREY)
                if curve.points:
                    grey.setdefault(label, curve)
        figure = accuracy_cost.accuracy_by_labels([*lines, *grey.values()], shares)
        page.chart(figure, "label-curves", "accuracy against the number of labels, with intervals")
        page.protocol(available, "few_labels", "default space of each model")
    gaps.explain(missing, "few_labels")


def untrained_name(choice: Choice, chosen: Sequence[Choice]) -> str:
    """What a run's untrained network is called: its method, where no other chosen run is of it."""
    methods = [str(other.summary.get("method")) for other in chosen]
    method = str(choice.summary.get("method"))
    return f"untrained {choice.label if methods.count(method) > 1 else method}"


def label_rows(choice: Choice, model: str) -> list[dict]:
    """A model's rows, fewest labels first."""
    rows = [
        row
        for row in files.rows(choice.run.evaluation("few_labels"), metric="top1")
        if kind(row) == model
        and isinstance(row.get("n_labels"), int)
        and row["n_labels"] > 0
        and finite_number(row.get("labels")) is not None
    ]
    return sorted(rows, key=lambda row: row["n_labels"])


def label_curve(choice: Choice, model: str, label: str, colour: str) -> LabelCurve:
    rows = label_rows(choice, model)
    points = [point(label, colour, row["n_labels"], row, f"{row['n_labels']:,} labels") for row in rows]
    return LabelCurve(label, colour, points, baseline=model != "run")


def prices(chosen: Sequence[Choice]) -> None:
    """Accuracy of the linear probe against what training or encoding costs."""
    available, missing = gaps.split(chosen, "linear")
    if available:
        price = page.switch("Price", {name: entry[0] for name, entry in PRICES.items()}, "price")
        _, title, suffix, unit = PRICES[price]
        points, untrained, pixels = [], [], []
        for choice in available:
            evaluation, cost = choice.run.evaluation("linear"), cost_of(choice, price)
            row, random = seeds.headline_row(choice, evaluation), files.untrained_row(evaluation)
            pixels += [row["value"] for row in files.rows(evaluation, model="pixels")]
            if row is None or cost is None:
                page.note(f"{choice.label}: its run.json does not say how many {PRICES[price][0]} it took.")
                continue
            points.append(point(choice.label, choice.colour, cost / unit, row, str(row.get("space", ""))))
            if random:
                untrained.append(point(choice.label, palette.GREY, cost / unit, random))
        if points:
            references = {"pixels": max(pixels)} if pixels else {}
            figure = accuracy_cost.accuracy_by_cost(points, untrained, references, title, suffix)
            page.chart(figure, "price-front", f"linear probe accuracy against {title}")
            machines = dict.fromkeys(filter(None, (machine(choice) for choice in available)))
            where = "measured on " + " / ".join(machines) if machines and price in ("seconds", "peak_memory_mb") else ""
            page.note(
                "grey line: Pareto front, nothing cheaper is as good · short grey line: the same network untrained · "
                "dotted line: the same probe on raw pixels"
            )
            page.protocol(available, "linear", "best space of each model by validation", where, before="Linear probe: ")
    gaps.explain(missing, "linear")


def cost_of(choice: Choice, price: str) -> float | None:
    """A positive entry of a run's cost, or None."""
    value = finite_number(files.section(choice.run.info(), "cost").get(price))
    return value if value is not None and value > 0 else None


def machine(choice: Choice) -> str:
    """What a run was trained on, in words."""
    hardware = files.section(choice.run.info(), "hardware")
    name = str(hardware.get("name") or hardware.get("device") or "")
    return f"{name}, {hardware['threads']} threads" if hardware.get("threads") and name else name


def trained(chosen: Sequence[Choice]) -> None:
    """What is measured only where it is asked for: fine-tuning, the probe by SGD, transfer."""
    table, tasks = numbers(chosen), list(TRAINED)[1:]
    if len(table.columns) > 2:
        st.dataframe(table, hide_index=True, height="content")
        page.note(
            "top-1 on test images in %, with its 95 % interval · default space of each model · untrained, fine-tuned: "
            "the same network trained from random weights"
        )
        for task in tasks:
            having = [choice for choice in chosen if files.rows(choice.run.evaluation(task))]
            if having:
                page.protocol(having, task, before=f"{TRAINED[task][0].upper() + TRAINED[task][1:]}: ")
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
            gaps.box(f"{page.names(able)}: no {what} yet", "Takes minutes for each run:", gaps.evaluate(able, *missing))


def numbers(chosen: Sequence[Choice]) -> pd.DataFrame:
    """Models down, evaluations across; transfer has a column for each target."""
    table: dict[str, dict[str, str]] = {}
    for choice in chosen:
        for task, title in TRAINED.items():
            for row in files.rows(choice.run.evaluation(task), metric="top1"):
                untrained = kind(row) == "untrained" or row["model"] == "random init"
                name = choice.label if kind(row) == "run" else row["model"]
                name = untrained_name(choice, chosen) if untrained else name
                main = choice.run.evaluation(task).get("default")
                if kind(row) in ("run", "untrained") and row.get("space") != main:
                    continue
                column = f"{title} to {row.get('target')}" if task.startswith("transfer") else title
                table.setdefault(name, {}).setdefault(column, files.format_row(row))
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
    numbers = f"{value:+.1f} points [{low:+.1f}, {high:+.1f}], {p_text}"
    if p_value >= 0.05:
        return (
            f"{choice.label}: fine-tuned from the run's weights or from random ones, no difference shown ({numbers})."
        )
    better = "better" if value > 0 else "worse"
    return f"{choice.label}: fine-tuned from the run's weights it does {better} than from random ones ({numbers})."
