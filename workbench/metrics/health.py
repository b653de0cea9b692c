"""Whether features still tell images apart: numbers of their spread, none of which needs labels. NumPy alone."""

import numpy as np


def normalised(features: np.ndarray) -> np.ndarray:
    """Rows of (n, D) at unit length, float64; a row of zeros stays."""
    features = np.asarray(features, np.float64)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def effective_rank(features: np.ndarray) -> float:
    """Over how many directions features (n, D) spread, from 1 to min(n, D); NaN where all are zero.

    exp of the entropy of the singular values' shares (Roy and Vetterli, EUSIPCO 2007, equation 3), of features as they
    are, without their mean taken off, as RankMe does (Garrido et al., ICML 2023, equation 1).
    """
    features = np.asarray(features, np.float64)
    tall = len(features) >= features.shape[1]
    squares = np.linalg.eigvalsh(features.T @ features if tall else features @ features.T)
    singular = np.sqrt(np.maximum(squares, 0.0))
    if not singular.sum() > 0:
        return float("nan")
    shares = singular / singular.sum()
    shares = shares[shares > 0]
    return float(np.exp(-np.sum(shares * np.log(shares))))


def normalised_std(features: np.ndarray) -> float:
    """Standard deviation of L2-normalised features (n, D), the mean over dimensions, times sqrt(D).

    0 where all images have one feature, about 1 where they spread evenly over the sphere (Chen and He, "Exploring
    simple Siamese representation learning", CVPR 2021, section 4.1, where 1 / sqrt(D) is the even spread).
    """
    return float(normalised(features).std(axis=0).mean() * np.sqrt(features.shape[1]))


def uniformity(features: np.ndarray, t: float = 2.0) -> float:
    """ln of the mean of exp(-t |x - y|^2) over pairs of different L2-normalised features (n, D), n >= 2.

    0 where all are one, lower where they spread (Wang and Isola, ICML 2020, equation 2 of section 4.1.2).
    """
    unit = normalised(features)
    squares = np.maximum(2.0 - 2.0 * (unit @ unit.T)[np.triu_indices(len(unit), 1)], 0.0)
    return float(np.log(np.mean(np.exp(-t * squares))))


def alignment(first: np.ndarray, second: np.ndarray) -> float:
    """Mean squared distance of the L2-normalised features (n, D) of two views of the same images, in [0, 4].

    0 where views are alike (Wang and Isola 2020, section 4.1.1, alpha = 2).
    """
    return float(np.mean(np.sum((normalised(first) - normalised(second)) ** 2, axis=1)))
