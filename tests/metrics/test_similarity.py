import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from workbench.metrics.similarity import class_means, cosine_matrix

rng = np.random.default_rng(0)
X = rng.normal(size=(80, 12))


def test_cosine_equals_scikit_learn():
    np.testing.assert_allclose(cosine_matrix(X, X[:7] * 5), cosine_similarity(X, X[:7]), atol=1e-6)
    assert cosine_matrix(np.zeros((1, 12)), X).max() == 0


def test_class_means_leave_out_the_diagonal():
    matrix = rng.normal(size=(6, 6))
    labels = np.array([0, 0, 0, 1, 1, 3])
    means = class_means(matrix, labels, 4)
    off = ~np.eye(6, dtype=bool)
    for a in (0, 1):
        for b in (0, 1, 3):
            pairs = np.outer(labels == a, labels == b) & off
            assert means[a, b] == pytest.approx(matrix[pairs].mean(), rel=1e-5)
    assert np.isnan(means[3, 3]) and np.isnan(means[2]).all()
