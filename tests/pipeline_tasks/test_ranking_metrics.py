import math

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from pipeline_tasks.ranking_metrics import coverage, gini, ndcg, novelty, recall, reciprocal_rank


@pytest.mark.parametrize("k", [1, 5, 10])
def test_ndcg_equals_that_of_sklearn(k: int) -> None:
    rng = np.random.default_rng(k)
    scores = rng.random((50, 30))
    relevant = rng.random((50, 30)) < 0.2
    relevant[:, 3] = True
    order = np.argsort(-scores, axis=1)
    ours = ndcg(np.take_along_axis(relevant, order, axis=1), relevant.sum(axis=1), k)
    theirs = [ndcg_score([row], [score], k=k) for row, score in zip(relevant, scores, strict=True)]
    np.testing.assert_allclose(ours, theirs)


def test_recall_and_reciprocal_rank_by_hand() -> None:
    hits = np.array([[True, False, True], [False, False, False]])
    assert recall(hits, np.array([4, 2]), 3).tolist() == [0.5, 0.0]
    assert recall(hits, np.array([4, 2]), 1).tolist() == [0.25, 0.0]
    assert reciprocal_rank(np.array([1, 4])).tolist() == [1.0, 0.25]


def test_what_lists_do_to_the_catalog() -> None:
    lists = np.array([[0, 1], [0, 1]])
    assert coverage(lists, 8) == 0.25
    assert gini(np.arange(6).reshape(3, 2), 6) == pytest.approx(0)
    # One item of n only: (n - 1) / n.
    assert gini(np.zeros((4, 1), dtype=np.int64), 5) == pytest.approx(0.8)
    surprise = novelty(lists, np.array([3, 0]), shoppers=7)
    np.testing.assert_allclose(surprise, [(-math.log2(4 / 8) - math.log2(1 / 8)) / 2] * 2)
