import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from workbench.errors import WorkbenchError
from workbench.metrics.linear_probe import circle, linear_probe, ridge_classify, ridge_predict


@pytest.fixture
def splits():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 900)
    scales = np.logspace(-2, 2, 24)
    features = (rng.normal(size=(4, 24))[labels] + 2 * rng.normal(size=(900, 24))) * scales + 3 * scales
    return np.split(features.astype(np.float32), [400, 600]), np.split(labels, [400, 600])


def standardised(splits):
    train, *_ = splits
    return [(x - train.mean(0)) / train.std(0) for x in splits]


def test_linear_probe_equals_separate_fits_at_the_weight_that_validation_prefers(splits):
    (train, val, test), (y_train, y_val, _) = splits
    x_train, x_val, x_test = standardised((train, val, test))
    weights = (1.0, 0.1, 0.01)
    models = [LogisticRegression(C=1 / (w * 400), max_iter=5000, tol=1e-8).fit(x_train, y_train) for w in weights]
    scores = [model.score(x_val, y_val) for model in models]
    probe = linear_probe(train, y_train, val, y_val, test, weights)
    assert probe.regularisation == weights[int(np.argmax(scores))]
    assert probe.validation_accuracy == pytest.approx(max(scores), abs=0.006)
    assert np.mean(probe.predicted == models[int(np.argmax(scores))].predict(x_test)) > 0.99


def test_linear_probe_does_not_depend_on_the_scale_of_a_feature(splits):
    (train, val, test), (y_train, y_val, _) = splits
    scale = np.logspace(-1, 1, 24).astype(np.float32)
    expected = linear_probe(train, y_train, val, y_val, test).predicted
    scaled = linear_probe(train * scale, y_train, val * scale, y_val, test * scale).predicted
    assert np.mean(scaled == expected) > 0.99


def test_linear_probe_of_constant_features_names_the_most_frequent_class():
    x, y = np.ones((30, 3), np.float32), np.repeat([5, 2], [20, 10])
    probe = linear_probe(x, y, x[:4], y[:4], x[:7])
    assert np.array_equal(probe.predicted, np.full(7, 5)) and probe.validation_accuracy == 1.0
    assert probe.predicted.dtype == np.int64


def test_linear_probe_of_features_that_are_not_numbers_says_so(splits):
    (train, val, test), (y_train, y_val, _) = splits
    test = np.where(np.arange(24) == 3, np.nan, test)
    with pytest.raises(WorkbenchError, match="NaN"):
        linear_probe(train, y_train, val, y_val, test)


@pytest.mark.parametrize("dimensions", [24, 500])  # the primal and the dual problem
def test_ridge_equals_scikit_learn_for_every_target(splits, dimensions):
    rng = np.random.default_rng(2)
    (train, val, test), _ = splits
    lift = rng.normal(size=(24, dimensions)).astype(np.float32)
    train, val, test = np.tanh(train @ lift / 100), np.tanh(val @ lift / 100), np.tanh(test @ lift / 100)
    first, second = train[:, :2] + rng.normal(size=(400, 2)), rng.normal(size=(400, 1))
    first_val, second_val = val[:, :2], rng.normal(size=(200, 1))
    predicted = ridge_predict(train, [first, second], val, [first_val, second_val], test)
    x_train, x_val, x_test = standardised((train, val, test))
    for got, y, y_val in zip(predicted, (first, second), (first_val, second_val), strict=True):
        models = [Ridge(alpha=400 * 10.0**-e).fit(x_train.astype(np.float64), y) for e in range(-1, 6)]
        best = min(models, key=lambda model: np.mean((model.predict(x_val).reshape(y_val.shape) - y_val) ** 2))
        np.testing.assert_allclose(got, best.predict(x_test).reshape(got.shape), atol=1e-3)


@pytest.mark.parametrize("dimensions", [24, 500])  # as above
def test_quick_probe_equals_ridge_regression_of_one_hot_labels(splits, dimensions):
    (train, _, test), (labels, _, truth) = splits
    lift = np.random.default_rng(2).normal(size=(24, dimensions)).astype(np.float32)
    train, test = np.tanh(train @ lift / 100), np.tanh(test @ lift / 100)
    x_train, x_test = standardised((train, test))
    model = Ridge(alpha=0.1 * 400).fit(x_train.astype(np.float64), np.eye(4)[labels])
    found = ridge_classify(train, labels, test, 4)
    assert np.array_equal(found, model.predict(x_test).argmax(axis=1)) and np.mean(found == truth) > 0.4


def test_circle_closes():
    points = circle(np.array([0.0, 360.0, 90.0]), 360)
    np.testing.assert_allclose(points, [[1, 0], [1, 0], [0, 1]], atol=1e-12)
