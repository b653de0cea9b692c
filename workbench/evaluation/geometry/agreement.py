"""Representational similarity of layers of runs, their untrained networks and pixels, in pairs, beside chance."""

from collections.abc import Mapping, Sequence
from itertools import combinations

from workbench.errors import WorkbenchError
from workbench.evaluation.context import Context, Row
from workbench.metrics import agreement as metrics
from workbench.store import Run

IMAGES = 500  # of the probe set: each permutation costs about their square
LEAST = 3  # images; representations of two always agree perfectly

Layers = Mapping[str, metrics.Representation]


def check_comparable(runs: Sequence[Run]) -> None:
    """Raise a WorkbenchError unless all runs were trained on the same data, so that their probe images are the same."""
    known: dict[str, Run] = {}
    for run in runs:
        known.setdefault(_data(run, "fingerprint"), run)
    if len(known) > 1:
        names = " and ".join(_describe(run) for run in list(known.values())[:2])
        raise WorkbenchError(
            f"The runs {names} were trained on different data, so they cannot be "
            "compared image by image; evaluate them one data set at a time."
        )


def _describe(run: Run) -> str:
    return f'{run.id} (data "{_data(run, "name")}", fingerprint {_data(run, "fingerprint")})'


def _data(run: Run, key: str) -> str:
    data = run.info().get("data")
    return str(data.get(key)) if isinstance(data, dict) else "unknown"


def representations(context: Context) -> dict[str, Layers]:
    """Of the run, its untrained network and pixels: the probe images' features by space; nothing for too few images."""
    chosen = context.material.spread(IMAGES)
    if len(chosen) < LEAST:
        return {}
    k = min(metrics.NEIGHBOURS, (len(chosen) - 1) // 2)  # with all others as neighbours, any two would agree
    return {
        name: {space: metrics.representation(features, k) for space, features in spaces.items()}
        for name, spaces in context.probe_features(chosen)
    }


def evaluate(contexts: Sequence[Context], known: Sequence[Mapping[str, Layers]]) -> None:
    """Write ``agreement.json`` of runs that were evaluated together.

    Values with other runs that an earlier evaluation left are kept, as long as neither checkpoint has changed.

    Args:
        contexts: the runs.
        known: what :func:`representations` gave for each.
    """
    rows: dict[str, list[Row]] = {context.run.id: [] for context in contexts}
    pairs = [(a, b) for a, b in combinations(zip(contexts, known, strict=True), 2) if a[1] and b[1]]
    for (context, own), (other, theirs) in pairs:
        measures = metrics.agreement(list(own["run"].values()), list(theirs["run"].values()))
        for here, there, layers, other_layers, values in (
            (context, other, own["run"], theirs["run"], measures),
            (other, context, theirs["run"], own["run"], metrics.transposed(measures)),
        ):
            rows[here.run.id] += _rows(values, layers, other_layers, there.run.id, there.model.checkpoint)
    for context, own in zip(contexts, known, strict=True):
        if not own:
            n, data = len(context.material.probe), context.material.dataset.name
            context.skip("agreement", f"Agreement takes at least {LEAST} images, and the probe set of {data} has {n}.")
            continue
        for name in (name for name in own if name != "run"):
            measures = metrics.agreement(list(own["run"].values()), list(own[name].values()))
            rows[context.run.id] += _rows(measures, own["run"], own[name], name, None)
        _write(context, own["run"], rows[context.run.id])


def _rows(
    measures: Mapping[str, metrics.Agreement], layers: Layers, other_layers: Layers, other: str, checkpoint: str | None
) -> list[Row]:
    """A row per pair of layers and measure."""
    rows: list[Row] = []
    for metric, measured in measures.items():
        for i, space in enumerate(layers):
            for j, other_space in enumerate(other_layers):
                row: Row = {"model": "run", "space": space, "other": other, "other_space": other_space}
                row |= {"metric": metric, "value": float(measured.values[i, j])}
                row |= {"expected": float(measured.expected[i, j]), "p_value": float(measured.p_values[i, j])}
                rows.append(row | {"other_checkpoint": checkpoint})
    return rows


def _write(context: Context, layers: Layers, rows: list[Row]) -> None:
    (n, k), few, fewer = next(iter(layers.values())).nearest.shape, metrics.PERMUTATIONS, metrics.SLOW_PERMUTATIONS
    protocol = (
        f"Linear CKA (Kornblith et al. 2019), mutual {k}-NN overlap by cosine (Huh et al. 2024) and Procrustes "
        f"similarity (Williams et al. 2021) of the features of {n:,} probe images; expected: mean over "
        f"{few} permutations of the images ({fewer} for Procrustes), as independent features of the same widths give; "
        "p-values corrected for the search over all pairs of layers of the two models."
    )
    earlier, fresh = context.run.evaluation("agreement"), {row["other"] for row in rows}
    same = ("checkpoint", context.model.checkpoint), ("protocol", protocol)
    if all(earlier.get(key) == value for key, value in same):
        rows += [row for row in earlier.get("rows", []) if row.get("other") not in fresh and _holds(context, row)]
    context.write("agreement", protocol, n, "probe", rows=rows, default=context.model.default, k=k)


def _holds(context: Context, row: Row) -> bool:
    """Whether the other run of an earlier row is still there with the same weights."""
    other = Run(context.run.path.parent / str(row.get("other"))).evaluation("agreement").get("checkpoint")
    return other is not None and other == row.get("other_checkpoint")
