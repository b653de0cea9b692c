import numpy as np
import pytest
from scipy.stats import ortho_group
from sklearn.metrics.pairwise import cosine_similarity

from workbench.metrics.similarity import centred_gram, class_means, cosine_matrix, linear_cka

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(80, 12)), rng.normal(size=(80, 30))
Y[:, :6] += X[:, :6]


def test_cosine_equals_scikit_learn():
    np.testing.assert_allclose(cosine_matrix(X, X[:7] * 5), cosine_similarity(X, X[:7]), atol=1e-6)
    assert cosine_matrix(np.zeros((1, 12)), X).max() == 0


def test_cka_equals_hsic_with_a_centring_matrix():
    h = np.eye(80) - 1 / 80
    k, el = h @ X @ X.T @ h, h @ Y @ Y.T @ h
    expected = np.trace(k @ el) / np.sqrt(np.trace(k @ k) * np.trace(el @ el))
    assert linear_cka(X, Y) == pytest.approx(expected)


def test_feature_and_kernel_form_agree():
    wide = np.concatenate([Y] * 300, axis=1)  # 12 x 9000 is more than 80 x 80
    assert linear_cka(X, wide) == pytest.approx(linear_cka(X, Y))
    assert np.sum(centred_gram(X) * centred_gram(Y)) == pytest.approx(linear_cka(X, Y))


def test_cka_is_invariant_to_rotation_scale_and_shift_but_not_to_other_linear_maps():
    turned = 3 * X @ ortho_group.rvs(12, random_state=1) + 5
    assert linear_cka(X, turned) == pytest.approx(1)
    assert linear_cka(turned, Y) == pytest.approx(linear_cka(X, Y))
    assert linear_cka(X * np.logspace(0, 2, 12), Y) != pytest.approx(linear_cka(X, Y), abs=0.01)


def test_cka_of_constant_features_is_zero():
    assert linear_cka(np.ones((80, 3)), Y) == 0
    assert np.sum(centred_gram(np.ones((80, 3))) * centred_gram(Y)) == 0


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
