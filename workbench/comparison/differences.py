"""Tests of the differences between linear probes, for every pair of models on the same test images. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from workbench.comparison.measures import SENTENCES
from workbench.comparison.predictions import ProbeResult, different_images, group_results
from workbench.comparison.seeds import ENOUGH, Group, name_of
from workbench.comparison.table import mapping_of
from workbench.errors import WorkbenchError
from workbench.metrics.intervals import Interval
from workbench.metrics.paired import bonferroni, crossed_difference, paired_proportions, simultaneous_level
from workbench.store import Run

LEVEL = 0.05
CORRECTION = (
    "Intervals in the sentences and p-values are corrected for all comparisons (Bonferroni), so that a difference is "
    "significant exactly where its interval excludes 0."
)
CAVEAT = (
    "McNemar's test on the same test images and Tango's interval, which belongs to it. They apply to these trained "
    "networks; only several runs show what another training seed would change."
)
CAVEAT_SEEDS = (
    "Over seeds, the test treats seeds and test images as two samples (the variance of Owen's pigeonhole bootstrap, "
    "Student's t with Satterthwaite's degrees of freedom). It applies to the methods with these settings on this data; "
    "few seeds do not reveal a small difference."
)
CAVEAT_FEW = (
    f"With fewer than {ENOUGH} seeds on a side, the paired test is over test images alone and applies to these trained "
    "networks, not to other seeds."
)


@dataclass(frozen=True)
class Difference:
    """The comparison of two models: their values (means over seeds) and the difference, in the measure's unit.

    Attributes:
        run: id of the first model's run, the first of its group.
        label, other: the models, with space and number of seeds.
        name, other_name: the models without them.
        difference: with the 95 % interval of this comparison alone.
        simultaneous: with the 95 % interval that holds for all comparisons together; it excludes 0 exactly where the
            difference is significant.
        p_value: corrected for all comparisons made together.
        n: test images of a paired test; 0 where the test is over seeds alone.
        seeds, other_seeds: trained networks on each side.
        over_seeds: whether interval and test apply to other seeds too, or to these trained networks alone.
        measure: a key of :data:`~workbench.comparison.measures.SENTENCES`.
    """

    run: str
    label: str
    other: str
    name: str
    other_name: str
    accuracy: float
    other_accuracy: float
    difference: Interval
    simultaneous: Interval
    p_value: float
    comparisons: int
    n: int
    seeds: int = 1
    other_seeds: int = 1
    over_seeds: bool = False
    measure: str = "linear"

    @property
    def significant(self) -> bool:
        """Whether it is significant at the 5 % level after correction."""
        return self.p_value < LEVEL

    def __str__(self) -> str:
        words = SENTENCES[self.measure]
        digits, unit = words.digits, words.unit
        numbers = (
            f"{self.accuracy:.{digits}f} {unit} against {self.other_accuracy:.{digits}f} {unit} "
            f"({self.difference.value:+.{digits}f} {words.step}, "
            f"95 % CI {self.simultaneous.low:.{digits}f} to {self.simultaneous.high:.{digits}f}, "
            f"{'p < 0.001' if self.p_value < 0.001 else f'p = {self.p_value:.3f}'}; {self.sample})"
        )
        if not self.significant:
            both = f"{self.name} and {self.other_name}"
            return f"No significant difference between the {words.plural} of {both}: {numbers}."
        comparison = words.more if self.difference.value > 0 else words.less
        return f"The {words.noun} of {self.name} is {comparison} than that of {self.other_name}: {numbers}."

    @property
    def sample(self) -> str:
        """What the test is over."""
        most, images = max(self.seeds, self.other_seeds), f"{self.n:,} test images"
        if not self.n:
            equal = self.seeds == self.other_seeds
            return f"{self.seeds} seeds each" if equal else f"{self.seeds} and {self.other_seeds} seeds"
        if self.over_seeds:
            return f"{most} seeds and {images}"
        return f"{images}; these networks only" if most > 1 else images


def caveat(pairs: Sequence[Difference]) -> str:
    """How these comparisons were tested, and what the tests do not show."""
    several = [max(pair.seeds, pair.other_seeds) > 1 for pair in pairs]
    parts = {
        CAVEAT_SEEDS: any(pair.over_seeds for pair in pairs),
        CAVEAT_FEW: any(many and not pair.over_seeds for many, pair in zip(several, pairs, strict=True)),
        CAVEAT: not all(several),
        CORRECTION: len(pairs) > 1,
    }
    return " ".join(text for text, applies in parts.items() if applies)


def differences(runs: Sequence[Run], names: Sequence[str] | None = None) -> list[Difference]:
    """Every pair of runs, and every run with its untrained network and with pixels, each in its best space.

    Args:
        names: what to call the runs; by default their names or methods.

    Raises:
        WorkbenchError: see :func:`group_differences`.
    """
    names = names or [name_of(run) for run in runs]
    return group_differences([Group(name, (run,), (None,)) for run, name in zip(runs, names, strict=True)])


def group_differences(groups: Sequence[Group]) -> list[Difference]:
    """Every pair of groups, and every group with its untrained networks and with pixels, each in its best space.

    The best space is the one whose probe did best on the validation split, on average over the seeds. Pixels are those
    of the probe that each group was evaluated beside. With :data:`~workbench.comparison.seeds.ENOUGH` seeds or more on
    both sides (pixels count as fixed) a comparison is over seeds and images; otherwise over images, of the networks at
    hand. :func:`left_out` lists what cannot be tested.

    Raises:
        WorkbenchError: the runs were trained on different data, or probed on different test images.
    """
    _check_data([run for group in groups for run in group.runs])
    results = [result for group in groups if (result := group_results(group)).own]
    owns = [own for result in results for own in result.own]
    for own in owns[1:]:
        if not np.array_equal(own.ids, owns[0].ids):
            raise different_images(owns[0].label, own.label)
    pairs = list(combinations(owns, 2))
    pairs += [(own, baseline) for result in results for own in result.own for baseline in result.baselines]
    tested = [_test(a, b) for a, b in pairs]
    p_values = bonferroni([p_value for _, p_value in tested])
    level = simultaneous_level(len(pairs))
    return [
        Difference(
            run=a.run,
            label=a.label,
            other=b.label,
            name=a.name,
            other_name=b.name,
            accuracy=100.0 * float(a.correct.mean()),
            other_accuracy=100.0 * float(b.correct.mean()),
            difference=_percent(interval),
            simultaneous=_percent(_test(a, b, level)[0]),
            p_value=p_value,
            comparisons=len(pairs),
            n=a.correct.shape[1],
            seeds=len(a.correct),
            other_seeds=len(b.correct),
            over_seeds=_over_seeds(a, b),
        )
        for (a, b), (interval, _), p_value in zip(pairs, tested, p_values, strict=True)
    ]


def left_out(groups: Sequence[Group]) -> list[str]:
    """What :func:`group_differences` cannot test of these groups, and why, a sentence each.

    Raises:
        WorkbenchError: runs of a group were probed on different test images.
    """
    return [sentence for group in groups for sentence in group_results(group).left_out]


def _test(a: ProbeResult, b: ProbeResult, level: float = 0.95) -> tuple[Interval, float]:
    """The difference with its interval, and the p-value."""
    if _over_seeds(a, b):
        return crossed_difference(a.correct, b.correct, level)
    if len(a.correct) == len(b.correct) == 1:
        return paired_proportions(a.correct[0], b.correct[0], level)
    mean, other_mean = (result.correct.mean(axis=0, keepdims=True) for result in (a, b))
    return crossed_difference(mean, other_mean, level)


def _over_seeds(a: ProbeResult, b: ProbeResult) -> bool:
    several = max(len(a.correct), len(b.correct)) > 1
    return several and all(result.fixed or len(result.correct) >= ENOUGH for result in (a, b))


def _percent(interval: Interval) -> Interval:
    return Interval(100.0 * interval.value, 100.0 * interval.low, 100.0 * interval.high)


def _check_data(runs: Sequence[Run]) -> None:
    """Raise unless all runs whose data is known were trained on the same."""
    known = [data for run in runs if (data := mapping_of(run, "data")).get("fingerprint")]
    if len({data["fingerprint"] for data in known}) > 1:
        names = sorted({str(data.get("name")) for data in known})
        which = " and ".join(names) if len(names) > 1 else f"different versions of {names[0]}"
        raise WorkbenchError(f"The runs were trained on {which}; only runs on the same images can be tested in pairs.")
