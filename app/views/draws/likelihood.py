"""Likelihood: in bits per dimension."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app.figures import stacked_bars
from app.figures.dots import Dot, DotPanel, by_model
from app.figures.stacked_bars import Stack, Term
from app.reading import files, verdict
from app.reading.choice import Choice
from app.state import appearance
from app.state.seeds import seed_groups
from app.widgets import gaps, latents, page, verdicts
from workbench import palette
from workbench.comparison.likelihood import CAUTION, SIGNS, WEIGHTED, in_bits, total

TITLE = "Likelihood"
QUESTION = "How many bits per dimension does the model need for the test images?"
EVALUATIONS = ("likelihood",)
REFERENCES = {"chance": "1 / number of classes", "pixels": "the linear probe of raw pixels, on all test images"}
SINGLE = "exact, "  # how kinds of models of single pixels begin


def whole(choice: Choice, **where: Any) -> list[dict[str, Any]]:
    """Rows in bits per dimension that are no part of another."""
    rows = files.rows(choice.evaluation("likelihood"), metric="bits_per_dim", **where)
    return [row for row in rows if "term" not in row]


def kind(row: dict[str, Any]) -> str:
    return str(row.get("kind") or "")


def render() -> None:
    chosen, missing, _ = gaps.with_evaluation("likelihood", lambda choice: total(choice.evaluation("likelihood")))
    if chosen:
        page.verdict(answer(chosen))
        bars(chosen)
        classification(chosen)
    boundless = [choice for choice in missing if whole(choice, model="run") or terms(choice)]
    for choice in boundless:
        page.note(f"{choice.label}: the likelihood was evaluated, but the total is missing or not finite.")
    gaps.explain([choice for choice in missing if choice not in boundless], "likelihood")


def answer(chosen: Sequence[Choice]) -> str:
    """Who needs the fewest bits, and whether the numbers are of one kind."""
    numbers = verdicts.of_groups(chosen, "likelihood", lambda run, _space: total(run.evaluation("likelihood")))
    every = [in_bits(kind(row)) for choice in chosen if (row := total(choice.evaluation("likelihood")))]
    kinds = dict.fromkeys(every)
    several = f" They are of different kinds ({verdict.listed(list(kinds))}), so this comparison is approximate."
    sentence = verdict.ranking(numbers, "number of bits per dimension", lowest=True, digits=2)
    caution = several * (len(kinds) > 1) + f" {CAUTION}" * (every.count("upper bound") > 1)
    return sentence + (caution if len(numbers) > 1 else "")


def terms(choice: Choice) -> list[dict[str, Any]]:
    """Rows in bits per dimension that are parts of a run's sum."""
    rows = files.rows(choice.evaluation("likelihood"), model="run", metric="bits_per_dim")
    return [row for row in rows if isinstance(row.get("term"), str)]


def stack(choice: Choice) -> Stack:
    """A run's terms, their sum with its interval, and its importance-weighted bounds."""
    main = total(choice.evaluation("likelihood"))
    assert main is not None
    weighted = [row for row in whole(choice, model="run") if kind(row).endswith(WEIGHTED)]
    return Stack(
        choice.label,
        choice.colour,
        [Term(row["term"].replace("_", " "), row["value"]) for row in terms(choice) if kind(row) == kind(main)],
        main["value"],
        *files.bounds(main),
        in_bits(kind(main)),
        SIGNS.get(kind(main), ""),
        {kind(row).rpartition(", ")[2]: row["value"] for row in weighted},
    )


