"""Multinomial logistic regression for a whole grid of regularisations, each fit starting where the last one ended."""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

TOLERANCE = 1e-4
MAX_ITERATIONS = 300
MEMORY = 20  # pairs of steps and changes of the gradient that L-BFGS keeps
ATTEMPTS = 30  # lengths that are tried for a step
EXACT = 512  # up to this width all directions of the features are preconditioned exactly
RANK = 128  # beyond it, this many of the largest variance
SAMPLE = 10_000  # from about this many rows


@dataclass(frozen=True)
class Logistic:
    """A fitted model with K classes and D features.

    Attributes:
        classes: (K,) the labels, ascending.
        coefficients: (K, D).
        intercept: (K,).
        iterations: how many it took.
    """

    classes: np.ndarray
    coefficients: np.ndarray
    intercept: np.ndarray
    iterations: int

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(n, K) of features (n, D)."""
        return features @ self.coefficients.T.astype(features.dtype) + self.intercept.astype(features.dtype)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(n,) labels of features (n, D)."""
        return self.classes[np.argmax(self.logits(features), axis=1)]


def logistic_path(
    features: np.ndarray,
    labels: np.ndarray,
    regularisation: Sequence[float],
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
) -> Iterator[Logistic]:
    """The minima of mean cross-entropy (nats) + weight / 2 ||coefficients||^2, one per weight, as they are asked for.

    Objective, unpenalised intercept and stopping rule (no partial derivative beyond ``tolerance``) are those of
    scikit-learn's ``LogisticRegression(C=1 / (weight n), tol=tolerance)``; as there, of two classes the norm is that of
    the difference of their coefficients.

    L-BFGS (Nocedal, Wright, "Numerical optimization", algorithm 7.4) that starts from the inverse Hessian at zero, that
    of (I - 11'/K) / K (x) covariance + weight, instead of from a multiple of the identity; Böhning (Annals of the
    Institute of Statistical Mathematics 1992) bounds all Hessians by a multiple of it. What is learnt of the
    cross-entropy's curvature serves the next weight, too. Logits are linear, so the length of a step is found without
    another product with the features.

    Args:
        features: (n, D) float32 or float64, standardised; products are computed in this precision.
        labels: (n,), any integers; classes that do not occur are never predicted.
        regularisation: positive weights, best from strong to weak.
        tolerance: on every entry of the gradient.
        max_iterations: per weight.
    """
    classes, codes = np.unique(labels, return_inverse=True)
    state, factor = _State(features, codes, len(classes)), 2 if len(classes) == 2 else 1
    for weight in regularisation:
        iterations = state.minimise(factor * weight, tolerance, max_iterations)
        yield Logistic(classes, state.parameters[:, :-1].copy(), state.parameters[:, -1].copy(), iterations)


class _Pair(NamedTuple):
    """A step, the change of the gradient along it, both (K, D + 1), and one over their product."""

    step: np.ndarray
    change: np.ndarray
    inverse: float


