"""Latent variables: KL terms and their weight, the importance-weighted bound, and how many units are used."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.errors import WorkbenchError

ACTIVE = 0.01  # of the variance of a posterior mean over images, above which Burda et al. call a unit active
TELLING = 0.5  # nats of KL, an upper bound on the information on an image, below which a group counts as unused


def gaussian_kls(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) in nats of every dimension, of any shape.

    Source: Kingma and Welling, appendix B.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance)


def kl_weight(progress: float, warmup: float, beta: float = 1.0) -> float:
    """The KL term's weight: from 0 to ``beta`` in the first ``warmup`` (share) of training, then ``beta``.

    Source: Bowman et al. 2016; Sønderby et al. 2016, section 2.2.
    """
    return beta * (min(1.0, progress / warmup) if warmup > 0 else 1.0)


def free_kl(kls: Tensor, free: float) -> Tensor:
    """The KL term with ``free`` nats that cost nothing in each column: sum over j of max(free, mean over images).

    Columns are latent dimensions, or groups of them. Below ``free`` a column has no gradient, so nothing pushes it
    towards the prior. The mean is that of the batch on one device (of a part of it, with ``--accumulate``).

    Source: Kingma et al. 2016 (arXiv 1606.04934), equation 15.

    Args:
        kls: nats (B, D).

    Returns:
        a scalar in nats.
    """
    return kls.mean(dim=0).clamp_min(free).sum() if free > 0 else kls.sum(dim=1).mean()


def active_units(means: Tensor) -> Tensor:
    """How many (scalar) of the posterior means (B, D) vary by more than :data:`ACTIVE` over images.

    Source: Burda et al. 2016, section 5.1.
    """
    return (means.var(dim=0, correction=0) > ACTIVE).sum().float()


def importance_weighted_nats(log_weight: Callable[[int], Tensor], k: int) -> Tensor:
    """-ln of the mean of ``k`` importance weights (B,) in nats; ``log_weight(i)`` is ln p(x, z_i) - ln q(z_i|x) (B,).

    Raises:
        WorkbenchError: ``k`` below 1.
    """
    if k < 1:
        raise WorkbenchError(f"An importance-weighted bound takes at least 1 sample, not {k}.")
    total = log_weight(0)
    for index in range(1, k):  # one after the other, since each is a pass through the decoder
        total = torch.logaddexp(total, log_weight(index))
    return math.log(k) - total


class Usage(NamedTuple):
    """How much of a group of latent variables a model uses.

    Attributes:
        name: of the group.
        dims: variables in it.
        active: of which so many are active units.
        kl: nats that the group costs, mean over images.
    """

    name: str
    dims: int
    active: int
    kl: float


def usage(means: NDArray[np.floating], kls: NDArray[np.floating], groups: Mapping[str, int]) -> list[Usage]:
    """The :class:`Usage` of each group, from posterior means and KL terms (n, D) of n images."""
    ends = np.cumsum(list(groups.values()))
    active = means.var(axis=0) > ACTIVE
    rows = []
    for name, dims, end in zip(groups, groups.values(), ends, strict=True):
        own = slice(end - dims, end)
        rows.append(Usage(name, dims, int(active[own].sum()), float(kls[:, own].sum(axis=1).mean())))
    return rows


def collapse(groups: list[Usage]) -> str | None:
    """Posterior collapse in one sentence, or None: of the whole code, or of the groups that are not used.

    A group's KL, averaged over images, is at least the mutual information of image and group (Hoffman and Johnson
    2016), so that a group with a small one carries next to no information, whatever its means do.
    """
    unused = [group.name for group in groups if not group.active or group.kl < TELLING]
    criterion = f"a KL below {TELLING} nats, or no posterior mean whose variance over images is above {ACTIVE}"
    if len(unused) == len(groups):
        dims = sum(group.dims for group in groups)
        return f"Posterior collapse: the {dims} latent dimensions do not tell images apart ({criterion})."
    if unused:
        return f"Not used: {', '.join(unused)} of {len(groups)} groups of latent variables ({criterion})."
    return None
