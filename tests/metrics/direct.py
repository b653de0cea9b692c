"""Similarities of representations by their formulas, for the tests of :mod:`workbench.metrics.agreement`."""

import numpy as np


def linear_cka(x: np.ndarray, y: np.ndarray) -> float:
    """HSIC with a centring matrix, of features (n, D) and (n, E)."""
    centring = np.eye(len(x)) - 1 / len(x)
    k, el = centring @ x @ x.T @ centring, centring @ y @ y.T @ centring
    return float(np.trace(k @ el) / np.sqrt(np.trace(k @ k) * np.trace(el @ el)))


def procrustes(x: np.ndarray, y: np.ndarray) -> float:
    """The sum of the singular values of X^T Y, of centred features at unit norm."""
    x, y = (z / np.linalg.norm(z) for z in (x - x.mean(axis=0), y - y.mean(axis=0)))
    return float(np.linalg.norm(x.T @ y, "nuc"))
