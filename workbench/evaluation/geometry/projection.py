"""The probe set in two dimensions: t-SNE, principal components and UMAP, turned so that maps can be compared."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from workbench import store
from workbench.errors import WorkbenchError
from workbench.evaluation.context import Context
from workbench.model import TrainedModel
from workbench.training.snapshots import load_snapshot, snapshots

Points = NDArray[np.float32]
Track = Callable[[Sequence, str], Iterable]
KINDS = ("tsne", "pca", *(("umap",) if find_spec("umap") else ()))  # umap-learn comes with the extra "umap"
PERPLEXITY, NEIGHBOURS, SEED = 30, 15, 0
LEAST = 4  # images; fewer have no neighbourhoods that a map could keep
LARGE = 2000  # images from which on openTSNE takes the place of scikit-learn
SPACES = 2  # the default and the one after it; each takes seconds
START = 1e-4  # standard deviation of the map that t-SNE starts from, as in Kobak and Berens 2019
ITERATIONS, SHORT = 1000, 500  # of scikit-learn, and where the start is a finished map
EXAGGERATION, MOMENTUM = 12, 0.8  # of openTSNE
LARGE_ITERATIONS, LARGE_SHORT = (250, 500), (125, 250)  # with early exaggeration and without it
TICK = 25  # iterations between two reports of progress


def evaluate(context: Context) -> None:
    """Write ``projection.json`` and the maps of the run's spaces; those of pixels are kept with the probe set.

    Both are written after every map, so that an interrupted evaluation leaves the finished ones.
    """
    n, data = len(context.material.probe), context.material.dataset.name
    if n < LEAST:
        return context.skip("projection", f"A map takes at least {LEAST} images, and the probe set of {data} has {n}.")
    perplexity = float(min(PERPLEXITY, (n - 1) // 3))
    protocol = protocol_of(perplexity, n)
    reference = _pixels(context, protocol, n, perplexity)
    explained: dict[str, list[float]] = {}
    through_training: list[dict[str, Any]] = []

    def save(through_training: list[dict[str, Any]]) -> None:
        context.write(
            "projection",
            protocol,
            n,
            "probe",
            spaces=list(explained),
            default=context.model.default,
            explained=explained,
            perplexity=perplexity,
            snapshots=through_training,
        )

    for space, features in list(context.trained.features.test.items())[:SPACES]:
        final, explained[space] = maps(features[:n], perplexity, reference, track=context.track, name=space)
        _write(context.run, space, final)
        save(through_training)
        if space == context.model.default:
            for through_training in _through_training(context, space, final, perplexity):
                save(through_training)


def protocol_of(perplexity: float, n: int) -> str:
    """What the maps of ``n`` images are, in one sentence."""
    library = ""
    if n >= LARGE:
        library = (
            f" by openTSNE (Poličar et al. 2024), {LARGE_ITERATIONS[0]} iterations with early exaggeration of "
            f"{EXAGGERATION} and {LARGE_ITERATIONS[1]} without it, of snapshots {LARGE_SHORT[0]} and {LARGE_SHORT[1]} "
            "from the map after them"
        )
    umap = f", UMAP (McInnes et al. 2018, {NEIGHBOURS} neighbours)" if "umap" in KINDS else ""
    return (
        f"t-SNE (van der Maaten and Hinton 2008{library}, perplexity {perplexity:g}, started from principal "
        f"components, seed {SEED}){umap} and the first two principal components of standardised features of the probe "
        "images; maps are turned and mirrored, never stretched, to lie as near to the pixels' map as they can, those "
        "of snapshots to the map of the end of training (orthogonal Procrustes); distances between far groups in t-SNE "
        "or UMAP mean nothing."
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


def principal_components(features: NDArray) -> tuple[NDArray, list[float]]:
    """Up to 50 principal components of standardised features, and the share of the variance that each explains.

    Args:
        features: (n, D).

    Returns:
        (n, min(50, n, D)), but at least two columns; all zero where all rows are the same.
    """
    scaled = StandardScaler().fit_transform(features)
    scaled = np.pad(scaled, ((0, 0), (0, max(0, 2 - scaled.shape[1]))))  # a map has two axes
    if not scaled.any():
        return scaled[:, :2], [0.0, 0.0]
    model = PCA(n_components=min(50, *scaled.shape), random_state=SEED).fit(scaled)
    return model.transform(scaled), model.explained_variance_ratio_.tolist()


def maps(
    features: NDArray,
    perplexity: float,
    reference: dict[str, Points] | None = None,
    finished: dict[str, Points] | None = None,
    track: Track = lambda items, what: items,
    name: str = "features",
) -> tuple[dict[str, Points], list[float]]:
    """The maps of features by kind.

    Args:
        features: (n, D).
        perplexity: of t-SNE.
        reference: maps that these are turned to.
        finished: maps of another moment of the same training, which are both the reference and the start.
        track: shows the progress of a long map, under the name of the features.

    Returns:
        (n, 2) by kind, ``tsne``, ``pca`` and, where umap-learn is installed, ``umap``; and the shares of the variance
        that the two principal components explain.
    """
    components, explained = principal_components(features)
    if not components.any():  # all images in one point, where t-SNE would crash the process
        return {kind: np.zeros((len(features), 2), np.float32) for kind in KINDS}, explained[:2]
    reference = finished or reference or {}
    points = {"pca": _turned(components[:, :2], reference.get("pca"))}
    refine = finished is not None and bool(finished["tsne"].any())  # from one point no map would unfold
    start = finished if finished and refine else dict.fromkeys(KINDS, points["pca"])
    with threadpool_limits(1):  # one map on every machine, and a thousand points are too few to share
        first = start.get("tsne", points["pca"])
        if len(features) < LARGE:
            points["tsne"] = small_tsne(components, first, perplexity, refine)
        else:
            points["tsne"] = large_tsne(components, first, perplexity, refine, lambda i: track(i, f"map of {name}"))
        if "umap" in KINDS:
            points["umap"] = _umap(components, start.get("umap", points["pca"]))
    return {kind: _turned(values, reference.get(kind)) for kind, values in points.items()}, explained[:2]


def _turned(points: NDArray, reference: NDArray | None) -> Points:
    fits = reference is not None and len(reference) == len(points)
    return aligned(points, reference) if reference is not None and fits else points.astype(np.float32)


def small_tsne(components: NDArray, start: NDArray, perplexity: float, refine: bool = False) -> NDArray:
    """t-SNE (n, 2) by scikit-learn.

    Args:
        components: (n, D).
        start: (n, 2), of any size.
        perplexity: effective number of neighbours.
        refine: take the start for a finished map of similar features, and stop early.
    """
    from sklearn.manifold import TSNE

    iterations = SHORT if refine else ITERATIONS
    model = TSNE(perplexity=perplexity, init=_shrunk(start), random_state=SEED, max_iter=iterations)
    return model.fit_transform(components)


def large_tsne(
    components: NDArray,
    start: NDArray,
    perplexity: float,
    refine: bool = False,
    track: Callable[[Sequence], Iterable] = iter,
) -> NDArray:
    """t-SNE (n, 2) by openTSNE, whose time grows linearly: arguments as of :func:`small_tsne`, and ``track``, which
    shows the progress.

    A finished map is shrunk and exaggerated like any other start. At its full size and without exaggeration the points
    stayed where they were: 9 instead of 5 % of an image's neighbours were those of the other features alone.

    One thread, so that the map is the same on any number of processors.
    """
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import Annoy, PrecomputedNeighbors

    n, k = len(components), int(3 * perplexity)
    index = Annoy(components, k, random_state=SEED)
    neighbours, distances = index.build()
    # openTSNE 1.0 takes the first neighbour for the image itself, but of equal images it may be another one.
    for row in np.flatnonzero((neighbours == np.arange(n)[:, None]).any(axis=1)):
        neighbours[row] = [other for other in index.index.get_nns_by_item(row, k + 1) if other != row][:k]
    known: Any = {"perplexity": perplexity, "knn_index": PrecomputedNeighbors(neighbours, distances)}
    affinities = PerplexityBasedNN(**known)
    points = TSNEEmbedding(_shrunk(start), affinities, random_state=SEED, momentum=MOMENTUM)
    exaggerated, plain = LARGE_SHORT if refine else LARGE_ITERATIONS
    for done in track(range(0, exaggerated + plain, TICK)):
        points.optimize(TICK, exaggeration=EXAGGERATION if done < exaggerated else None, inplace=True)
    return np.asarray(points)


def _shrunk(start: NDArray) -> Any:
    return start / max(float(start[:, 0].std()), 1e-12) * START


def _umap(components: NDArray, start: Points) -> NDArray:
    from umap import UMAP  # type: ignore[import-not-found]

    first = start / max(float(np.abs(start).max()), 1e-12) * 10  # the size that UMAP gives its own starts
    neighbours = min(NEIGHBOURS, len(components) - 1)
    return np.asarray(UMAP(n_neighbors=neighbours, init=first, random_state=SEED, n_jobs=1).fit_transform(components))


def _write(target: store.Run | store.Probe, name: str, points: dict[str, Points]) -> None:
    for kind, values in points.items():
        target.write_array(f"{kind}-{name}", values)


def _pixels(context: Context, protocol: str, n: int, perplexity: float) -> dict[str, Points]:
    """The maps of pixels, which all runs on the same data share and are turned to."""
    baselines = context.baselines
    known = baselines.evaluation("projection")
    arrays = {kind: baselines.array(f"{kind}-pixels") for kind in ("tsne", "pca", "umap")}
    stored = {kind: np.asarray(points) for kind, points in arrays.items() if points is not None}
    if (known.get("protocol"), known.get("n")) == (protocol, n) and {"tsne", "pca"} <= stored.keys():
        return stored
    pixels = context.material.pixels.test["pixels"][:n]
    points, explained = maps(pixels, perplexity, track=context.track, name="pixels")
    _write(baselines, "pixels", points)
    content = {"protocol": protocol, "spaces": ["pixels"], "n": n, "explained": {"pixels": explained}}
    baselines.write_evaluation("projection", content)
    return points


def _through_training(
    context: Context, space: str, final: dict[str, Points], perplexity: float
) -> Iterator[list[dict[str, Any]]]:
    """Write the maps at the run's snapshots, each started from the one after it, and those of the end again.

    Yields:
        ``step`` and the ``share`` of training of each map that is written, the end last; nothing where the run has no
        snapshots.
    """
    model = context.model
    match = re.search(r"step (\d+)", model.checkpoint)
    end = int(match.group(1)) if match else 0
    earlier = [(step, file) for step, file in snapshots(context.run) if step < end]
    if not earlier:
        return
    _write(context.run, f"{space}-step-{end}", final)
    written, later = [{"step": end, "share": 1.0}], final
    yield written
    for step, file in context.track(earlier[::-1], "snapshots"):
        try:
            method = load_snapshot(context.run, file, model.device)
        except WorkbenchError:  # torn; the others still show how it went
            continue
        snapshot = TrainedModel(context.run, method, model.config, model.images, f"step {step}", model.device)
        features, name = snapshot.encode(context.material.probe.images)[space], f"step {step}"
        later, _ = maps(features, perplexity, finished=later, track=context.track, name=name)
        _write(context.run, f"{space}-step-{step}", later)
        written.insert(0, {"step": step, "share": step / end})
        yield written
