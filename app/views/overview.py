"""Overview: who is ahead, by question."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from app import theme
from app.figures import dot_strip
from app.reading.choice import Choice
from app.state import chosen_runs, navigation
from app.state.seeds import SeedGroup, seed_groups
from app.widgets import gaps, page, pairs
from workbench.report import answers
from workbench.report.answers import Answer

TITLE = "Overview"
QUESTION = "Which model is ahead in each measure?"
UNTRAINED = "grey mark: untrained network"


@dataclass(frozen=True)
class Question:
    """A question, and the view that shows its answer in detail.

    Attributes:
        key: of the answer.
        task: the evaluation that measures it, or None where training does.
        view: the module.
    """

    key: str
    task: str | None
    view: str
    detail: str

    @property
    def name(self) -> str:
        return answers.TITLES[self.key]


def render() -> None:
    st.html(dot_strip.CSS)
    choices, _ = gaps.comparable(chosen_runs.choices())
    groups = seed_groups(choices, "linear")
    compared = [seeds.group for seeds in groups]
    given = answers.answers(compared, pairs.differences(compared) if len(compared) > 1 else [])
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown("**Report**: all comparisons, tables and figures, to read or download.")
        navigation.link("app.views.report", "Open Report")
    answered = [question for question in QUESTIONS if given[question.key].scores]
    for question in page.side_by_side(answered, 2):
        card(question, given[question.key], groups, choices)
    open_questions = [question for question in QUESTIONS if question not in answered]
    if open_questions:
        st.subheader("Not measured", anchor=False)
    for question in open_questions:
        unanswered(question, given[question.key], choices)


def card(question: Question, answer: Answer, groups: Sequence[SeedGroup], choices: Sequence[Choice]) -> None:
    """The verdict in a sentence, the picture, and the way to the details."""
    with st.container(border=True, height="stretch"):
        st.subheader(question.name, anchor=False)
        st.markdown(theme.literal(answer.sentence))
        st.html(dot_strip.dot_strip(answer.scores, [seeds.colour for seeds in groups], answer.reference, answer.zero))
        parts = [answer.note]
        if answer.reference is not None:
            parts.append("dotted line: pixels")
        if any(score.untrained is not None for score in answer.scores):
            parts.append(UNTRAINED)
        page.note(" · ".join(filter(None, parts)))
        measured = {score.label for score in answer.scores}
        without = [seeds.group for seeds in groups if seeds.group.title not in measured]
        missing = {run.id for group in without for run in group.runs}
        if text := lacking(question.task, [choice for choice in choices if choice.run.id in missing]):
            st.caption(text)
        navigation.link(question.view, f"Open {question.detail}")


def unanswered(question: Question, answer: Answer, choices: Sequence[Choice]) -> None:
    """One line: why nothing is measured, and the command that measures it."""
    text = " ".join(filter(None, [theme.literal(answer.sentence), lacking(question.task, choices)]))
    st.caption(f"**{question.name}**: {text or 'no result is stored.'}")


def lacking(task: str | None, choices: Sequence[Choice]) -> str:
    """Why runs lack an evaluation, and the command that makes it, as Markdown."""
    reasons: list[str] = []
    without: list[Choice] = []
    for choice in choices if task else ():
        evaluation = choice.run.evaluation(str(task))
        skipped = evaluation.get("skipped")
        if isinstance(skipped, str):
            reasons.append(skipped if skipped.startswith(choice.label) else f"{choice.label}: {skipped}")
        elif not evaluation and (reason := gaps.obstacle(choice, str(task))):
            reasons.append(reason)
        elif not evaluation and gaps.without_weights(choice):
            reasons.append(f"{choice.label}: its weights were deleted.")
        elif not evaluation:
            without.append(choice)
    command = [f"Run `{gaps.evaluate(without)}` to evaluate {theme.literal(page.names(without))}."] if without else []
    return " ".join([*(theme.literal(reason) for reason in dict.fromkeys(reasons)), *command])


KNOWS, DRAWS = "app.views.knows", "app.views.draws"
QUESTIONS = (
    Question("linear", "linear", f"{KNOWS}.linear_probe", "Linear probe"),
    Question("knn", "knn", f"{KNOWS}.linear_probe", "Linear probe and kNN"),
    Question("factors", "factors", f"{KNOWS}.factors", "Factors"),
    Question("reconstruction", "reconstruction", f"{DRAWS}.reconstructions", "Reconstructions"),
    Question("samples", "samples", f"{DRAWS}.samples", "Samples"),
    Question("likelihood", "likelihood", f"{DRAWS}.likelihood", "Likelihood"),
    Question("cost", None, f"{KNOWS}.labels_and_cost", "Labels and cost"),
)
