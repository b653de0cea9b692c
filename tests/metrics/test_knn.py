from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from workbench.metrics.knn import knn_predict


@pytest.fixture
def blobs():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 16))
    labels = rng.integers(0, 5, 700)
    features = (centres[labels] + 1.5 * rng.normal(size=(700, 16))).astype(np.float32)
    return features[:500], labels[:500], features[500:], labels[500:]


def test_equals_scikit_learn_with_the_same_weights(blobs):
    train, train_labels, test, _ = blobs
    reference: Any = KNeighborsClassifier(20, metric="cosine", algorithm="brute")
    reference.set_params(weights=lambda distance: np.exp((1 - distance) / 0.07)).fit(train, train_labels)
    np.testing.assert_array_equal(knn_predict(train, train_labels, test, 5), reference.predict(test))


def test_does_not_depend_on_scale_or_chunks(blobs):
    train, labels, test, _ = blobs
    scale = np.random.default_rng(1).uniform(0.1, 10, size=(500, 1)).astype(np.float32)
    expected = knn_predict(train, labels, test, 5)
    np.testing.assert_array_equal(knn_predict(train * scale, labels, test * 3, 5, chunk=7), expected)


def test_tensors_give_a_tensor_and_more_neighbours_than_samples_are_allowed(blobs):
    train, labels, test, _ = blobs
    predicted = knn_predict(torch.tensor(train), torch.tensor(labels), torch.tensor(test), 5)
    assert isinstance(predicted, torch.Tensor)
    np.testing.assert_array_equal(predicted.numpy(), knn_predict(train, labels, test, 5))
    assert knn_predict(train[:3], labels[:3], test, 5, k=20).shape == (200,)
