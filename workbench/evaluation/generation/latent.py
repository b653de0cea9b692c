"""Interpolations between images in latent space, and traversals of single latent variables."""

import numpy as np
from numpy.typing import NDArray

from workbench.evaluation.context import Context
from workbench.methods.capabilities import Latent

PAIRS, STEPS = 6, 9  # pairs of images, and images along each interpolation, both ends included
VARIABLES = 10  # latent variables that are traversed, those with the largest KL
VALUES = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # along a traversal, in standard deviations of the prior


def evaluate(context: Context) -> None:
    """Write ``latent.json``, and the images of interpolations and traversals."""
    model, material = context.model, context.material
    if not model.can(Latent):
        return context.skip("latent", f"{context.method} has no latent variables to walk through.")
    rows = material.spread(2 * PAIRS)
    pairs = len(rows) // 2
    if not pairs:
        return context.skip("latent", "It takes two test images to walk from one to the other.")
    codes = model.codes(np.asarray(material.probe.images[rows]))
    paths = spherical(codes[:pairs], codes[pairs : 2 * pairs], np.linspace(0, 1, STEPS))
    images = model.decode(paths.reshape(pairs * STEPS, -1))
    context.run.write_array("latent-interpolation", images.reshape(pairs, STEPS, *images.shape[1:]))
    ends = np.asarray(material.probe.ids)[rows]
    context.run.write_array("latent-interpolation-ids", np.stack([ends[:pairs], ends[pairs : 2 * pairs]], axis=1))

    kl = model.latents(np.asarray(material.probe.images), material.probe.ids)[1].mean(axis=0)
    chosen = np.argsort(-kl, kind="stable")[:VARIABLES]
    traversal = np.repeat(codes[:1], len(chosen) * len(VALUES), axis=0).reshape(len(chosen), len(VALUES), -1)
    for place, variable in enumerate(chosen):
        traversal[place, :, variable] = VALUES
    images = model.decode(traversal.reshape(len(chosen) * len(VALUES), -1))
    context.run.write_array("latent-traversal", images.reshape(len(chosen), len(VALUES), *images.shape[1:]))
    names = [(group, index) for group, dims in model.latent_groups.items() for index in range(dims)]
    protocol = (
        f"Means of p(x|z) for codes whose prior is N(0, 1). Interpolation: between the posterior means of {pairs} "
        f"pairs of test images, spherical, in {STEPS} steps. Traversal: the {len(chosen)} latent variables with the "
        f"largest KL over {len(material.probe):,} test images, each set to some values while the others stay those of "
        "one image."
    )
    context.write(
        "latent",
        protocol,
        2 * pairs,
        interpolation="spherical",
        steps=STEPS,
        values=VALUES,
        image=int(ends[0]),
        variables=[{"group": names[i][0], "index": names[i][1], "kl": float(kl[i])} for i in chosen],
    )


def spherical(
    start: NDArray[np.float32], end: NDArray[np.float32], shares: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Codes (n, steps, D) on the arcs from ``start`` to ``end`` (n, D); straight lines where these are parallel.

    A straight line between codes of N(0, 1) passes through norms that are improbable under the prior (White 2016, arXiv
    1609.04468); an arc preserves them.

    Args:
        shares: (steps,) positions along the arc, in [0, 1].
    """
    first, last = (np.asarray(codes, dtype=np.float64)[:, None] for codes in (start, end))
    lengths = np.linalg.norm(first, axis=2) * np.linalg.norm(last, axis=2)
    cosine = np.sum(first * last, axis=2) / np.maximum(lengths, 1e-12)
    angle = np.arccos(np.clip(cosine, -1, 1))[..., None]
    share = np.asarray(shares)[None, :, None]
    sine = np.sin(angle)
    flat = sine < 1e-6
    safe = np.where(flat, 1.0, sine)
    before = np.where(flat, 1 - share, np.sin((1 - share) * angle) / safe)
    after = np.where(flat, share, np.sin(share * angle) / safe)
    return (before * first + after * last).astype(np.float32)
