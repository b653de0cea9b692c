"""Sentences that answer a page's question from measured numbers; without a test they say no more than an order."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.format import decimals


@dataclass(frozen=True)
class Measured:
    """A model's number, with the ends of its 95 % interval where it is known."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None

    def text(self, unit: str = "", digits: int = 1) -> str:
        """``50.7 % (95 % CI 49.1 to 52.3)``; ``digits`` are for a number without an interval."""
        unit = f" {unit}" if unit else ""
        if self.low is None or self.high is None or not self.low <= self.high:
            return f"{self.value:.{digits}f}{unit}"
        places = max(decimals((self.high - self.low) / 2), min(digits, 1))
        return f"{self.value:.{places}f}{unit} (95 % CI {self.low:.{places}f} to {self.high:.{places}f})"


def ranking(numbers: Sequence[Measured], what: str, unit: str = "", *, digits: int = 1, lowest: bool = False) -> str:
    """Which model has the highest number, and by which interval; nothing without numbers.

    Args:
        what: the quantity, as in "has the highest PSNR".
        digits: of numbers without an interval.
        lowest: whether the lowest number is named instead.
    """
    if not numbers:
        return ""
    first, *others = sorted(numbers, key=lambda number: number.value if lowest else -number.value)
    if not others:
        return f"{first.name}: {what} {first.text(unit, digits)}."
    second, *rest = others
    if all(number.text(unit, digits) == first.text(unit, digits) for number in others):
        return f"All models have the same {what}: {first.text(unit, digits)}."
    extreme = "lowest" if lowest else "highest"
    if second.text(unit, digits) == first.text(unit, digits):
        return f"{first.name} and {second.name} have the {extreme} {what}: {first.text(unit, digits)}."
    sentence = (
        f"{first.name} has the {extreme} {what}: {first.text(unit, digits)} against {second.text(unit, digits)} "
        f"for {second.name}"
    )
    if rest:
        more = "higher" if lowest else "lower"
        sentence += f"; {f'{rest[0].name} is' if len(rest) == 1 else f'the other {len(rest)} are'} {more}"
    return f"{sentence}.{_overlap(first, second)}"


def _overlap(first: Measured, second: Measured) -> str:
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return " Without intervals, this ranking may be due to chance."
    overlap = first.low <= second.high and second.low <= first.high
    return " The intervals of the first two overlap." if overlap else ""


def listed(names: Sequence[str], most: int = 3) -> str:
    """``a, b and c``; of more than ``most`` the number of the others."""
    names = list(names)
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} others"]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""
