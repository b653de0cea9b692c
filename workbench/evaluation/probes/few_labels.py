"""Label efficiency: the linear probe fitted to a part of the training images' labels."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from workbench.evaluation.context import Context, Row, Subject
from workbench.metrics.intervals import Interval, proportion
from workbench.metrics.linear_probe import linear_probe

SHARES = (0.01, 0.05, 0.1)  # and all
SUBSETS = 5
REGULARISATION = (10.0, 1.0, 1e-1, 1e-2, 1e-3)  # stronger than for all labels


def evaluate(context: Context) -> None:
    """Write ``few_labels.json``."""
    material = context.material
    if reason := material.unlabelled():
        return context.skip("few_labels", reason)
    train_labels, val_labels, labels = material.labels
    protocol = (
        f"Linear probe fitted to 1, 5, 10 and 100 % of {len(train_labels):,} labelled training images, in the classes' "
        f"proportions and at least one of each, the first three each for {SUBSETS} random subsets, the same for every "
        f"model; L2 regularisation chosen on {len(val_labels):,} validation images; 95 % interval over random subsets "
        "and test images, for all labels Wilson's interval over test images alone."
    )

    def measure(subject: Subject) -> Iterator[Row]:
        space = subject.default
        train, val, test = subject.features.of(space)
        for share in SHARES:
            subsets = [subset(train_labels, share, seed) for seed in range(SUBSETS)]
            parts = [(train[rows], train_labels[rows]) for rows in subsets]
            probes = [linear_probe(*part, val, val_labels, test, REGULARISATION) for part in parts]
            correct = np.stack([probe.predicted == labels for probe in probes])
            yield _row(space, share, len(subsets[0]), SUBSETS, crossed_interval(100.0 * correct))
        correct = context.label_probe(subject, space).predicted == labels
        yield _row(space, 1.0, len(train), 1, proportion(correct))

    rows = context.rows("few_labels", protocol, measure)
    context.write("few_labels", protocol, len(labels), rows=rows, default=context.model.default)


def _row(space: str, share: float, n: int, subsets: int, interval: Interval) -> Row:
    row: Row = {"space": space, "labels": share, "n_labels": n, "subsets": subsets, "metric": "top1"}
    return row | interval._asdict()


def subset(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.int64]:
    """Sorted positions of a random share of the samples, in the classes' proportions and at least one of each class.

    Args:
        labels: (N,) of all samples.
        share: in (0, 1]; rounded to whole images of each class.
        seed: of the subset.
    """
    generator = np.random.default_rng([seed, round(share * 1_000_000)])
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        chosen.append(generator.choice(members, max(1, round(share * len(members))), replace=False))
    return np.sort(np.concatenate(chosen))


def crossed_interval(scores: NDArray[np.floating], level: float = 0.95) -> Interval:
    """The mean of scores (S, n) of S random training subsets on n test images, with an interval over both.

    Variances of the means over either are added (the two-way random-effects model, whose interaction is counted twice,
    so that the interval is rather too wide), with Satterthwaite's (1946) degrees of freedom for Student's t; a
    bootstrap would be too narrow, since S is small.

    Args:
        scores: in percent, S and n at least 2 for an interval of more than a point; bounds are kept within [0, 100].
        level: coverage in (0, 1).
    """
    value = float(scores.mean())
    parts, freedom = [], []
    for axis in (0, 1):
        means = scores.mean(axis=axis)
        if len(means) > 1:
            parts.append(float(means.var(ddof=1)) / len(means))
            freedom.append(len(means) - 1)
    variance = sum(parts)
    if variance == 0:
        return Interval(value, value, value)
    degrees = variance**2 / sum(part**2 / df for part, df in zip(parts, freedom, strict=True))
    reach = float(stats.t.ppf((1 + level) / 2, degrees)) * variance**0.5
    return Interval(value, max(0.0, value - reach), min(100.0, value + reach))
