"""Which differences between linear probes are real: every pair of models on the same test images. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from workbench.errors import WorkbenchError
from workbench.evaluation.groups import ENOUGH, Group
from workbench.metrics.intervals import Interval
from workbench.metrics.paired import crossed_difference, holm, mcnemar, paired_difference
from workbench.store import Probe, Run, probe_of

LEVEL = 0.05
CAVEAT = (
    "The test is McNemar's on the same test images, its p-values corrected for all comparisons (Holm). It speaks of "
    "these trained networks: what another training seed would change takes several runs to see."
)
CAVEAT_SEEDS = (
    "Over seeds, the test takes seeds and test images as two samples (the variance of Owen's pigeonhole bootstrap, "
    "Student's t on Satterthwaite's degrees of freedom), its p-values corrected for all comparisons (Holm). It speaks "
    "of the methods with these settings on this data; with few seeds a small difference stays unseen."
)
CAVEAT_FEW = (
    f"With fewer than {ENOUGH} seeds on a side, the paired test is over test images alone and speaks of these trained "
    "networks, not of what other seeds would give."
)


@dataclass(frozen=True)
class Reader:
    """A model's linear probe on the test images.

    Attributes:
        label: the model, with its space and its number of seeds.
        right: (seeds, n) bool, whether each image's class is told correctly; one row where there are no seeds.
        ids: (n,) sample ids.
        run: id of the first run; None for pixels.
        baseline: whether it is pixels or an untrained network.
    """

    label: str
    right: np.ndarray
    ids: np.ndarray
    run: str | None
    baseline: bool

    @property
    def fixed(self) -> bool:
        """Whether it is one reference, not a sample of seeds: pixels, or one untrained network."""
        return self.baseline and len(self.right) == 1


@dataclass(frozen=True)
class Difference:
    """The comparison of two models; accuracies, means over seeds, and their difference in percent.

    Attributes:
        run: id of the first model's run, the first of its group.
        p_value: corrected for all comparisons that were made together.
        seeds, other_seeds: trained networks on each side.
        over_seeds: whether interval and test hold for other seeds too, or for these trained networks alone.
    """

    run: str
    label: str
    other: str
    accuracy: float
    other_accuracy: float
    difference: Interval
    p_value: float
    comparisons: int
    n: int
    seeds: int = 1
    other_seeds: int = 1
    over_seeds: bool = False

    @property
    def real(self) -> bool:
        """Whether it is significant at the 5 % level."""
        return self.p_value < LEVEL

    def __str__(self) -> str:
        numbers = (
            f"{self.accuracy:.1f} against {self.other_accuracy:.1f} %, {self.difference.value:+.1f} points "
            f"[{self.difference.low:+.1f}, {self.difference.high:+.1f}], "
            f"{'p < 0.001' if self.p_value < 0.001 else f'p = {self.p_value:.3f}'}"
        )
        several = max(self.seeds, self.other_seeds) > 1
        where = f" over seeds and {self.n:,} images" if self.over_seeds else f" on {self.n:,} images"
        if not self.real:
            return f"{self.label} and {self.other}: no difference shown{where} ({numbers})."
        better = "more" if self.difference.value > 0 else "fewer"
        mean = " on average over these networks" if several and not self.over_seeds else " on average" * several
        return f"{self.label} tells the class of {better} images than {self.other}{mean} ({numbers})."


def caveat(pairs: Sequence[Difference]) -> str:
    """What the tests of these comparisons are, and what they do not say."""
    several = [max(pair.seeds, pair.other_seeds) > 1 for pair in pairs]
    parts = {
        CAVEAT_SEEDS: any(pair.over_seeds for pair in pairs),
        CAVEAT_FEW: any(many and not pair.over_seeds for many, pair in zip(several, pairs, strict=True)),
        CAVEAT: not all(several),
    }
    return " ".join(text for text, applies in parts.items() if applies)


def differences(runs: Sequence[Run], names: Sequence[str] | None = None) -> list[Difference]:
    """Every pair of runs, and every run with its untrained network and with pixels, each in its best space.

    Args:
        names: what to call the runs; by default their names or methods.

    Raises:
        WorkbenchError: see :func:`group_differences`.
    """
    names = names or [str(run.summary().get("name") or run.summary().get("method") or run.id) for run in runs]
    return group_differences([Group(name, (run,), (None,)) for run, name in zip(runs, names, strict=True)])


def group_differences(groups: Sequence[Group]) -> list[Difference]:
    """Every pair of groups, and every group with its untrained networks and with pixels, each in its best space.

    The best space is the one whose probe did best on the validation split, on average over the seeds. Runs whose
    predictions are not stored are left out. With three seeds or more on either side, a comparison is over seeds and
    images; otherwise over images, of the networks at hand.

    Raises:
        WorkbenchError: the runs were trained on different data, or read on different test images.
    """
    _check_data([run for group in groups for run in group.runs])
    readers: list[Reader] = []
    pixels: list[Reader] = []  # the same for all
    for group in groups:
        found = _readers(group)
        readers += [reader for reader in found if reader.run is not None]
        pixels = pixels or [reader for reader in found if reader.run is None]
    readers += pixels
    for reader in readers[1:]:
        if not np.array_equal(reader.ids, readers[0].ids):
            raise _other_images(readers[0].label, reader.label)
    pairs = [(a, b) for a, b in combinations(readers, 2) if _comparable(a, b)]
    pairs.sort(key=lambda pair: pair[1].baseline)  # runs with one another first
    tested = [_test(a, b) for a, b in pairs]
    p_values = holm([p_value for _, p_value, _ in tested])
    return [
        Difference(
            str(a.run),
            a.label,
            b.label,
            100.0 * float(a.right.mean()),
            100.0 * float(b.right.mean()),
            Interval(*(100.0 * bound for bound in interval)),
            p_value,
            len(pairs),
            a.right.shape[1],
            len(a.right),
            len(b.right),
            over_seeds,
        )
        for (a, b), (interval, _, over_seeds), p_value in zip(pairs, tested, p_values, strict=True)
    ]


def _test(a: Reader, b: Reader) -> tuple[Interval, float, bool]:
    """The difference with its interval, the p-value, and whether they are over seeds."""
    if all(reader.fixed or len(reader.right) >= ENOUGH for reader in (a, b)):
        return *crossed_difference(a.right, b.right), True
    if len(a.right) == len(b.right) == 1:
        return paired_difference(a.right[0], b.right[0]), mcnemar(a.right[0], b.right[0]), False
    means = [reader.right.mean(axis=0, keepdims=True) for reader in (a, b)]
    return *crossed_difference(*means), False


def _check_data(runs: Sequence[Run]) -> None:
    """Raise unless all runs whose data is known were trained on the same."""
    known = [data for run in runs if isinstance(data := run.info().get("data"), dict) and data.get("fingerprint")]
    for data in known:
        if data["fingerprint"] != known[0]["fingerprint"]:
            names = sorted({str(one.get("name")) for one in known})
            told = " and ".join(names) if len(names) > 1 else f"different versions of {names[0]}"
            raise WorkbenchError(
                f"The runs were trained on {told}; only runs on the same images can be tested in pairs."
            )


def _other_images(label: str, other: str) -> WorkbenchError:
    return WorkbenchError(
        f"{label} and {other} were probed on different test images; evaluate their runs "
        "together with `workbench evaluate`, on one data set."
    )


def _comparable(a: Reader, b: Reader) -> bool:
    """Runs with one another and with their own baselines; ``a`` stands before ``b``."""
    return not a.baseline and (not b.baseline or b.run in (None, a.run))


def _readers(group: Group) -> list[Reader]:
    """The group, its untrained networks and pixels; none where predictions are missing or do not fit."""
    probed = [(run, scores) for run in group.runs if (scores := _validation(run))]
    spaces = [space for space in (probed[0][1] if probed else {}) if all(space in scores for _, scores in probed)]
    if not spaces:
        return []
    space = max(spaces, key=lambda name: sum(scores[name] for _, scores in probed))
    hits = [(run, found) for run, _ in probed if (found := _hits(run, space))]
    if not hits:
        return []
    ids = np.asarray(hits[0][0].array("predicted-ids"))
    for run, _ in hits[1:]:
        if not np.array_equal(ids, np.asarray(run.array("predicted-ids"))):
            raise _other_images(hits[0][0].id, run.id)
    readers = []
    for kind in ("own", "untrained", "pixels"):
        rows = [found[kind] for _, found in hits if kind in found]
        if not rows:
            continue
        # Pixels are the same for all seeds, and so are untrained networks that were drawn from one seed.
        right = np.stack(rows) if kind == "own" else np.unique(np.stack(rows), axis=0)
        seeds = f"{len(right)} seeds" if len(right) > 1 else ""
        told = ", ".join(part for part in (space if kind == "own" else "", seeds) if part)
        label = {"own": group.label, "untrained": f"untrained {group.label}", "pixels": "pixels"}[kind]
        run = None if kind == "pixels" else group.runs[0].id
        readers.append(Reader(f"{label} ({told})" if told else label, right, ids, run, kind != "own"))
    return readers


def _validation(run: Run) -> dict[str, float]:
    """Top-1 accuracy on the validation split by space, of the run's linear probe."""
    found = run.evaluation("linear").get("rows")
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    own = [row for row in rows if row.get("model") == "run" and isinstance(row.get("validation"), int | float)]
    return {str(row.get("space")): row["validation"] for row in own}


def _hits(run: Run, space: str) -> dict[str, np.ndarray]:
    """(n,) bool, whether each class was told correctly: ``own``, ``untrained``, ``pixels``, as far as stored."""
    ids, labels = run.array("predicted-ids"), run.array("predicted-labels")
    if ids is None or labels is None or ids.shape != labels.shape:
        return {}
    data = run.info().get("data")
    fingerprint = str(data.get("fingerprint")) if isinstance(data, dict) else ""
    kept = Probe(probe_of(run.path.parent, fingerprint).path / "baselines")
    predicted = {
        "own": run.array(f"predicted-{space}"),
        "untrained": run.array(f"untrained-predicted-{space}"),
        "pixels": kept.array("predicted-pixels"),
    }
    return {
        kind: np.asarray(guess) == labels
        for kind, guess in predicted.items()
        if guess is not None and guess.shape == labels.shape
    }