class _State:
    """Where the minimisation stands: parameters (K, D + 1), intercepts last, and all that follows from them."""

    def __init__(self, features: np.ndarray, codes: np.ndarray, classes: int) -> None:
        n, dtype = len(features), features.dtype
        self.x = np.concatenate([features, np.ones((n, 1), dtype)], axis=1)
        self.classes = classes
        self.target = (np.arange(classes)[:, None] == codes).astype(dtype)
        self.parameters = np.zeros((classes, self.x.shape[1]))
        self.logits = np.zeros((classes, n), dtype)
        self.residual = _softmax(self.logits) - self.target
        self.slope = self._slope()
        self.pairs: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=MEMORY)  # without the penalty's part
        self.basis, self.variances, self.rest = _spectrum(features)

    def minimise(self, weight: float, tolerance: float, max_iterations: int) -> int:
        """Move to the minimum; returns the number of iterations."""
        penalty = np.full(self.x.shape[1], weight)
        penalty[-1] = 0.0
        memory = deque((_pair(step, change + penalty * step) for step, change in self.pairs), maxlen=MEMORY)
        for iteration in range(max_iterations):
            gradient = self.slope + penalty * self.parameters
            if np.abs(gradient).max() <= tolerance:
                return iteration
            direction = -self._inverse_hessian(gradient, weight, memory)
            slope = self.slope
            step = self._move(direction, gradient, penalty)
            change = self.slope - slope
            pair = _pair(step, change + penalty * step)
            if np.isfinite(pair.inverse) and pair.inverse > 0:
                memory.append(pair)
                self.pairs.append((step, change))
        return max_iterations

    def _slope(self) -> np.ndarray:
        """The gradient of the mean cross-entropy, (K, D + 1)."""
        return (self.residual @ self.x).astype(np.float64) / len(self.x)

    def _inverse_hessian(self, gradient: np.ndarray, weight: float, memory: deque[_Pair]) -> np.ndarray:
        """The two loops of L-BFGS."""
        result, products = gradient, []
        for step, change, inverse in reversed(memory):
            products.append(inverse * np.vdot(step, result))
            result = result - products[-1] * change
        result = self._precondition(result, weight)
        for step, change, inverse in memory:
            result += (products.pop() - inverse * np.vdot(change, result)) * step
        return result

    def _precondition(self, gradient: np.ndarray, weight: float) -> np.ndarray:
        coefficients = gradient[:, :-1]
        largest, rest = 1 / (self.variances / self.classes + weight), 1 / (self.rest / self.classes + weight)
        result = np.empty_like(gradient)
        result[:, :-1] = rest * coefficients + (coefficients @ self.basis * (largest - rest)) @ self.basis.T
        result[:, -1] = self.classes * gradient[:, -1]
        return result

    def _move(self, direction: np.ndarray, gradient: np.ndarray, penalty: np.ndarray) -> np.ndarray:
        """Go along a direction until the slope is at most half of what it was, and return the step (K, D + 1).

        That is the approximate Wolfe condition (Hager, Zhang, SIAM Journal on Optimization 2005), which rounding does
        not disturb near the minimum as it does differences of the objective. Newton's method, kept within a bracket.
        """
        n = len(self.x)
        change = np.ascontiguousarray((self.x @ direction.T.astype(self.x.dtype)).T)
        start, bend = np.vdot(gradient, direction), np.sum(penalty * direction**2)
        linear = np.sum(penalty * self.parameters * direction)
        length, low, high = 1.0, 0.0, np.inf
        for attempt in itertools.count(1):
            logits = self.logits + self.x.dtype.type(length) * change
            probability = _softmax(logits)
            residual = probability - self.target
            slope = np.vdot(residual, change) / n + linear + length * bend
            if abs(slope) <= 0.5 * abs(start) or attempt == ATTEMPTS:
                self.logits, self.residual = logits, residual
                break
            low, high = (length, high) if slope < 0 else (low, length)
            moment = probability * change
            curvature = (np.vdot(moment, change) - np.sum(moment.sum(axis=0) ** 2)) / n + bend
            length -= slope / max(curvature, np.finfo(np.float64).tiny)
            if not low < length < high:
                length = (low + high) / 2 if high < np.inf else 2 * low
        step = length * direction
        self.parameters += step
        self.slope = self._slope()
        return step


def _pair(step: np.ndarray, change: np.ndarray) -> _Pair:
    with np.errstate(divide="ignore"):
        return _Pair(step, change, 1 / np.vdot(step, change))


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Over the first axis, which NumPy reduces far faster than a short last one."""
    exponential = np.exp(logits - logits.max(axis=0))
    exponential /= exponential.sum(axis=0)
    return exponential


def _spectrum(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Orthonormal directions (D, r) of the features (n, D), the variances (r,) along them, the mean of the others.

    Narrow features give all D; wide ones the largest, by subspace iteration from a random start (Halko, Martinsson,
    Tropp, SIAM Review 2011, algorithm 4.4).
    """
    n, d = features.shape
    if d <= EXACT:
        variances, basis = np.linalg.eigh((features.T @ features).astype(np.float64) / n)
        return basis, np.maximum(variances, 0.0), 0.0
    features = features[:: max(1, n // SAMPLE)]
    basis = np.random.default_rng(0).standard_normal((d, min(RANK, len(features))), dtype=features.dtype)
    for _ in range(3):
        basis = np.linalg.qr(features.T @ (features @ basis))[0]
    projected = (features @ basis).astype(np.float64)
    variances, rotation = np.linalg.eigh(projected.T @ projected / len(features))
    basis = np.linalg.qr(basis.astype(np.float64) @ rotation)[0]  # once more, in the precision of what it is used in
    rest = np.square(features, dtype=np.float64).sum() / len(features) - variances.sum()
    return basis, np.maximum(variances, 0.0), max(float(rest), 0.0) / max(1, d - len(variances))
