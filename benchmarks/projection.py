"""The map of many images: openTSNE, which is used from 2,000 on, against scikit-learn's Barnes-Hut t-SNE.

    python -m benchmarks.projection --data cifar10 --n 5000 10000 50000
    python -m benchmarks.projection --features features.npy --n 50000

Both get the same 50 principal components of standardised features, perplexity, start and seed, and one thread each;
scikit-learn runs 1,000 iterations, its default, and openTSNE 250 and 500, its own. Printed are seconds on the wall
and of the processor, which other work on the machine disturbs less, and how well each map preserves neighbourhoods:
of the ten nearest images in those components, the mean share that are among the ten nearest on the map.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from workbench.data.datasets import load
from workbench.evaluation.geometry import projection

K = 10


def pixels(data: str) -> NDArray:
    """(N, C H W) values of the training images, those of the validation split at the end."""
    dataset = load(data)
    return np.concatenate([np.asarray(split.images).reshape(len(split), -1) for split in (dataset.train, dataset.val)])


def neighbours(points: NDArray) -> NDArray[np.int64]:
    """(N, K) rows of the nearest points, the point itself not among them."""
    return NearestNeighbors(n_neighbors=K).fit(points).kneighbors(return_distance=False)


def preserved(near: NDArray[np.int64], points: NDArray) -> float:
    """The mean share of the given neighbours that are among the nearest on a map."""
    return float((near[:, :, None] == neighbours(points)[:, None]).any(2).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="cifar10", help="data set whose pixels are mapped")
    parser.add_argument("--features", type=Path, help="file (.npy) of features (N, D) to map instead")
    parser.add_argument("--n", type=int, nargs="+", default=[5000, 10_000, 50_000], help="numbers of images")
    parser.add_argument("--perplexity", type=float, default=projection.PERPLEXITY)
    options = parser.parse_args()
    values = np.load(options.features) if options.features else pixels(options.data)
    sides = {"openTSNE": projection.large_tsne, "scikit-learn": projection.small_tsne}
    for n in options.n:
        components, _ = projection.principal_components(values[:n])
        near, seconds = neighbours(components), []
        for name, tsne in sides.items():
            wall, processor = time.perf_counter(), time.process_time()
            with threadpool_limits(1):
                points = tsne(components, components[:, :2], options.perplexity)
            seconds.append((time.perf_counter() - wall, time.process_time() - processor))
            print(
                f"{n:7,} {name:13} {seconds[-1][0]:8.1f} s, of the processor {seconds[-1][1]:8.1f} s; "
                f"kNN preservation {preserved(near, points):.4f}",
                flush=True,
            )
        ratios = [theirs / ours for ours, theirs in zip(*seconds, strict=True)]
        print(f"{n:7,} ratio         {ratios[0]:8.2f}, of the processor {ratios[1]:8.2f}", flush=True)


if __name__ == "__main__":
    main()
