"""Weighted k-nearest-neighbour classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Array = TypeVar("Array", "np.ndarray", "Tensor")


def knn_predict(
    train_features: Array,
    train_labels: Array,
    features: Array,
    classes: int,
    k: int = 20,
    temperature: float = 0.07,
    chunk: int = 1024,
) -> Array:
    """Labels by a vote of the nearest training features, weighted by ``exp(cosine / temperature)``.

    Wu, Xiong, Yu, Lin 2018, "Unsupervised feature learning via non-parametric instance discrimination", section 3.4.

    Args:
        train_features: (N, D), any scale; all arguments are NumPy arrays or all are tensors on one device.
        train_labels: (N,) int64 in [0, classes).
        features: (M, D), to be classified.
        classes: number of classes.
        k: neighbours that vote, at most N.
        temperature: of the weights.
        chunk: rows classified at a time, which bounds the memory to chunk x N similarities.

    Returns:
        (M,) int64 labels, of the same kind as ``features``.
    """
    return knn_sweep(train_features, train_labels, features, classes, (k,), temperature, chunk)[0]


def knn_sweep(
    train_features: Array,
    train_labels: Array,
    features: Array,
    classes: int,
    ks: Sequence[int],
    temperature: float = 0.07,
    chunk: int = 1024,
) -> list[Array]:
    """What :func:`knn_predict` gives for each of several ``k``, at the cost of the largest one."""
    import torch  # here, so that metrics can be imported without it
    from torch.nn import functional as F

    if isinstance(features, np.ndarray):
        bank, labels, queries = (torch.from_numpy(np.array(a)) for a in (train_features, train_labels, features))
        swept = knn_sweep(bank, labels, queries, classes, ks, temperature, chunk)
        return [cast("Array", predicted.numpy()) for predicted in swept]

    bank = F.normalize(cast("Tensor", train_features).float(), dim=1)
    labels = cast("Tensor", train_labels).long()
    queries = F.normalize(cast("Tensor", features).float(), dim=1)
    predicted: list[list[Tensor]] = [[] for _ in ks]
    for part in queries.split(chunk):
        cosine, nearest = (part @ bank.T).topk(min(max(ks), len(bank)), dim=1)  # (m, k) each, nearest first
        # Less 1, the largest cosine, so that exp cannot overflow; a common factor changes no vote.
        weights = ((cosine - 1) / temperature).exp()
        for k, labels_of_k in zip(ks, predicted, strict=True):
            votes = torch.zeros(len(part), classes, device=part.device)
            labels_of_k.append(votes.scatter_add_(1, labels[nearest[:, :k]], weights[:, :k]).argmax(dim=1))
    return [cast("Array", torch.cat(parts)) for parts in predicted]
