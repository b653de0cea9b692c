"""Average precision against a loop over its definition and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from workbench.metrics.agreement import nearest_images
from workbench.metrics.retrieval import average_precision, same_class


def direct(relevant: np.ndarray, total: int, k: int) -> float:
    """The definition, one rank after the other."""
    score = hits = 0
    for rank, right in enumerate(relevant[:k], start=1):
        hits += right
        score += hits / rank if right else 0
    return score / min(total, k)


def test_it_is_the_definition() -> None:
    generator = np.random.default_rng(0)
    relevant = generator.random((200, 10)) < 0.4
    total = relevant.sum(axis=1) + generator.integers(0, 30, 200)
    known = total > 0
    found = average_precision(relevant, total)
    expected = [direct(row, int(n), 10) for row, n in zip(relevant[known], total[known], strict=True)]
    np.testing.assert_allclose(found[known], expected)
    assert found[known].max() <= 1 and np.isnan(found[~known]).all()


def test_over_the_whole_ranking_it_is_scikit_learns() -> None:
    generator = np.random.default_rng(1)
    features, labels = generator.normal(size=(60, 5)), generator.integers(0, 4, 60)
    features[:, 0] += labels
    found = average_precision(*same_class(nearest_images(features, 59), labels))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for query in range(60):
        others = np.arange(60) != query
        right = labels[others] == labels[query]
        assert found[query] == pytest.approx(average_precision_score(right, (unit @ unit[query])[others]))


def test_all_right_is_one_even_where_there_are_fewer_than_k() -> None:
    assert average_precision(np.array([[True, True, False, False]]), np.array([2])) == 1
    assert average_precision(np.array([[True] * 4]), np.array([50])) == 1
    assert average_precision(np.array([[False] * 4]), np.array([50])) == 0
    late, early = average_precision(np.array([[False, True], [True, False]]), np.array([2, 2]))
    assert (late, early) == (0.25, 0.5)


def test_the_query_itself_does_not_count_as_relevant() -> None:
    relevant, total = same_class(np.array([[1, 2], [0, 2], [0, 1]]), np.array([5, 5, 1]))
    assert relevant.tolist() == [[True, False], [True, False], [False, False]] and total.tolist() == [1, 1, 0]
