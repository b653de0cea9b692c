"""The probe set in two dimensions: t-SNE and principal components."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from workbench import store
from workbench.evaluation.context import Context
from workbench.evaluation.features import Spaces

PERPLEXITY, SEED = 30, 0
LEAST = 4  # images; fewer have no neighbourhoods that a map could keep
SPACES = 2  # the default and the one after it; each takes seconds


def evaluate(context: Context) -> None:
    """Write ``projection.json`` and the maps of the run's spaces; those of pixels are kept with the probe set."""
    n, data = len(context.material.probe), context.material.dataset.name
    if n < LEAST:
        return context.skip("projection", f"A map takes at least {LEAST} images, and the probe set of {data} has {n}.")
    perplexity = float(min(PERPLEXITY, (n - 1) // 3))
    protocol = (
        f"t-SNE (van der Maaten and Hinton 2008; perplexity {perplexity:g}, started from principal components, seed "
        f"{SEED}) and the first two principal components of standardised features of the probe images; distances "
        "between far groups in a t-SNE map mean nothing."
    )
    spaces = {name: features[:n] for name, features in context.trained.features.test.items()}
    spaces = dict(list(spaces.items())[:SPACES])
    explained = {space: _project(context.run, space, features, perplexity) for space, features in spaces.items()}
    context.write(
        "projection",
        protocol,
        n,
        "probe",
        spaces=list(spaces),
        default=context.model.default,
        explained=explained,
        perplexity=perplexity,
    )
    kept = store.Probe(context.probe.path / "baselines")
    known = kept.evaluation("projection")
    if (known.get("protocol"), known.get("n")) != (protocol, n):
        pixels: Spaces = {"pixels": context.material.pixels.test["pixels"][:n]}
        explained = {space: _project(kept, space, features, perplexity) for space, features in pixels.items()}
        content = {"protocol": protocol, "spaces": ["pixels"], "n": n, "explained": explained}
        kept.write_evaluation("projection", content)


def _project(target: store.Run | store.Probe, space: str, features: np.ndarray, perplexity: float) -> list[float]:
    """Write the maps of a space; the parts of the variance that the two components explain."""
    scaled = StandardScaler().fit_transform(features)
    scaled = np.pad(scaled, ((0, 0), (0, max(0, 2 - scaled.shape[1]))))  # a map has two axes
    if not scaled.any():  # all images in one point, where t-SNE would crash the process
        for kind in ("tsne", "pca"):
            target.write_array(f"{kind}-{space}", np.zeros((len(features), 2), np.float32))
        return [0.0, 0.0]
    components = PCA(n_components=min(50, *scaled.shape), random_state=SEED).fit(scaled)
    reduced = components.transform(scaled)
    with threadpool_limits(1):  # a thousand points are too few to share
        points = TSNE(perplexity=perplexity, init="pca", random_state=SEED).fit_transform(reduced)
    target.write_array(f"tsne-{space}", points.astype(np.float32))
    target.write_array(f"pca-{space}", reduced[:, :2].astype(np.float32))
    return [float(part) for part in components.explained_variance_ratio_[:2]]
