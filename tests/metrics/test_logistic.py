"""The whole path of logistic regressions: it is at the minimum, and where scikit-learn is."""

import itertools

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from workbench.metrics import logistic
from workbench.metrics.logistic import logistic_path

WEIGHTS = (10.0, 1.0, 0.1, 1e-2, 1e-3)


def problem(n, dimensions, classes, seed=0, noise=1.0):
    """Standardised, correlated features of very different variance, and labels that a linear model mostly explains."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n, dimensions)) * np.logspace(0, -2, dimensions)
    labels = np.argmax(hidden @ rng.normal(size=(dimensions, classes)) + noise * rng.gumbel(size=(n, classes)), axis=1)
    features = np.tanh(hidden @ rng.normal(size=(dimensions, dimensions)))
    return (features - features.mean(0)) / features.std(0), labels


def loss_and_gradient(model, x, labels, weight):
    """The objective as it is written down, with the gradient of the coefficients and of the intercept."""
    logits = x @ model.coefficients.T + model.intercept
    logits -= logits.max(axis=1, keepdims=True)
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    target = labels[:, None] == model.classes
    residual = (probability - target) / len(x)
    loss = -np.log(probability[target]).mean() + weight / 2 * np.sum(model.coefficients**2)
    return loss, np.append(residual.T @ x + weight * model.coefficients, residual.sum(axis=0)[:, None], axis=1)


CASES = {
    "tall": (800, 30, 4),
    "wide": (60, 200, 4),
    "many classes": (1000, 10, 40),
    "wider than is decomposed exactly": (900, 600, 5),
    "few samples of very wide features": (40, 700, 3),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_every_fit_is_at_the_minimum(case, dtype):
    x, labels = problem(*CASES[case])
    for tolerance in (1e-4,) if dtype == np.float32 else (1e-4, 1e-9):
        for weight, model in zip(WEIGHTS, logistic_path(x.astype(dtype), labels, WEIGHTS, tolerance), strict=True):
            _, gradient = loss_and_gradient(model, x, labels, weight)
            assert np.abs(gradient).max() <= 1.05 * tolerance  # the rest is float32
            assert model.iterations < logistic.MAX_ITERATIONS


@pytest.mark.parametrize("case", CASES)
def test_loss_and_predictions_are_scikit_learns(case):
    x, labels = problem(*CASES[case])
    test = problem(500, CASES[case][1], 2, seed=1)[0]
    for weight, model in zip(WEIGHTS, logistic_path(x, labels, WEIGHTS, 1e-9), strict=True):
        peer = LogisticRegression(C=1 / (weight * len(x)), tol=1e-9, max_iter=20_000).fit(x, labels)
        np.testing.assert_allclose(model.coefficients, peer.coef_, atol=1e-4)
        np.testing.assert_allclose(model.intercept - model.intercept.mean(), peer.intercept_, atol=1e-4)
        assert np.mean(model.predict(test) == peer.predict(test)) > 0.997


def test_two_classes_have_scikit_learns_norm():
    x, labels = problem(300, 10, 2)
    for weight, model in zip(WEIGHTS, logistic_path(x, labels, WEIGHTS, 1e-9), strict=True):
        peer = LogisticRegression(C=1 / (weight * len(x)), tol=1e-9, max_iter=20_000).fit(x, labels)
        np.testing.assert_allclose(np.diff(model.coefficients, axis=0), peer.coef_, atol=1e-5)
        np.testing.assert_allclose(np.diff(model.intercept), peer.intercept_, atol=1e-5)


def test_at_the_default_tolerance_it_is_no_further_from_the_minimum_than_scikit_learn():
    x, labels = problem(3000, 100, 6)
    for weight, model in zip(WEIGHTS, logistic_path(x.astype(np.float32), labels, WEIGHTS), strict=True):
        peer = LogisticRegression(C=1 / (weight * len(x)), max_iter=1000).fit(x.astype(np.float32), labels)
        theirs = logistic.Logistic(peer.classes_, peer.coef_.astype(float), peer.intercept_.astype(float), 0)
        ours, other = (loss_and_gradient(fit, x, labels, weight)[0] for fit in (model, theirs))
        assert ours == pytest.approx(other, abs=1e-4) and ours < other + 1e-5


def test_what_was_learnt_of_the_curvature_serves_the_next_weight():
    x, labels = problem(2000, 60, 10)
    path = sum(model.iterations for model in logistic_path(x, labels, WEIGHTS))
    alone = sum(next(logistic_path(x, labels, [weight])).iterations for weight in WEIGHTS)
    assert path < alone


def test_separable_classes_converge_at_weak_weights():
    x, labels = problem(200, 50, 5, noise=0.0)
    weights = [10.0**-exponent for exponent in range(-1, 7)]
    models = list(logistic_path(x.astype(np.float32), labels, weights))
    assert max(model.iterations for model in models) < logistic.MAX_ITERATIONS
    assert np.array_equal(models[-1].predict(x), labels)


def test_the_line_search_shortens_and_lengthens_a_step():
    """From far off a whole step overshoots, or gets nowhere: still the slope along it is at least halved."""
    x, labels = problem(200, 5, 3)
    state = logistic._State(x, labels, 3)
    penalty = np.append(np.full(5, 1e-3), 0.0)
    for scale in (1e-3, 1.0, 1e3):
        gradient = state.slope + penalty * state.parameters
        direction = -scale * gradient
        state._move(direction, gradient, penalty)
        after = state.slope + penalty * state.parameters
        assert abs(np.vdot(after, direction)) <= 0.5 * abs(np.vdot(gradient, direction)) * 1.001


def test_constant_and_repeated_features_change_nothing():
    x, labels = problem(300, 10, 3)
    plain = list(logistic_path(x, labels, WEIGHTS, 1e-9))
    more = list(logistic_path(np.append(x, np.zeros((300, 4)), axis=1), labels, WEIGHTS, 1e-9))
    for a, b in zip(plain, more, strict=True):
        np.testing.assert_allclose(b.coefficients[:, :10], a.coefficients, atol=1e-6)
        assert not b.coefficients[:, 10:].any()
    twice = list(logistic_path(np.append(x, x, axis=1), labels, [2 * weight for weight in WEIGHTS], 1e-9))
    for a, b in zip(plain, twice, strict=True):  # two halves have half the penalty of a whole
        np.testing.assert_allclose(b.coefficients[:, :10] + b.coefficients[:, 10:], a.coefficients, atol=1e-6)


def test_labels_need_not_be_consecutive_and_one_class_is_always_predicted():
    x, labels = problem(100, 5, 3)
    model = next(logistic_path(x, labels * 7 - 3, [0.1]))
    expected = next(logistic_path(x, labels, [0.1]))
    assert np.array_equal(model.predict(x), expected.predict(x) * 7 - 3)
    only = next(logistic_path(x, np.full(100, 4), [0.1]))
    assert np.array_equal(only.predict(x), np.full(100, 4)) and only.iterations == 0


def test_later_weights_are_not_fitted_before_they_are_asked_for(monkeypatch):
    fitted = []
    minimise = logistic._State.minimise
    monkeypatch.setattr(logistic._State, "minimise", lambda *args: fitted.append(args[1]) or minimise(*args))
    list(itertools.islice(logistic_path(*problem(100, 5, 3), WEIGHTS), 2))
    assert fitted == [10.0, 1.0]


def test_it_is_deterministic():
    x, labels = problem(600, 700, 3)
    first, second = (list(logistic_path(x, labels, WEIGHTS)) for _ in range(2))
    assert all(np.array_equal(a.coefficients, b.coefficients) for a, b in zip(first, second, strict=True))
