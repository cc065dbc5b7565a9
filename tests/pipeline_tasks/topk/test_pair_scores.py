import numpy as np
import pytest

from pipeline_tasks.topk.arrays import Exclusions, Vectors
from pipeline_tasks.topk.pair_scores import AdditiveScores, DotScores, PairScores, pair_scores

A, REST, USERS, ITEMS = 5, 3, 70, 90


def example(seed: int = 0) -> tuple[Vectors, Vectors, Vectors]:
    rng = np.random.default_rng(seed)
    users, items = (rng.standard_normal((n, A + REST)).astype(np.float32) for n in (USERS, ITEMS))
    # Duplicate items: of equal scores the lower index must be first.
    items[50] = items[7]
    return users, items, rng.standard_normal(A).astype(np.float32)


def by_hand(users: Vectors, items: Vectors, weights: Vectors) -> np.ndarray:
    wide, other = users.astype(np.float64), items.astype(np.float64)
    hidden = np.tanh(wide[:, None, :A] + other[None, :, :A])
    return np.asarray(hidden @ weights.astype(np.float64) + wide[:, A:] @ other[:, A:].T)


def test_scores_follow_the_formula() -> None:
    users, items, weights = example()
    scoring, expected = AdditiveScores(weights), by_hand(users, items, weights)
    np.testing.assert_allclose(scoring.all(users, items), expected, atol=1e-4)
    assert scoring.all(users, items).dtype == np.float32
    np.testing.assert_allclose(scoring.all(users.astype(np.float64), items.astype(np.float64)), expected, atol=1e-12)
    rows, columns = np.array([0, 3, 69]), np.array([1, 50, 89])
    np.testing.assert_allclose(scoring.pairs(users, items, rows, columns), expected[rows, columns], atol=1e-12)


@pytest.mark.parametrize("block", [1, 33, 2_048])
def test_best_items_are_exact_for_every_block_size(block: int) -> None:
    users, items, weights = example()
    banned = Exclusions(np.arange(USERS + 1), np.full(USERS, 4))
    best = AdditiveScores(weights).best(users, items, 6, banned, block)
    expected = by_hand(users, items, weights)
    expected[:, 50] = expected[:, 7]
    expected[:, 4] = -np.inf
    order = np.argsort(-expected, axis=1, kind="stable")[:, :6]
    np.testing.assert_array_equal(best.items.reshape(USERS, 6), order)
    whole = AdditiveScores(weights).best(users, items, 6, banned, USERS)
    np.testing.assert_array_equal(best.scores, whole.scores)


def test_the_float32_error_is_within_the_bound() -> None:
    users, items, weights = example(3)
    users[:, :A] *= 4
    scoring = AdditiveScores(weights)
    wrong = np.abs(scoring.all(users, items) - by_hand(users, items, weights)).max(axis=1)
    assert (wrong <= scoring._rounding(users, items)).all()


def test_a_saturated_state_prefers_no_item() -> None:
    _, items, weights = example()
    new_user = np.full((1, A + REST), 1e4, np.float32)
    new_user[:, A:] = 0
    assert len(np.unique(AdditiveScores(weights).all(new_user, items))) == 1


def test_without_weights_the_score_is_the_dot_product() -> None:
    users, items, weights = example()
    dot: PairScores = pair_scores(np.zeros(0, np.float32))
    assert isinstance(dot, DotScores)
    assert isinstance(pair_scores(weights), AdditiveScores)
    np.testing.assert_allclose(dot.all(users, items), users @ items.T)
    with pytest.raises(ValueError, match="k is 0"):
        pair_scores(weights).best(users, items, 0, None, 8)
