"""Linear CKA: how far representations agree, between runs and with their baselines."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.evaluation.context import Context, Row
from workbench.metrics.similarity import centred_gram
from workbench.store import Run

LEAST = 3  # images; any representations of two agree perfectly

Grams = Mapping[str, NDArray[np.float32]]


def check_comparable(runs: Sequence[Run]) -> None:
    """Raise a WorkbenchError unless all runs were trained on the same data, so that their probe images are the same."""
    known: dict[str, Run] = {}
    for run in runs:
        known.setdefault(_data(run, "fingerprint"), run)
    if len(known) > 1:
        one, other = list(known.values())[:2]
        raise WorkbenchError(
            f"The runs {_described(one)} and {_described(other)} were trained on different data, so they cannot be "
            "compared image by image; evaluate them one data set at a time."
        )


def _described(run: Run) -> str:
    return f'{run.id} (data "{_data(run, "name")}", fingerprint {_data(run, "fingerprint")})'


def _data(run: Run, key: str) -> str:
    data = run.info().get("data")
    return str(data.get(key)) if isinstance(data, dict) else "unknown"


def grams(context: Context) -> dict[str, Grams]:
    """Of the run, its untrained network and pixels: centred inner products (n x n,) of the probe images by space."""
    n = len(context.material.probe)
    return {
        subject.name: {
            space: centred_gram(features[:n]).astype(np.float32).ravel()
            for space, features in subject.features.test.items()
        }
        for subject in (context.trained, context.untrained, context.pixels)
    }


def evaluate(contexts: Sequence[Context], matrices: Sequence[Mapping[str, Grams]]) -> None:
    """Write ``cka.json`` of runs that were evaluated together.

    Values with other runs that an earlier evaluation left are kept, as long as neither checkpoint has changed.

    Args:
        contexts: the runs.
        matrices: what :func:`grams` gave for each.
    """
    for context, own in zip(contexts, matrices, strict=True):
        n, data = len(context.material.probe), context.material.dataset.name
        if n < LEAST:
            context.skip("cka", f"CKA takes at least {LEAST} images, and the probe set of {data} has {n}.")
            continue
        others: dict[str, tuple[Grams, str | None]] = {
            other.run.id: (theirs["run"], other.model.checkpoint)
            for other, theirs in zip(contexts, matrices, strict=True)
            if other is not context
        }
        others |= {name: (spaces, None) for name, spaces in own.items() if name != "run"}
        rows: list[Row] = []
        for name, (spaces, checkpoint) in others.items():
            for space, a in own["run"].items():
                for other_space, b in spaces.items():
                    row: Row = {"model": "run", "space": space, "other": name, "other_space": other_space}
                    rows.append(row | {"metric": "cka", "value": float(a @ b), "other_checkpoint": checkpoint})
        earlier = context.run.evaluation("cka")
        if earlier.get("checkpoint") == context.model.checkpoint and earlier.get("n") == n:
            rows += [row for row in earlier.get("rows", []) if row.get("other") not in others and _holds(context, row)]
        protocol = (
            "Linear CKA (Kornblith et al. 2019, equation 3; the biased estimator, which grows with dimension / n) of "
            f"the features of the {n:,} probe images; 1 means equal up to rotation and scale."
        )
        context.write("cka", protocol, n, "probe", rows=rows, default=context.model.default)


def _holds(context: Context, row: Row) -> bool:
    """Whether the other run of an earlier row is still there with the same weights."""
    other = Run(context.run.path.parent / str(row.get("other"))).evaluation("cka").get("checkpoint")
    return other is not None and other == row.get("other_checkpoint")
