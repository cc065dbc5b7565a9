import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import cosine_similarity

from pipeline_tasks.evaluation import baselines
from pipeline_tasks.evaluation.baselines import item_knn, own_repeats, popularity, recent_popularity
from pipeline_tasks.evaluation.ranking_task import interaction_matrix
from pipeline_tasks.models.ease import ease, linear_factors
from tests.pipeline_tasks.logs import log_of, random_log

ITEMS = 20
LOG = random_log(80, ITEMS, seed=2)


def test_ease_is_ridge_regression_of_each_item_on_the_others() -> None:
    matrix = interaction_matrix(LOG, ITEMS).toarray()
    weights = ease(LOG, ITEMS, penalty=5.0).weights
    for item in (0, 7, 19):
        others = np.delete(np.arange(ITEMS), item)
        ridge = Ridge(alpha=5.0, fit_intercept=False).fit(matrix[:, others], matrix[:, item])
        np.testing.assert_allclose(weights[others, item], ridge.coef_, atol=1e-4)
        assert weights[item, item] == 0


def test_item_knn_is_cosine_of_the_nearest() -> None:
    cosine = cosine_similarity(interaction_matrix(LOG, ITEMS).T.toarray())
    np.fill_diagonal(cosine, 0)
    np.testing.assert_allclose(item_knn(LOG, ITEMS, neighbors=99).weights.toarray(), cosine, atol=1e-6)
    few = item_knn(LOG, ITEMS, neighbors=3).weights.toarray()
    assert (few > 0).sum(axis=0).min() >= 3
    assert few[:, 4].max() == pytest.approx(cosine[:, 4].max())


def test_item_knn_is_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = item_knn(LOG, ITEMS, neighbors=3).weights.toarray()
    monkeypatch.setattr(baselines, "_BLOCK", 7)
    np.testing.assert_array_equal(item_knn(LOG, ITEMS, neighbors=3).weights.toarray(), whole)


def test_ease_of_a_large_catalog_uses_the_most_frequent_items() -> None:
    counts = np.bincount(LOG.items, minlength=ITEMS)
    few = ease(LOG, ITEMS, most_items=8)
    assert counts[few.chosen].min() >= np.sort(counts)[-8]
    scores = few.scores(LOG)
    left_out = np.setdiff1d(np.arange(ITEMS), few.chosen)
    assert scores[:, left_out].max() < scores[:, few.chosen].min()
    np.testing.assert_allclose(scores[:, few.chosen], interaction_matrix(LOG, ITEMS)[:, few.chosen] @ few.weights)


def test_a_large_catalog_needs_no_matrix_of_all_pairs() -> None:
    # Items x items would be 360 GB.
    log = log_of({f"u{number}": [(number * 7 % 300_000, 0), (number * 11 % 300_000, 1)] for number in range(50)})
    for peer in (item_knn(log, 300_000), ease(log, 300_000, most_items=90)):
        assert peer.scores(log.select(np.array([3]))).shape == (1, 300_000)


def test_popularity_counts_each_user_once() -> None:
    log = log_of({"a": [(1, 0), (1, 1), (2, 40)], "b": [(1, 2)], "session:c": [(3, 40)]})
    assert popularity(log, 4).levels.tolist() == [0, 2, 1, 1]
    assert recent_popularity(log, 4).levels.tolist() == [0, 0, 1, 1]


def test_own_repeats_ranks_by_count_then_recency() -> None:
    log = log_of({"a": [(2, 0), (1, 1), (1, 2), (3, 3)]})
    order = np.argsort(-own_repeats(log, 5).scores(log)[0], kind="stable")
    assert order.tolist() == [1, 3, 2, 0, 4]


def test_linear_factors_at_full_rank_are_ease() -> None:
    inward, outward = linear_factors(LOG, ITEMS, ITEMS, seed=1)
    np.testing.assert_allclose(inward @ outward.T, ease(LOG, ITEMS, 500.0).weights, atol=1e-5)
    unseen = linear_factors(LOG, ITEMS + 2, 4, seed=1)[1]
    assert unseen.shape == (ITEMS + 2, 4)
    assert not unseen[ITEMS:].any()
