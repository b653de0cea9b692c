"""The sentence on which run is ahead."""

from pathlib import Path

import pytest

from workbench.comparison.differences import differences
from workbench.comparison.printing import leader
from workbench.store import Run

EXAMPLES = Path(__file__).parents[2] / "examples" / "runs"


def example(*ends: str) -> list[Run]:
    return [Run(path) for end in ends for path in EXAMPLES.glob(f"*-{end}")]


@pytest.mark.parametrize("order", [("6064", "e9cf", "1d08"), ("1d08", "6064", "e9cf")])
def test_the_best_of_three_is_ahead_of_the_second_whatever_their_order(order: tuple[str, ...]) -> None:
    sentence = leader(differences(example(*order)))
    assert sentence.startswith("Highest linear probe accuracy: ddpm (up_0@t=100), 14.2 points [11.2, 17.4] above")
    assert sentence.endswith("above mocov3 (class_token).")


def test_without_a_difference_nobody_is_ahead() -> None:
    sentence = leader(differences(example("c933", "5d90")))
    assert sentence.startswith("No significant difference between the best two: mocov3")
    assert leader([]) == leader(differences(example("6064"))) == ""
