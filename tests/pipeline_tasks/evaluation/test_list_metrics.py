import math

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_distances

from pipeline_tasks.evaluation.metrics import (
    coverage,
    gini,
    history_popularity,
    intra_list_distance,
    list_popularity,
    novelty,
    popularity_lift,
)
from tests.pipeline_tasks.logs import log_of

LISTS = np.array([[0, 1], [0, 1]])


def test_coverage_and_gini() -> None:
    assert coverage(LISTS, 8) == 0.25
    assert gini(np.arange(6).reshape(3, 2), 6) == pytest.approx(0)
    # Only one of n items: (n - 1) / n.
    assert gini(np.zeros((4, 1), dtype=np.int64), 5) == pytest.approx(0.8)
    surprise = novelty(LISTS, np.array([3, 0]), users=7)
    np.testing.assert_allclose(surprise, [(-math.log2(4 / 8) - math.log2(1 / 8)) / 2] * 2)


def test_gini_is_the_mean_difference_over_twice_the_mean() -> None:
    lists = np.random.default_rng(1).integers(0, 12, (50, 5)) ** 2 // 12
    counts = np.bincount(lists.ravel(), minlength=14)
    differences = np.abs(counts[:, None] - counts[None, :]).mean()
    assert gini(lists, 14) == pytest.approx(differences / (2 * counts.mean()))


def test_intra_list_distance_equals_that_of_sklearn() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((30, 7)).astype(np.float32)
    vectors[4] = 0
    lists = np.argsort(rng.random((40, 30)), axis=1)[:, :6]
    lists[0] = 4 * np.ones(6, dtype=np.int64)
    expected = [cosine_distances(vectors[row])[np.triu_indices(6, 1)].mean() for row in lists[1:]]
    np.testing.assert_allclose(intra_list_distance(lists, vectors)[1:], expected, atol=1e-5)
    assert intra_list_distance(lists, vectors)[0] == pytest.approx(1)
    assert intra_list_distance(np.zeros((2, 5), dtype=np.int64), vectors) == pytest.approx([0, 0], abs=1e-5)
    assert intra_list_distance(lists[:, :1], vectors).tolist() == [0.0] * 40


def test_popularity_lift_compares_lists_with_histories_of_the_same_users() -> None:
    popularity = np.array([10, 4, 1])
    histories = log_of({"crowd": [(0, 1), (1, 2)], "own way": [(2, 1)], "new": []})
    had = history_popularity(histories, popularity)
    np.testing.assert_allclose(had, [7, 1, np.nan])
    shown = list_popularity(np.array([[0, 1], [0, 0], [2, 2]]), popularity)
    assert shown.tolist() == [7, 10, 1]
    assert popularity_lift(shown, had) == pytest.approx(8.5 / 4 - 1)
    assert math.isnan(popularity_lift(shown, np.full(3, np.nan)))
