"""How probable a model finds held-out images."""

import numpy as np

from workbench.evaluation.context import Context, Row
from workbench.methods.base import Likelihood
from workbench.metrics.intervals import bootstrap_mean


def evaluate(context: Context) -> None:
    """Write ``likelihood.json``."""
    if not context.model.can(Likelihood):
        return context.skip("likelihood", f"{context.method} does not say how probable an image is.")
    probe, kind = context.material.probe, context.model.likelihood_kind
    nats = context.model.nats(probe.images, probe.ids)
    bits = nats / (probe.images[0].size * np.log(2))
    protocol = (
        f"Negative log-likelihood of the {len(probe):,} probe images ({kind}), averaged over images; bits per "
        "dimension are nats / (pixels x channels x ln 2); 95 % bootstrap interval over images."
    )
    rows: list[Row] = []
    for metric, values in (("bits_per_dim", bits), ("nats", nats)):
        value, low, high = bootstrap_mean(values)
        rows.append({"model": "run", "metric": metric, "value": value, "low": low, "high": high, "kind": kind})
    context.write("likelihood", protocol, len(probe), rows=rows, kind=kind)
