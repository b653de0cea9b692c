"""A sweep of ten regularisations of the linear probe: ours against scikit-learn's LogisticRegression.

    python -m benchmarks.linear_probe RUN --data cifar10 --space class_token --cache features.npz

Features of all training images (train and val) of a run's network, standardised once, float32; both sides minimise
the same objectives to the same tolerance of the gradient's largest entry, in turns. scikit-learn starts every fit from
the last one (``warm_start``), with ``--cold`` from zero. It prints the medians, the ratio of each turn and, per weight,
accuracy on the test images (no weight is chosen), equal predictions and losses.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from benchmarks import turns
from workbench.metrics.logistic import Logistic, logistic_path

WEIGHTS = tuple(10.0**-exponent for exponent in np.linspace(-1, 5, 10))
MAX_ITERATIONS = 2000


def features(options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Standardised features and labels of the training images (x, y) and of the test images (x_test, y_test)."""
    if options.cache is None or not options.cache.exists():
        import workbench
        from workbench.data.datasets import load

        model, dataset = workbench.load(options.run, options.runs), load(options.data)
        train, val, test = (
            (model.encode(split.images)[options.space], np.asarray(split.labels))
            for split in (dataset.train, dataset.val, dataset.test)
        )
        (x, y), (x_test, y_test) = (np.concatenate(parts) for parts in zip(train, val, strict=True)), test
        arrays = {"x": x, "y": y, "x_test": x_test, "y_test": y_test}
        if options.cache is None:
            return standardise(arrays)
        np.savez(options.cache, allow_pickle=False, **arrays)
    return standardise(dict(np.load(options.cache)))


def standardise(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    scaler = StandardScaler().fit(arrays["x"])
    return arrays | {name: np.asarray(scaler.transform(arrays[name]), np.float32) for name in ("x", "x_test")}


def ours(x: np.ndarray, y: np.ndarray, tolerance: float) -> list[Logistic]:
    return list(logistic_path(x, y, WEIGHTS, tolerance, MAX_ITERATIONS))


def theirs(x: np.ndarray, y: np.ndarray, tolerance: float, cold: bool) -> list[Logistic]:
    model, fits = LogisticRegression(tol=tolerance, max_iter=MAX_ITERATIONS, warm_start=not cold), []
    for weight in WEIGHTS:
        model.C = 1 / (weight * len(x))
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            model.fit(x, y)
        fits.append(Logistic(model.classes_, np.array(model.coef_), np.array(model.intercept_), int(model.n_iter_[0])))
    return fits


def clock() -> tuple[float, float]:
    """Wall-clock and processor seconds; other load on the machine disturbs the latter less."""
    return time.perf_counter(), time.process_time()


def loss(fit: Logistic, weight: float, x: np.ndarray, y: np.ndarray) -> float:
    """The objective in float64."""
    logits = fit.logits(x).astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    entropy = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), np.searchsorted(fit.classes, y)]
    return float(entropy.mean() + weight / 2 * np.sum(fit.coefficients.astype(np.float64) ** 2))


def main() -> None:
    parser = turns.parser(
        __doc__, runs="runs", data="cifar10", space="class_token", tolerance=1e-4, threads=2, rounds=3
    )
    parser.add_argument("run", help="id, unique prefix, name or path of a run")
    parser.add_argument("--cache", type=Path, help="file (.npz) that keeps the features")
    parser.add_argument("--cold", action="store_true", help="let scikit-learn start every fit from zero")
    options = parser.parse_args()
    data = features(options)
    x, y, x_test, y_test = (data[name] for name in ("x", "y", "x_test", "y_test"))
    fits, peers, seconds = [], [], []
    with threadpool_limits(options.threads):
        for _ in range(options.rounds):
            clocks = [clock()]
            fits = ours(x, y, options.tolerance)
            clocks.append(clock())
            peers = theirs(x, y, options.tolerance, options.cold)
            clocks.append(clock())
            seconds.append(np.diff(clocks, axis=0))
            print("seconds (wall, processor): ours, scikit-learn", *seconds[-1].round(2).tolist(), flush=True)
    print("weight     iterations   test accuracy, %   equal predictions, %   loss beyond ours")
    for weight, fit, peer in zip(WEIGHTS, fits, peers, strict=True):
        labels, peer_labels = fit.predict(x_test), peer.predict(x_test)
        more = loss(peer, weight, x, y) - loss(fit, weight, x, y)
        print(
            f"{weight:8.1e}   {fit.iterations:4d} {peer.iterations:4d}   {100 * np.mean(labels == y_test):8.2f} "
            f"{100 * np.mean(peer_labels == y_test):8.2f}   {100 * np.mean(labels == peer_labels):16.2f}   {more:18.1e}"
        )
    (mine, mine_cpu), (peer, peer_cpu) = np.median(seconds, axis=0)
    shape = f"{x.shape[0]:,} x {x.shape[1]}, {options.threads} threads, tolerance {options.tolerance:g}"
    start = "from zero" if options.cold else "warm start"
    print(f"workbench                {mine:8.2f} s, {mine_cpu:.2f} s of processor; {len(WEIGHTS)} weights, {shape}")
    print(f"scikit-learn             {peer:8.2f} s, {peer_cpu:.2f} s of processor; {start}")
    for index, name in enumerate(("ratio", "ratio of processor time")):
        ratios = [turn[1, index] / turn[0, index] for turn in seconds]
        print(f"{name:24} {np.median(ratios):8.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
