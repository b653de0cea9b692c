"""Numbers as people read them, in tables, figures, pages and messages."""

import math
from typing import Any, TypeGuard


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a value that was read from a file is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def finite_number(value: Any) -> float | None:
    """A finite number, or None."""
    return float(value) if is_number(value) and math.isfinite(value) else None


def format_count(value: float | None) -> str:
    """A count with three figures: 950, 12.3k, 2.81M, 4.6G; nothing where it is not known."""
    if value is None:
        return ""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def format_duration(seconds: float | None) -> str:
    """A duration to two units: 42 s, 3 min 20 s, 2 h 5 min, 3 d; nothing where it is not known."""
    if seconds is None:
        return ""
    rest = round(seconds)
    for large, small, size, part in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if rest >= (172800 if large == "d" else size):
            number = rest % size // part
            return f"{rest // size} {large}" + (f" {number} {small}" if number else "")
    return f"{rest} s"


def format_megabytes(value: float) -> str:
    """Memory given in megabytes: 812 MB, 24 GB."""
    return f"{value:.0f} MB" if value < 10_000 else f"{value / 1000:.0f} GB"


def decimals(half_width: float) -> int:
    """Digits after the point that an interval of this half-width carries."""
    return 1 if not 0 < half_width < math.inf else min(4, max(0, -math.floor(math.log10(half_width))))


def format_interval(
    value: float,
    low: float | None = None,
    high: float | None = None,
    *,
    digits: int | None = None,
    alone: int = 1,
    sign: str = "",
) -> str:
    """A number and its interval: ``71.3 [69.1, 73.5]``; the number alone where an end is missing.

    Args:
        digits: after the point; by default as many as the interval carries.
        alone: digits after the point of a number without an interval.
        sign: ``+`` writes the sign of positive numbers, too, as differences want it.
    """
    if low is None or high is None or not -math.inf < low <= high < math.inf:
        return f"{value:{sign}.{alone if digits is None else digits}f}"
    places = decimals((high - low) / 2) if digits is None else digits
    return f"{value:{sign}.{places}f} [{low:{sign}.{places}f}, {high:{sign}.{places}f}]"
