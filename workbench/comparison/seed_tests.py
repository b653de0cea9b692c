"""Tests of the differences between groups of seeds in any measure, from the numbers of their seeds alone. No torch."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from workbench.comparison.differences import Difference
from workbench.comparison.seeds import ENOUGH, Group
from workbench.metrics.paired import bonferroni, simultaneous_level, unpaired_difference

CAVEAT = (
    "Welch's t-test over training seeds, Bonferroni-corrected for the comparisons of one measure. It applies to other "
    "seeds of these methods on these test images; few seeds do not reveal a small difference."
)


def seed_differences(measure: str, groups: Sequence[Group], values: Sequence[Sequence[float]]) -> list[Difference]:
    """Every pair of groups with :data:`~workbench.comparison.seeds.ENOUGH` seeds each, as far as seeds differ at all.

    Args:
        measure: a key of :data:`~workbench.comparison.measures.SENTENCES`.
        values: of each group, the numbers of its seeds in the measure's unit.
    """
    known = [(group, np.asarray(own)) for group, own in zip(groups, values, strict=True) if len(own) >= ENOUGH]
    pairs = [pair for pair in combinations(known, 2) if _spread(pair[0][1]) or _spread(pair[1][1])]
    tests = [unpaired_difference(own, other_own) for (_, own), (_, other_own) in pairs]
    p_values = bonferroni([p_value for _, p_value in tests])
    level = simultaneous_level(len(pairs))
    return [
        Difference(
            run=group.runs[0].id,
            label=group.label,
            other=other.label,
            name=group.label,
            other_name=other.label,
            accuracy=float(own.mean()),
            other_accuracy=float(other_own.mean()),
            difference=interval,
            simultaneous=unpaired_difference(own, other_own, level)[0],
            p_value=p_value,
            comparisons=len(pairs),
            n=0,
            seeds=len(own),
            other_seeds=len(other_own),
            over_seeds=True,
            measure=measure,
        )
        for ((group, own), (other, other_own)), (interval, _), p_value in zip(pairs, tests, p_values, strict=True)
    ]


def _spread(values: np.ndarray) -> bool:
    """Whether seeds differ by more than rounding."""
    return bool(np.ptp(values) > 1e-9 * np.abs(values).max())
