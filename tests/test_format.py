"""Numbers as people read them."""

import pytest

from workbench.format import decimals, format_count, format_duration, format_interval


@pytest.mark.parametrize(
    ("value", "low", "high", "printed"),
    [
        (71.23, 69.1, 73.4, "71 [69, 73]"),
        (71.23, 70.9, 71.5, "71.2 [70.9, 71.5]"),
        (0.8213, 0.801, 0.841, "0.82 [0.80, 0.84]"),
        (-35.2, -38.1, -32.0, "-35 [-38, -32]"),
        (71.23, None, None, "71.2"),
    ],
)
def test_no_more_digits_than_the_interval_carries(value: float, low: float, high: float, printed: str) -> None:
    assert format_interval(value, low, high) == printed


def test_an_interval_that_is_no_number_has_a_digit() -> None:
    assert [decimals(width) for width in (float("nan"), float("inf"), 0.0, 0.03)] == [1, 1, 1, 2]


def test_counts_and_durations() -> None:
    assert [format_count(n) for n in (None, 950, 12_340, 2_812_000)] == ["", "950", "12.3k", "2.81M"]
    durations = [format_duration(seconds) for seconds in (None, 42, 200, 7500, 200_000)]
    assert durations == ["", "42 s", "3 min 20 s", "2 h 5 min", "2 d 7 h"]
