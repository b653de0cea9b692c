"""The probe set in two dimensions: t-SNE, principal components and UMAP, turned so that maps can be compared."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from workbench import store
from workbench.errors import WorkbenchError
from workbench.evaluation.context import Context
from workbench.model import TrainedModel
from workbench.training.snapshots import load_snapshot, snapshots

try:
    from umap import UMAP  # type: ignore[import-not-found]  # the extra "umap"
except ImportError:
    UMAP = None

Points = NDArray[np.float32]
PERPLEXITY, NEIGHBOURS, SEED = 30, 15, 0
LEAST = 4  # images; fewer have no neighbourhoods that a map could keep
SPACES = 2  # the default and the one after it; each takes seconds
START = 1e-4  # standard deviation of the map that t-SNE starts from, as in Kobak and Berens 2019
SHORT = 500  # iterations of t-SNE where the start is a finished map


def evaluate(context: Context) -> None:
    """Write ``projection.json`` and the maps of the run's spaces; those of pixels are kept with the probe set."""
    n, data = len(context.material.probe), context.material.dataset.name
    if n < LEAST:
        return context.skip("projection", f"A map takes at least {LEAST} images, and the probe set of {data} has {n}.")
    perplexity = float(min(PERPLEXITY, (n - 1) // 3))
    protocol = protocol_of(perplexity)
    reference = _pixels(context, protocol, n, perplexity)
    explained, kept = {}, []
    for space, features in list(context.trained.features.test.items())[:SPACES]:
        drawn, explained[space] = maps(features[:n], perplexity, reference)
        _write(context.run, space, drawn)
        if space == context.model.default:
            kept = _through_training(context, space, drawn, perplexity)
    context.write(
        "projection",
        protocol,
        n,
        "probe",
        spaces=list(explained),
        default=context.model.default,
        explained=explained,
        perplexity=perplexity,
        snapshots=kept,
    )


def protocol_of(perplexity: float) -> str:
    """What the maps are, in one sentence."""
    umap = f", UMAP (McInnes et al. 2018, {NEIGHBOURS} neighbours)" if UMAP is not None else ""
    return (
        f"t-SNE (van der Maaten and Hinton 2008, perplexity {perplexity:g}, started from principal components, seed "
        f"{SEED}){umap} and the first two principal components of standardised features of the probe images; maps are "
        "turned and mirrored, never stretched, to lie as near to the pixels' map as they can, those of snapshots to "
        "the map of the end of training (orthogonal Procrustes); distances between far groups in t-SNE or UMAP mean "
        "nothing."
    )


def aligned(points: NDArray, reference: NDArray) -> Points:
    """Points turned and mirrored about their mean to lie as near as they can to others: orthogonal Procrustes
    (Schönemann 1966), the rotation U V^T of the singular value decomposition of points^T reference.

    Args:
        points, reference: (n, 2), row by row the same images.

    Returns:
        (n, 2) with mean zero; distances between points are as before.
    """
    points, reference = points - points.mean(0), reference - reference.mean(0)
    left, _, right = np.linalg.svd(points.T.astype(np.float64) @ reference)
    return (points @ (left @ right)).astype(np.float32)


def maps(
    features: NDArray,
    perplexity: float,
    reference: dict[str, Points] | None = None,
    finished: dict[str, Points] | None = None,
) -> tuple[dict[str, Points], list[float]]:
    """The maps of features by kind.

    Args:
        features: (n, D).
        perplexity: of t-SNE.
        reference: maps that these are turned to.
        finished: maps of another moment of the same training, which are the reference and the start, too.

    Returns:
        (n, 2) by kind, ``tsne``, ``pca`` and, where umap-learn is installed, ``umap``; and the parts of the variance
        that the two principal components explain.
    """
    scaled = StandardScaler().fit_transform(features)
    scaled = np.pad(scaled, ((0, 0), (0, max(0, 2 - scaled.shape[1]))))  # a map has two axes
    kinds = ("tsne", "pca", *(("umap",) if UMAP is not None else ()))
    if not scaled.any():  # all images in one point, where t-SNE would crash the process
        return {kind: np.zeros((len(features), 2), np.float32) for kind in kinds}, [0.0, 0.0]
    components = PCA(n_components=min(50, *scaled.shape), random_state=SEED).fit(scaled)
    reduced = components.transform(scaled)
    reference = finished or reference or {}
    drawn = {"pca": _turned(reduced[:, :2], reference.get("pca"))}
    start = finished or dict.fromkeys(kinds, drawn["pca"])
    with threadpool_limits(1):  # a thousand points are too few to share
        drawn["tsne"] = _tsne(reduced, start.get("tsne", drawn["pca"]), perplexity, SHORT if finished else 1000)
        if UMAP is not None:
            drawn["umap"] = _umap(reduced, start.get("umap", drawn["pca"]))
    turned = {kind: _turned(points, reference.get(kind)) for kind, points in drawn.items()}
    return turned, [float(part) for part in components.explained_variance_ratio_[:2]]


def _turned(points: NDArray, reference: NDArray | None) -> Points:
    fits = reference is not None and len(reference) == len(points)
    return aligned(points, reference) if reference is not None and fits else points.astype(np.float32)


def _tsne(reduced: NDArray, start: Points, perplexity: float, iterations: int) -> NDArray:
    first: Any = start / max(float(start[:, 0].std()), 1e-12) * START
    return TSNE(perplexity=perplexity, init=first, random_state=SEED, max_iter=iterations).fit_transform(reduced)


def _umap(reduced: NDArray, start: Points) -> NDArray:
    assert UMAP is not None
    first = start / max(float(np.abs(start).max()), 1e-12) * 10  # the size that UMAP gives its own starts
    neighbours = min(NEIGHBOURS, len(reduced) - 1)
    return np.asarray(UMAP(n_neighbors=neighbours, init=first, random_state=SEED, n_jobs=1).fit_transform(reduced))


def _write(target: store.Run | store.Probe, name: str, drawn: dict[str, Points]) -> None:
    for kind, points in drawn.items():
        target.write_array(f"{kind}-{name}", points)


def _pixels(context: Context, protocol: str, n: int, perplexity: float) -> dict[str, Points]:
    """The maps of pixels, which all runs on the same data share and are turned to."""
    kept = store.Probe(context.probe.path / "baselines")
    known = kept.evaluation("projection")
    stored = {kind: points for kind in ("tsne", "pca", "umap") if (points := kept.array(f"{kind}-pixels")) is not None}
    if (known.get("protocol"), known.get("n")) == (protocol, n) and {"tsne", "pca"} <= stored.keys():
        return {kind: np.asarray(points) for kind, points in stored.items()}
    drawn, explained = maps(context.material.pixels.test["pixels"][:n], perplexity)
    _write(kept, "pixels", drawn)
    content = {"protocol": protocol, "spaces": ["pixels"], "n": n, "explained": {"pixels": explained}}
    kept.write_evaluation("projection", content)
    return drawn


def _through_training(
    context: Context, space: str, final: dict[str, Points], perplexity: float
) -> list[dict[str, Any]]:
    """Write the maps at the run's snapshots, each started from the one after it, and those of the end again.

    Returns:
        ``step`` and the ``share`` of training of each, the end last; nothing where the run has no snapshots.
    """
    model = context.model
    told = re.search(r"step (\d+)", model.checkpoint)
    end = int(told.group(1)) if told else 0
    found = [(step, file) for step, file in snapshots(context.run) if step < end]
    if not found:
        return []
    _write(context.run, f"{space}-step-{end}", final)
    kept, later = [{"step": end, "share": 1.0}], final
    for step, file in context.track(found[::-1], "snapshots"):
        try:
            method = load_snapshot(context.run, file, model.device)
        except WorkbenchError:  # torn; the others still show how it went
            continue
        then = TrainedModel(context.run, method, model.config, model.images, f"step {step}", model.device)
        features = then.encode(context.material.probe.images)[space]
        later, _ = maps(features, perplexity, finished=later)
        _write(context.run, f"{space}-step-{step}", later)
        kept.append({"step": step, "share": step / end})
    return kept[::-1]
