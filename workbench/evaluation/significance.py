"""Which differences between linear probes are real: every pair of models on the same test images. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from workbench.errors import WorkbenchError
from workbench.metrics.intervals import Interval
from workbench.metrics.paired import holm, mcnemar, paired_difference
from workbench.store import Probe, Run, probe_of

LEVEL = 0.05
CAVEAT = (
    "The test is McNemar's on the same test images, its p-values corrected for all comparisons (Holm). It speaks of "
    "these trained networks: what another training seed would change takes several runs to see."
)


@dataclass(frozen=True)
class Reader:
    """A model's linear probe on the test images.

    Attributes:
        label: the model, with its space.
        right: (n,) bool, whether each image's class is told correctly.
        ids: (n,) sample ids.
        run: the run's id; None for pixels.
        baseline: whether it is pixels or an untrained network.
    """

    label: str
    right: np.ndarray
    ids: np.ndarray
    run: str | None
    baseline: bool


@dataclass(frozen=True)
class Difference:
    """The comparison of two models; accuracies and their difference in percent.

    Attributes:
        run: id of the first model's run.
        p_value: corrected for all comparisons that were made together.
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
        if not self.real:
            return f"{self.label} and {self.other}: no difference shown on {self.n:,} images ({numbers})."
        better = "more" if self.difference.value > 0 else "fewer"
        return f"{self.label} tells the class of {better} images than {self.other} ({numbers})."


def differences(runs: Sequence[Run], names: Sequence[str] | None = None) -> list[Difference]:
    """Every pair of runs, and every run with its untrained network and with pixels, each in its best space.

    The best space is the one whose probe did best on the validation split. Runs whose predictions are not stored are
    left out.

    Args:
        names: what to call the runs; by default their names or methods.

    Raises:
        WorkbenchError: the runs were read on different test images.
    """
    names = names or [str(run.summary().get("name") or run.summary().get("method") or run.id) for run in runs]
    readers: list[Reader] = []
    pixels: list[Reader] = []  # the same for all
    for run, name in zip(runs, names, strict=True):
        found = _readers(run, name)
        readers += [reader for reader in found if reader.run is not None]
        pixels = pixels or [reader for reader in found if reader.run is None]
    readers += pixels
    for reader in readers[1:]:
        if not np.array_equal(reader.ids, readers[0].ids):
            raise WorkbenchError(
                f"{readers[0].label} and {reader.label} were probed on different test images; evaluate their runs "
                "together with `workbench evaluate`, on one data set."
            )
    pairs = [(a, b) for a, b in combinations(readers, 2) if _comparable(a, b)]
    pairs.sort(key=lambda pair: pair[1].baseline)  # runs with one another first
    p_values = holm([mcnemar(a.right, b.right) for a, b in pairs])
    return [
        Difference(
            str(a.run),
            a.label,
            b.label,
            100.0 * float(a.right.mean()),
            100.0 * float(b.right.mean()),
            Interval(*(100.0 * bound for bound in paired_difference(a.right, b.right))),
            p_value,
            len(pairs),
            len(a.right),
        )
        for (a, b), p_value in zip(pairs, p_values, strict=True)
    ]


def _comparable(a: Reader, b: Reader) -> bool:
    """Runs with one another and with their own baselines; ``a`` stands before ``b``."""
    return not a.baseline and (not b.baseline or b.run in (None, a.run))


def _readers(run: Run, name: str) -> list[Reader]:
    """The run, its untrained network and pixels; none where predictions are missing or do not fit."""
    linear = run.evaluation("linear")
    found = linear.get("rows")
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    own = [row for row in rows if row.get("model") == "run" and isinstance(row.get("validation"), int | float)]
    ids, labels = run.array("predicted-ids"), run.array("predicted-labels")
    if not own or ids is None or labels is None or ids.shape != labels.shape:
        return []
    space = str(max(own, key=lambda row: row["validation"])["space"])
    data = run.info().get("data")
    fingerprint = str(data.get("fingerprint")) if isinstance(data, dict) else ""
    kept = Probe(probe_of(run.path.parent, fingerprint).path / "baselines")
    predicted = {
        (f"{name} ({space})", run.id, False): run.array(f"predicted-{space}"),
        (f"untrained {name}", run.id, True): run.array(f"untrained-predicted-{space}"),
        ("pixels", None, True): kept.array("predicted-pixels"),
    }
    return [
        Reader(label, np.asarray(guess) == labels, np.asarray(ids), of, baseline)
        for (label, of, baseline), guess in predicted.items()
        if guess is not None and guess.shape == labels.shape
    ]
