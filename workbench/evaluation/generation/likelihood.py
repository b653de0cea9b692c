"""Likelihood of held-out images, term by term, beside models of single pixels."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.evaluation.context import Context, Row, measured
from workbench.evaluation.features import spread
from workbench.methods.capabilities import Latent, Likelihood
from workbench.probability.latent import ACTIVE, collapse, usage

SAMPLES = (5, 50)  # of the importance-weighted bounds, as Burda et al. 2016 report them
HISTOGRAM_IMAGES = 10_000  # training images that the histogram of each pixel is fitted to
PRIOR_COUNT = 0.5  # of every level, so that none is impossible (Krichevsky and Trofimov 1981)
KINDS = {"lower bound": "upper bound, from a lower bound on the likelihood"}
"""What bits and nats are, by the kind of the likelihood."""
LISTED = 2048  # latent variables whose KL is listed one by one


def evaluate(context: Context, in_full: bool = False) -> None:
    """Write ``likelihood.json``, or ``likelihood_full.json`` with all terms of a sum that is otherwise sampled."""
    name, model = "likelihood_full" if in_full else "likelihood", context.model
    method = model.method
    if not isinstance(method, Likelihood):
        return context.skip(name, f"{context.method} does not say how probable an image is.")
    if in_full and not method.likelihood_sampled:
        reason = f"The likelihood of {context.method} leaves out no terms of a sum over noise levels"
        return context.skip(name, f"{reason}, so that there are no more to compute.")
    limits, levels, test = context.limits, model.images.levels, context.material.test
    chosen = test.take(spread(len(test), limits.likelihood_full if in_full else limits.likelihood))
    images, ids, kind = np.asarray(chosen.images), chosen.ids, method.likelihood_kind
    seed = int(context.run.info().get("seed") or 0)  # so that random terms differ between seeds, too
    terms = model.nats_terms(images, ids, seed, in_full=in_full)
    rows = _rows("run", kind, np.sum(list(terms.values()), axis=0), images)
    for term, nats in terms.items():
        rows += _rows("run", kind, nats, images, term=term)
    latent: dict[str, Any] = {}
    if isinstance(method, Latent):
        for k in context.track(SAMPLES, "importance-weighted bounds"):
            rows += _rows("run", f"{kind}, {k} importance samples", model.iwae_nats(images, k, ids, seed), images)
        latent = {"latent": _latent_usage(context, method, images, ids)}
    untrained = context.untrained_model.nats_terms(images, ids, seed, in_full=in_full)
    rows += _rows(f"untrained:{context.method}", kind, np.sum(list(untrained.values()), axis=0), images)

    def pixels() -> Iterator[Row]:
        train = context.material.dataset.train.images[:HISTOGRAM_IMAGES]
        yield from _rows("pixels", "exact, histogram of each pixel", histogram_nats(train, images, levels), images)
        alike = np.full(len(images), images[0].size * np.log(levels))
        yield from _rows("pixels", "exact, all levels alike", alike, images)

    single = f"Every pixel of {len(images):,} test images by itself, with {levels} levels."
    rows += context.shared_rows(name, single, pixels)
    extent = method.likelihood_in_full if in_full else method.likelihood_drawn
    protocol = (
        f"Negative log-likelihood of {len(images):,} test images, one probability mass for each of the "
        f"{levels} levels of a pixel and channel, averaged over images; bits per dimension are nats / (pixels x "
        f"channels x ln 2). Kind: {KINDS.get(kind, kind)}. {method.likelihood_note} "
        f"{f'{extent} ' if extent else ''}"
        f"{'Importance-weighted bounds are those of Burda et al. 2016. ' if latent else ''}"
        "Pixels: every pixel by itself, with its histogram over training images or with all levels alike. "
        "95 % bootstrap interval over images."
    )
    context.write(name, protocol, len(images), rows=rows, kind=kind, levels=levels, **latent)


def _rows(model: str, kind: str, nats: NDArray[np.floating], images: NDArray[np.uint8], **more: str) -> list[Row]:
    """Negative log-likelihoods (n,) in bits per dimension and in nats, each with its interval."""
    nats = np.asarray(nats, dtype=np.float64)
    units = {"bits_per_dim": nats / (images[0].size * np.log(2)), "nats": nats}
    return [{"model": model, **measured(metric, values), "kind": kind, **more} for metric, values in units.items()]


def histogram_nats(train: NDArray[np.uint8], images: NDArray[np.uint8], levels: int) -> NDArray[np.float64]:
    """Negative log-likelihood (n,) in nats of images under independent histograms of each pixel and channel.

    Args:
        train: (N, H, W, C) that the histograms are fitted to; :data:`PRIOR_COUNT` is added to every level.
        images: (n, H, W, C).
        levels: that a pixel can have.
    """
    dimensions = train[0].size
    offset = levels * np.arange(dimensions)
    counts = np.full(dimensions * levels, PRIOR_COUNT)
    for start in range(0, len(train), 256):
        cells = _levels(train[start : start + 256], levels) + offset
        counts += np.bincount(cells.ravel(), minlength=len(counts))
    log_mass = np.log(counts) - np.log(len(train) + PRIOR_COUNT * levels)
    parts = (_levels(images[start : start + 256], levels) for start in range(0, len(images), 256))
    return np.concatenate([-log_mass[part + offset].sum(axis=1) for part in parts])


def _levels(images: NDArray[np.uint8], levels: int) -> NDArray[np.int64]:
    """Levels (n, pixels x channels) of uint8 images."""
    flat = np.asarray(images).reshape(len(images), -1)
    return np.rint(flat * ((levels - 1) / 255)).astype(np.int64)


def _latent_usage(context: Context, method: Latent, images: NDArray[np.uint8], ids: NDArray[np.int64]) -> Row:
    """The latent variables in use, and whether the posterior has collapsed, in words or None."""
    means, kls = context.model.latents(images, ids)
    groups = usage(means, kls, method.latent_groups)
    listed = {"kl": kls.mean(axis=0), "variance": means.var(axis=0)} if means.shape[1] <= LISTED else {}
    return {
        "groups": [group._asdict() for group in groups],
        "active": sum(group.active for group in groups),
        "dims": means.shape[1],
        "threshold": ACTIVE,
        "collapse": collapse(groups),
        **listed,
    }
