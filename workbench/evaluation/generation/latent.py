"""Walks through a latent space: between images, and along single latent variables."""

import numpy as np
from numpy.typing import NDArray

from workbench.evaluation.context import Context
from workbench.methods.capabilities import Latent

PAIRS, STEPS = 6, 9  # pairs of images, and images on the way from one to the other, both ends included
VARIABLES = 10  # latent variables that are walked along, those with the largest KL
VALUES = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # that they are given, in standard deviations of the prior


def evaluate(context: Context) -> None:
    """Write ``latent.json``, and the images of both kinds of walk."""
    model, material = context.model, context.material
    if not model.can(Latent):
        return context.skip("latent", f"{context.method} has no latent variables to walk through.")
    rows = material.spread(2 * PAIRS)
    pairs = len(rows) // 2
    if not pairs:
        return context.skip("latent", "It takes two test images to walk from one to the other.")
    codes = model.codes(np.asarray(material.probe.images[rows]))
    ways = spherical(codes[:pairs], codes[pairs : 2 * pairs], np.linspace(0, 1, STEPS))
    drawn = model.decode(ways.reshape(pairs * STEPS, -1))
    context.run.write_array("latent-interpolation", drawn.reshape(pairs, STEPS, *drawn.shape[1:]))
    ends = np.asarray(material.probe.ids)[rows]
    context.run.write_array("latent-interpolation-ids", np.stack([ends[:pairs], ends[pairs : 2 * pairs]], axis=1))

    kl = model.latents(np.asarray(material.probe.images), material.probe.ids)[1].mean(axis=0)
    chosen = np.argsort(-kl, kind="stable")[:VARIABLES]
    walked = np.repeat(codes[:1], len(chosen) * len(VALUES), axis=0).reshape(len(chosen), len(VALUES), -1)
    for place, variable in enumerate(chosen):
        walked[place, :, variable] = VALUES
    drawn = model.decode(walked.reshape(len(chosen) * len(VALUES), -1))
    context.run.write_array("latent-traversal", drawn.reshape(len(chosen), len(VALUES), *drawn.shape[1:]))
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
        variables=[
            {"group": names[variable][0], "index": names[variable][1], "kl": float(kl[variable])} for variable in chosen
        ],
    )


def spherical(
    start: NDArray[np.float32], end: NDArray[np.float32], shares: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Codes (n, steps, D) on the arcs from ``start`` to ``end`` (n, D), straight lines where these point one way.

    Between codes of N(0, 1) a straight line passes through lengths that the prior does not have (White 2016, arXiv
    1609.04468); an arc keeps them.

    Args:
        shares: (steps,) of the way, in [0, 1].
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
