"""Stored predictions of linear probes on the test images, by group of seeds. No torch."""

from dataclasses import dataclass, field

import numpy as np

from workbench.comparison.seeds import Group
from workbench.comparison.table import mapping_of
from workbench.errors import WorkbenchError
from workbench.headline import best_space, rows_of, validation_scores
from workbench.hints import on_runs
from workbench.store import Probe, Run, probe_of

ROUNDED = 0.005  # percentage points by which rounding changes an accuracy in the files of a shipped run
KINDS = {"own": "", "untrained": "the untrained network of ", "pixels": "pixels beside "}
ABSENT = "whose predictions are not stored or belong to another evaluation"


@dataclass(frozen=True)
class ProbeResult:
    """A model's linear probe on the test images.

    Attributes:
        label: the model, with its space and its number of seeds.
        name: the model without them.
        correct: (seeds, n) bool, whether each image is classified correctly; one row where there are no seeds.
        ids: (n,) sample ids.
        run: id of the first run.
        baseline: whether it is pixels or an untrained network.
    """

    label: str
    name: str
    correct: np.ndarray
    ids: np.ndarray
    run: str
    baseline: bool

    @property
    def fixed(self) -> bool:
        """Whether it is a single reference, not a sample of seeds: pixels, or one untrained network."""
        return self.baseline and len(self.correct) == 1


@dataclass(frozen=True)
class GroupResults:
    """The probes of a group that can be tested.

    Attributes:
        own: that of the group itself, or nothing.
        baselines: those of its untrained networks and of pixels.
        left_out: what cannot be tested, and why, a sentence each.
    """

    own: list[ProbeResult] = field(default_factory=list)
    baselines: list[ProbeResult] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def group_results(group: Group) -> GroupResults:
    """The probes of a group, its untrained networks and pixels, as far as their predictions are stored and fit.

    Raises:
        WorkbenchError: the runs were probed on different test images.
    """
    missing: dict[tuple[str, str], list[Run]] = {}  # runs by what is left out, and why
    probed = {run: scores for run in group.runs if (scores := validation_scores(run))}
    for run in group.runs:
        if run not in probed:
            reason = run.evaluation("linear").get("skipped")
            why = f"without a linear probe ({str(reason).rstrip('.')})" if reason else "without a linear probe"
            missing.setdefault(("", why), []).append(run)
    space = best_space(group.runs) or ""
    by_kind: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    used: list[Run] = []
    for run in probed:
        correct = _correct(run, space)
        if "own" in correct:
            used.append(run)
            if not np.array_equal(_ids(used[0]), _ids(run)):
                raise different_images(used[0].id, run.id)
        for kind, prefix in KINDS.items() if "own" in correct else [("own", KINDS["own"])]:
            if kind in correct:
                by_kind[kind].append(correct[kind])
            else:
                missing.setdefault((prefix, ABSENT), []).append(run)
    results: list[ProbeResult] = []
    for kind, rows in by_kind.items():
        if not rows:
            continue
        # Pixels are the same for all seeds, and so are untrained networks initialised with the same seed.
        correct = np.stack(rows) if kind == "own" else np.unique(np.stack(rows), axis=0)
        if kind == "pixels" and len(correct) > 1:
            missing[KINDS[kind], "probed with different settings"] = used
            continue
        seeds = f"{len(correct)} seeds" if len(correct) > 1 else ""
        details = ", ".join(part for part in (space if kind == "own" else "", seeds) if part)
        name = {"own": group.label, "untrained": f"untrained {group.label}", "pixels": "pixels"}[kind]
        label = f"{name} ({details})" if details else name
        results.append(ProbeResult(label, name, correct, _ids(used[0]), group.runs[0].id, kind != "own"))
    left_out = []
    for (prefix, why), runs in missing.items():
        rest = f"; {len(used)} of {len(group)} seeds of {group.label} are tested" if used and not prefix else ""
        names, command = " and ".join(run.id for run in runs), on_runs("evaluate", runs, "--only", "linear")
        left_out.append(f"Not tested: {prefix}{names}, {why}{rest}. Run `{command}`.")
    return GroupResults(results[:1], results[1:], left_out)


def different_images(label: str, other: str) -> WorkbenchError:
    """The error of two models that cannot be compared image by image."""
    return WorkbenchError(
        f"{label} and {other} were probed on different test images; evaluate their runs again together, "
        "on one data set."
    )


def pixel_predictions(run: Run) -> np.ndarray | None:
    """The classes (n,) predicted by the probe of pixels beside a run, in the order of ``predicted-ids``, or None.

    Older runs have no array of their own but share one, overwritten by every evaluation: it counts where it has the
    accuracy in the run's table.
    """
    predicted = run.array("pixels-predicted")
    if predicted is not None:
        return predicted
    fingerprint = str(mapping_of(run, "data").get("fingerprint", ""))
    predicted = Probe(probe_of(run.path.parent, fingerprint).path / "baselines").array("predicted-pixels")
    labels = run.array("predicted-labels")
    if predicted is None or labels is None or predicted.shape != labels.shape:
        return None
    for row in rows_of(run, "linear"):
        if row.get("model") == "pixels":
            accuracy = 100.0 * float(np.mean(predicted == labels))
            return predicted if abs(row["value"] - accuracy) < ROUNDED else None
    return predicted


def _ids(run: Run) -> np.ndarray:
    return np.asarray(run.array("predicted-ids"))


def _correct(run: Run, space: str) -> dict[str, np.ndarray]:
    """(n,) bool, whether each image is classified correctly: ``own``, ``untrained``, ``pixels``, as far as stored."""
    ids, labels = run.array("predicted-ids"), run.array("predicted-labels")
    if ids is None or labels is None or ids.shape != labels.shape:
        return {}
    predictions = {
        "own": run.array(f"predicted-{space}"),
        "untrained": run.array(f"untrained-predicted-{space}"),
        "pixels": pixel_predictions(run),
    }
    known = {kind: np.asarray(predicted) for kind, predicted in predictions.items() if predicted is not None}
    return {kind: predicted == labels for kind, predicted in known.items() if predicted.shape == labels.shape}
