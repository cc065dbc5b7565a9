import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_tasks.recommend.diversify import NOTHING
from pipeline_tasks.recommend.repeat_scores import RepeatScores, best_with_repeat_scores
from pipeline_tasks.topk.arrays import Exclusions
from tests.pipeline_tasks.topk.test_top_k import exclusions_of


def own_of(added: list[dict[int, float]]) -> RepeatScores:
    starts = np.cumsum([0, *map(len, added)]).astype(np.int64)
    pairs = [pair for each in added for pair in sorted(each.items())]
    return RepeatScores(
        starts, np.array([item for item, _ in pairs], np.int64), np.array([value for _, value in pairs])
    )


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 25), st.integers(1, 5))
def test_equals_sorting_all_scores(seed: int, wanted: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    users, items = rng.standard_normal((7, 4)).astype(np.float32), rng.standard_normal((20, 4)).astype(np.float32)
    banned = [set(rng.integers(0, 20, 6).tolist()) for _ in users]
    added = [{int(item): float(rng.normal(0, 3)) for item in rng.integers(0, 24, 5)} for _ in users]
    best = best_with_repeat_scores(users, items, wanted, exclusions_of(banned), own_of(added), block)
    for user in range(7):
        exact = users[user].astype(np.float64) @ items.T.astype(np.float64)
        scores = {item: exact[item] + added[user].get(item, 0.0) for item in range(20) if item not in banned[user]}
        expected = sorted(scores, key=lambda item: (-scores[item], item))[:wanted]
        shown = best.items[user][best.items[user] != NOTHING].tolist()
        assert shown == expected
        np.testing.assert_allclose(best.scores[user][: len(shown)], [scores[item] for item in shown], atol=1e-9)


def test_items_of_some_users_are_returned_in_their_order() -> None:
    own = own_of([{3: 0.5}, {}, {1: 2.0, 4: -1.0}]).of(np.array([2, 1, 0]))
    assert own.starts.tolist() == [0, 2, 2, 3]
    assert own.items.tolist() == [1, 4, 3]
    assert own.additions.tolist() == [2.0, -1.0, 0.5]
    left = own.without(Exclusions(np.array([0, 1, 1, 1]), np.array([1])), 4)
    assert (left.starts.tolist(), left.items.tolist()) == ([0, 0, 0, 1], [3])


def test_a_block_is_a_range_of_users() -> None:
    own = own_of([{3: 0.5}, {}, {1: 2.0, 4: -1.0}])
    for part in (own.block(1, 3), own.block(1, 9)):
        assert (part.starts.tolist(), part.items.tolist(), part.additions.tolist()) == ([0, 0, 2], [1, 4], [2.0, -1.0])
