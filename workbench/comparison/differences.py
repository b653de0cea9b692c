"""Which differences between linear probes are real: every pair of models on the same test images. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from workbench.comparison.seeds import ENOUGH, Group
from workbench.errors import WorkbenchError
from workbench.metrics.intervals import Interval
from workbench.metrics.paired import crossed_difference, holm, mcnemar, paired_difference
from workbench.store import Probe, Run, probe_of

LEVEL = 0.05
ROUNDED = 0.005  # points that a shipped run's accuracies may be off
KINDS = {"own": "", "untrained": "the untrained network of ", "pixels": "pixels beside "}
ABSENT = "whose predictions are not stored, or are of another evaluation"
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
        run: id of the first run.
        baseline: whether it is pixels or an untrained network.
    """

    label: str
    right: np.ndarray
    ids: np.ndarray
    run: str
    baseline: bool

    @property
    def fixed(self) -> bool:
        """Whether it is one reference, not a sample of seeds: pixels, or one untrained network."""
        return self.baseline and len(self.right) == 1


@dataclass(frozen=True)
class Reading:
    """What of a group can be tested.

    Attributes:
        own: the group itself, or nothing.
        baselines: its untrained networks and pixels, as far as they can be tested.
        left_out: what cannot, and why, a sentence each.
    """

    own: list[Reader] = field(default_factory=list)
    baselines: list[Reader] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


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

    The best space is the one whose probe did best on the validation split, on average over the seeds. Pixels are those
    of the probe that each group was evaluated beside. With :data:`~workbench.comparison.seeds.ENOUGH` seeds or more on
    both sides, where pixels count as fixed, a comparison is over seeds and images; otherwise over images, of the
    networks at hand. What cannot be tested is told by :func:`left_out`.

    Raises:
        WorkbenchError: the runs were trained on different data, or read on different test images.
    """
    _check_data([run for group in groups for run in group.runs])
    found = [reading for group in groups if (reading := _read(group)).own]
    owns = [own for reading in found for own in reading.own]
    for own in owns[1:]:
        if not np.array_equal(own.ids, owns[0].ids):
            raise _other_images(owns[0].label, own.label)
    pairs = list(combinations(owns, 2))
    pairs += [(own, other) for reading in found for own in reading.own for other in reading.baselines]
    tested = [_test(a, b) for a, b in pairs]
    p_values = holm([p_value for _, p_value, _ in tested])
    return [
        Difference(
            a.run,
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


def left_out(groups: Sequence[Group]) -> list[str]:
    """What :func:`group_differences` cannot test of these groups, and why, a sentence each.

    Raises:
        WorkbenchError: runs of a group were read on different test images.
    """
    return [sentence for group in groups for sentence in _read(group).left_out]


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


def _read(group: Group) -> Reading:
    """The group, its untrained networks and pixels, as far as their predictions are there and fit."""
    missing: dict[tuple[str, str], list[str]] = {}  # ids of runs by what is left out, and why
    probed = {run: scores for run in group.runs if (scores := _validation(run))}
    for run in group.runs:
        if run not in probed:
            reason = run.evaluation("linear").get("skipped")
            why = f"without a linear probe ({str(reason).rstrip('.')})" if reason else "without a linear probe"
            missing.setdefault(("", why), []).append(run.id)
    shared = [space for space in next(iter(probed.values()), {}) if all(space in s for s in probed.values())]
    space = max(shared, key=lambda name: sum(scores[name] for scores in probed.values()), default="")
    hits: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    used: list[Run] = []
    for run in probed:
        found = _hits(run, space)
        if "own" in found:
            used.append(run)
            if not np.array_equal(_ids(used[0]), _ids(run)):
                raise _other_images(used[0].id, run.id)
        for kind, what in KINDS.items() if "own" in found else [("own", KINDS["own"])]:
            if kind in found:
                hits[kind].append(found[kind])
            else:
                missing.setdefault((what, ABSENT), []).append(run.id)
    readers: list[Reader] = []
    for kind, rows in hits.items():
        if not rows:
            continue
        # Pixels are the same for all seeds, and so are untrained networks that were drawn from one seed.
        right = np.stack(rows) if kind == "own" else np.unique(np.stack(rows), axis=0)
        if kind == "pixels" and len(right) > 1:
            missing[KINDS[kind], "probed in different ways"] = [run.id for run in used]
            continue
        seeds = f"{len(right)} seeds" if len(right) > 1 else ""
        told = ", ".join(part for part in (space if kind == "own" else "", seeds) if part)
        label = {"own": group.label, "untrained": f"untrained {group.label}", "pixels": "pixels"}[kind]
        label = f"{label} ({told})" if told else label
        readers.append(Reader(label, right, _ids(used[0]), group.runs[0].id, kind != "own"))
    said = []
    for (what, why), runs in missing.items():
        left = f"; {len(used)} of {len(group)} seeds of {group.label} are tested" if used and not what else ""
        command = f"`workbench evaluate {' '.join(runs)} --only linear`"
        said.append(f"Left out of these tests: {what}{' and '.join(runs)}, {why}{left}. {command} mends that.")
    return Reading(readers[:1], readers[1:], said)


def _ids(run: Run) -> np.ndarray:
    return np.asarray(run.array("predicted-ids"))


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
    predicted = {
        "own": run.array(f"predicted-{space}"),
        "untrained": run.array(f"untrained-predicted-{space}"),
        "pixels": from_pixels(run),
    }
    return {
        kind: np.asarray(guess) == labels
        for kind, guess in predicted.items()
        if guess is not None and guess.shape == labels.shape
    }


def from_pixels(run: Run) -> np.ndarray | None:
    """The classes (n,) that the probe of pixels told which the run was evaluated beside, by ``predicted-ids``, or None.

    Earlier runs have none of their own but shared one array, whichever evaluation wrote it last: it counts where it has
    the accuracy in the run's table.
    """
    told = run.array("pixels-predicted")
    if told is not None:
        return told
    data = run.info().get("data")
    fingerprint = str(data.get("fingerprint")) if isinstance(data, dict) else ""
    told = Probe(probe_of(run.path.parent, fingerprint).path / "baselines").array("predicted-pixels")
    labels, rows = run.array("predicted-labels"), run.evaluation("linear").get("rows")
    if told is None or labels is None or told.shape != labels.shape:
        return None
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and row.get("model") == "pixels" and isinstance(row.get("value"), int | float):
            return told if abs(row["value"] - 100.0 * float(np.mean(told == labels))) < ROUNDED else None
    return told
