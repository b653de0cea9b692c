"""Stored likelihoods in bits per dimension: exact numbers, estimates, and bounds, which are upper ones of the bits.

An evaluation stores what the *likelihood* is known by. A lower bound on it, such as the ELBO, is an upper bound on the
negative logarithm: the model needs at most so many bits.
"""

import re

from workbench.comparison.seeds import Row
from workbench.headline import measured_rows

SIGNS = {"lower bound": "\N{LESS-THAN OR EQUAL TO} ", "estimate": "\N{ALMOST EQUAL TO} "}
"""The sign before a negative log-likelihood, by the stored kind of the likelihood."""
WEIGHTED = "importance samples"
"""How the kinds of importance-weighted bounds end."""
CAUTION = (
    "A smaller upper bound does not prove a higher likelihood: "
    "the gap between each bound and the exact value is unknown."
)
"""To be said once where two bounds are compared."""


def in_bits(text: str) -> str:
    """A stored kind of likelihood, or a protocol that names it, in terms of bits: there it is an upper bound."""
    return re.sub(r"^lower bound|(?<=Kind: )lower bound", "upper bound", text)


def total(evaluation: Row) -> Row | None:
    """The row in bits per dimension of a run's whole likelihood, or the mean of several; importance-weighted bounds are
    others. None without one.

    Args:
        evaluation: ``likelihood.json``.
    """
    main = evaluation.get("kind")
    for row in measured_rows(evaluation):
        kind = str(row.get("kind") or "")
        own = row.get("model") == "run" and row.get("metric") == "bits_per_dim" and "term" not in row
        if own and (kind == main or (main is None and not kind.endswith(WEIGHTED))):
            return row
    return None