def bars(chosen: Sequence[Choice]) -> None:
    """Stacked terms by model, and models of single pixels beneath."""
    stacks = sorted((stack(choice) for choice in chosen), key=lambda bar: bar.value)
    single = {kind(row).removeprefix(SINGLE): row for choice in chosen for row in whole(choice, model="pixels")}
    for name, row in sorted(single.items(), key=lambda item: item[1]["value"]):
        stacks.append(Stack(f"pixels: {name}", palette.GREY, [], row["value"], *files.bounds(row), "exact"))
    figure = stacked_bars.stacked_bars(stacks, "bits per dimension (lower is better)", appearance.dark())
    page.chart(figure, "likelihood-bars", "bits per dimension by model, stacked by term")
    at_most, about = SIGNS["lower bound"].strip(), SIGNS["estimate"].strip()
    page.note("bars: terms of the sum · dot: the sum with its 95 % interval · grey: independent pixels")
    page.details(
        f"bars: terms of the sum, mean over images · dot: inside the bars where a term is below 0; {at_most} upper "
        f"bound; {about} estimate, which may be too high or too low · "
        "hollow: importance-weighted upper bounds, tighter with more samples",
        page.measured(chosen, "likelihood", groups=seed_groups(chosen, "likelihood")),
    )
    levels = {choice.evaluation("likelihood").get("levels", 256) for choice in chosen}
    if len(levels) > 1:
        st.warning(
            "These runs were evaluated with different numbers of levels per pixel, so their likelihoods are not "
            "comparable; "
            "evaluate them again."
        )
    latents.warn_of_collapse(chosen)
    page.numbers(numbers(chosen))


def numbers(chosen: Sequence[Choice]) -> list[dict[str, Any]]:
    """Every row, of the sum over all noise levels, too; those of pixels once."""
    table: list[dict[str, Any]] = []
    for choice in chosen:
        for task in ("likelihood", "likelihood_full"):
            evaluation = choice.evaluation(task)
            for row in files.rows(evaluation, metric="bits_per_dim"):
                own = row["model"] == "run"
                nats = [
                    other["value"]
                    for other in files.rows(evaluation, metric="nats", model=row["model"])
                    if (other.get("term"), other.get("kind")) == (row.get("term"), row.get("kind"))
                ]
                shared = row["model"] == "pixels"
                name = choice.label if own else row["model"] if shared else f"{row['model']} of {choice.label}"
                entry = {"model": name, "term": str(row.get("term", "sum"))}
                in_full = ", all noise levels" if task == "likelihood_full" and own else ""
                entry |= {"kind": in_bits(kind(row)) + in_full}
                entry |= {"bits per dimension (95 % interval)": files.format_row(row, alone=3)}
                table.append(entry | {"nats per image": f"{nats[0]:.4g}" if nats else ""})
    return table


def classification(chosen: Sequence[Choice]) -> None:
    """Bayes' rule with the likelihood of each class, beside a probe of the same network's features."""
    dots = []
    for choice in chosen:
        for row in files.rows(choice.evaluation("classify"), metric="top1"):
            own = row["model"] == "run"
            detail = "by likelihood" if own else "linear probe"
            dots.append(Dot(choice.label, choice.colour, row["value"], *files.bounds(row), detail, own))
    if not any(dot.main for dot in dots):
        return
    st.subheader("Classification by likelihood", anchor=False)
    beside = references(chosen)
    panel = DotPanel("top-1 in %", dots, beside, {})
    order = list(dict.fromkeys(dot.label for dot in dots))
    page.chart(by_model([panel], order), "classify-dots", "accuracy of classification by likelihood")
    classifiers = [choice for choice in chosen if files.rows(choice.run.evaluation("classify"))]
    page.note("large dot: label with the highest likelihood · small dot: a linear probe of the same features")
    page.protocol(classifiers, "classify", *(f"dotted, {name}: {REFERENCES[name]}" for name in beside))


def references(chosen: Sequence[Choice]) -> dict[str, float]:
    """Top-1 in % of guesses and of the pixels' linear probe, as far as they are known."""
    levels: dict[str, float] = {}
    for choice in chosen:
        classes = choice.evaluation("classify").get("classes")
        if isinstance(classes, list) and classes:
            levels["chance"] = 100 / len(classes)
        for row in files.rows(choice.evaluation("linear"), model="pixels", metric="top1"):
            levels["pixels"] = row["value"]
    return levels
