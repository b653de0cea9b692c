"""Scores in sentences: who is ahead by a test, or, without one, in which order models are."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.comparison.differences import Difference
from workbench.format import finite_number

FEW = 3
"""Models beside the best one that a sentence names."""


@dataclass(frozen=True)
class Score:
    """A group's number in one measure.

    Attributes:
        group: its index among all groups.
        label: with the number of seeds, as beside a dot.
        name: in sentences.
        text: value and interval in print, with the unit.
        low, high: ends of the 95 % interval, where it is known.
        untrained: value of the same network with random weights, where it was measured.
    """

    group: int
    label: str
    name: str
    text: str
    value: float
    low: float | None = None
    high: float | None = None
    untrained: float | None = None


def with_unit(text: str, unit: str) -> str:
    """``79.9 [78.8, 81.0]`` with its unit behind the value."""
    value, _, rest = text.partition(" ")
    return f"{value} {unit} {rest}".strip()


def ranking(scores: Sequence[Score], best: str = "Highest", what: str = "") -> str:
    """Scores in a sentence, the best first: without a test nothing more is said than their order and intervals.

    Args:
        what: the quantity, where the heading does not name it.
    """
    if not scores:
        return ""
    first, *others = scores
    if not others:
        return f"{first.name}: {first.text}."
    if all(score.text == first.text for score in others):
        return f"All equal: {first.text}."
    mean = "mean" * any(score.label != score.name for score in scores)
    quantity = " ".join(filter(None, [best, mean, what]))
    rest = " and ".join(f"{score.text} for {score.name}" for score in others[:FEW])
    if len(others) > FEW:
        rest += f"; the other {len(others) - FEW} follow"
    overlap = " The intervals of the first two overlap." if overlapping(first, others[0]) else ""
    return f"{quantity}: {first.name} with {first.text}, against {rest}.{overlap}"


def overlapping(first: Score, second: Score) -> bool:
    """Whether two intervals, both known, have a value in common."""
    ends = [finite_number(end) for end in (first.low, first.high, second.low, second.high)]
    if any(end is None for end in ends):
        return False
    low, high, other_low, other_high = (end for end in ends if end is not None)
    return low <= other_high and other_low <= high


def verdict(
    scores: Sequence[Score], tests: Sequence[Difference], best: str = "Highest", ahead: str = "ahead of"
) -> str:
    """Whether the best score is ahead of the others by the tests; :func:`ranking` if it was not tested.

    Args:
        scores: the best first.
        tests: all comparisons made together.
        ahead: how the best one stands to those from which it differs.
    """
    significant = {frozenset((pair.name, pair.other_name)): pair.significant for pair in tests}
    results = [(score, significant.get(frozenset((scores[0].name, score.name)))) for score in scores[1:]]
    known = [(score, differs) for score, differs in results if differs is not None]
    if not known:
        return ranking(scores, best)
    first = scores[0]
    behind = [score for score, differs in known if differs]
    equal = [score for score, differs in known if not differs]
    parts = []
    if len(behind) > FEW:
        names = f"{behind[0].name} and {len(behind) - 1} others"
        parts.append(f"{first.name} is {ahead} {names}: {first.text} against {behind[0].text} for {behind[0].name}.")
    elif behind:
        names, texts = (" and ".join(values) for values in zip(*((s.name, s.text) for s in behind), strict=True))
        parts.append(f"{first.name} is {ahead} {names}: {first.text} against {texts}.")
    if equal:
        others = " or ".join(f"{score.name} ({score.text})" for score in equal[:FEW])
        if len(equal) > FEW:
            others += f" or {len(equal) - FEW} others"
        pair = f"from {others}" if behind else f"between {first.name} ({first.text}) and {others}"
        parts.append(f"No significant difference {pair}.")
    unknown = [f"{score.name} ({score.text})" for score, differs in results if differs is None]
    if len(unknown) > FEW:
        parts.append(f"{len(unknown)} others were not tested.")
    else:
        parts += [f"{name} was not tested." for name in unknown]
    return " ".join(parts)
