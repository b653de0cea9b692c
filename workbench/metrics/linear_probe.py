"""Linear read-outs of fixed features: what a linear model can tell from them."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from workbench.errors import WorkbenchError
from workbench.metrics.logistic import MAX_ITERATIONS as MAX_ITERATIONS
from workbench.metrics.logistic import logistic_path

REGULARISATION = tuple(10.0**-exponent for exponent in range(-1, 6))
RIDGE = tuple(10.0**-exponent for exponent in range(-1, 6))
# Features x samples below which a second thread gains little, and costs a lot on a busy machine.
ONE_THREAD = 100_000_000


@dataclass(frozen=True)
class LinearProbe:
    """A fitted multinomial logistic regression.

    Attributes:
        predicted: (n_test,) int64 labels of the test features.
        regularisation: the chosen weight of ``||W||^2 / 2`` beside the mean cross-entropy in nats.
        validation_accuracy: in [0, 1], at that weight.
    """

    predicted: np.ndarray
    regularisation: float
    validation_accuracy: float


def linear_probe(
    train: np.ndarray,
    train_labels: np.ndarray,
    val: np.ndarray,
    val_labels: np.ndarray,
    test: np.ndarray,
    regularisation: tuple[float, ...] = REGULARISATION,
) -> LinearProbe:
    """Multinomial logistic regression on standardised features, its L2 regularisation chosen on the validation split.

    The sweep goes from strong to weak, each fit starting from the last one, and ends once the validation accuracy has
    been below its best for two weights in a row: weaker regularisation takes longest and would only overfit more.

    Args:
        train, val, test: features (n, D) of each split; mean and deviation are those of ``train``.
        train_labels, val_labels: (n,) int64.
        regularisation: positive weights to try, strongest first.

    Raises:
        WorkbenchError: a feature is not a finite number.
    """
    if not all(np.isfinite(features).all() for features in (train, val, test)):
        raise WorkbenchError("Features hold NaN or infinity, so no linear probe can be fitted: has training diverged?")
    scaler = StandardScaler().fit(train)
    train, val, test = (np.asarray(scaler.transform(x), dtype=np.float32) for x in (train, val, test))
    best, worse = LinearProbe(np.zeros(0, np.int64), 0.0, -1.0), 0
    with threadpool_limits(1 if train.size < ONE_THREAD else None):
        for weight, model in zip(regularisation, logistic_path(train, train_labels, regularisation), strict=True):
            accuracy = float(np.mean(model.predict(val) == val_labels))
            if accuracy > best.validation_accuracy:
                best, worse = LinearProbe(model.predict(test).astype(np.int64), weight, accuracy), 0
            else:
                worse += accuracy < best.validation_accuracy
                if worse == 2:
                    break
    return best


def ridge_predict(
    train: np.ndarray,
    train_targets: list[np.ndarray],
    val: np.ndarray,
    val_targets: list[np.ndarray],
    test: np.ndarray,
    regularisation: tuple[float, ...] = RIDGE,
) -> list[np.ndarray]:
    """Ridge regression of several targets on standardised features, each regularised as the validation split prefers.

    Args:
        train, val, test: features (n, D) of each split; mean and deviation are those of ``train``.
        train_targets, val_targets: per target (n, outputs); the outputs of a target share their regularisation.
        regularisation: weights of ``||W||^2`` beside the mean squared error, to be tried.

    Returns:
        Per target (n_test, outputs) float64.
    """
    scaler = StandardScaler().fit(train)
    x, x_val, x_test = (np.asarray(scaler.transform(split), dtype=np.float64) for split in (train, val, test))
    widths = np.cumsum([target.shape[1] for target in train_targets])[:-1]
    y, y_val = (np.concatenate(targets, axis=1).astype(np.float64) for targets in (train_targets, val_targets))
    mean = y.mean(axis=0)
    n, d = x.shape
    # The primal and the dual problem have one solution; the smaller one is solved.
    gram, right = (x.T @ x, x.T @ (y - mean)) if d <= n else (x @ x.T, y - mean)
    best: list[tuple[float, np.ndarray]] = [(np.inf, np.zeros(0))] * len(train_targets)
    for weight in regularisation:
        solution = solve(gram + weight * n * np.eye(len(gram)), right, assume_a="pos")
        coefficients = solution if d <= n else x.T @ solution
        predicted = np.split(x_test @ coefficients + mean, widths, axis=1)
        residuals = np.split(x_val @ coefficients + mean - y_val, widths, axis=1)
        for index, residual in enumerate(residuals):
            error = float(np.mean(residual**2))
            if error < best[index][0]:
                best[index] = (error, predicted[index])
    return [prediction for _, prediction in best]


def ridge_classify(
    train: np.ndarray, labels: np.ndarray, features: np.ndarray, classes: int, weight: float = 0.1
) -> np.ndarray:
    """Classes by ridge regression of one-hot labels on standardised features: a quick probe that chooses nothing.

    Args:
        train: finite features (N, D); mean and deviation are theirs. labels: (N,) int64 in [0, classes).
        features: (M, D), to be classified.
        weight: of ``||W||^2`` beside the mean squared error.

    Returns:
        (M,) int64 labels.
    """
    scaler = StandardScaler().fit(train)
    x, queries = (np.asarray(scaler.transform(split), dtype=np.float64) for split in (train, features))
    targets = np.eye(classes)[labels]
    mean, (n, d) = targets.mean(axis=0), x.shape
    # As in :func:`ridge_predict`.
    gram, right = (x.T @ x, x.T @ (targets - mean)) if d <= n else (x @ x.T, targets - mean)
    with threadpool_limits(1 if train.size < ONE_THREAD else None):
        solution = solve(gram + weight * n * np.eye(len(gram)), right, assume_a="pos")
    return (queries @ (solution if d <= n else x.T @ solution) + mean).argmax(axis=1)


def circle(angle: np.ndarray, period: float) -> np.ndarray:
    """A circular quantity (n,) as points (n, 2) on the unit circle, so that both ends of its range coincide."""
    phase = 2 * np.pi * np.asarray(angle, dtype=np.float64) / period
    return np.stack([np.cos(phase), np.sin(phase)], axis=1)
