import numpy as np
import pytest

from pipeline_tasks.config.business_rules import RecommendationPlan
from pipeline_tasks.recommend.diversify import NOTHING, Candidates, ItemSimilarity, diversify, relevance
from pipeline_tasks.topk.arrays import Indices

NONE_TAKEN = np.zeros((1, 0), np.int64)


def similarity(n: int, rng: np.random.Generator) -> ItemSimilarity:
    content = rng.standard_normal((n, 6)).astype(np.float32)
    content /= np.linalg.norm(content, axis=1, keepdims=True)
    return ItemSimilarity(content, rng.integers(-1, 3, n), rng.integers(0, 4, n))


def by_hand(
    scores: list[float], items: list[int], like: ItemSimilarity, plan: RecommendationPlan, k: int, taken: list[int]
) -> list[int]:
    """Return the items by the definition of maximal marginal relevance, one choice after another, after `taken`."""
    low, high = min(scores), max(scores)
    worth = {item: (score - low) / (high - low) for item, score in zip(items, scores, strict=True)}
    chosen = list(taken)
    while len(chosen) < len(taken) + min(k, len(items)):

        def value(item: int) -> tuple[bool, float]:
            near = max((float(like.content[item] @ like.content[other]) for other in chosen), default=0.0)
            over = any(
                cap is not None and codes[item] >= 0 and sum(codes[other] == codes[item] for other in chosen) >= cap
                for codes, cap in ((like.categories, plan.max_per_category), (like.brands, plan.max_per_brand))
            )
            return not over, round(plan.mmr_lambda * worth[item] - (1 - plan.mmr_lambda) * near, 5)

        left = [item for item in items if item not in chosen]
        chosen.append(max(left, key=value))
    return chosen[len(taken) :]


@pytest.mark.parametrize("mmr_lambda", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize(("per_category", "per_brand"), [(None, None), (2, None), (None, 1), (2, 2)])
@pytest.mark.parametrize("on_it", [0, 3])
def test_equals_the_greedy_definition(
    mmr_lambda: float, per_category: int | None, per_brand: int | None, on_it: int
) -> None:
    rng = np.random.default_rng(5)
    like = similarity(40, rng)
    plan = RecommendationPlan(mmr_lambda=mmr_lambda, max_per_category=per_category, max_per_brand=per_brand)
    items = np.stack([rng.permutation(40)[:15] for _ in range(7)])
    scores = -np.sort(-rng.standard_normal((7, 15)), axis=1)
    # Some users have three taken items, others fewer; some of these are candidates.
    taken = np.stack([rng.permutation(np.append(items[row, :4], 39)) for row in range(7)])[:, :on_it]
    taken[3:5, 1:] = NOTHING
    found = diversify(Candidates(items, scores), like, plan, 6, taken)
    for row in range(7):
        already = [item for item in taken[row].tolist() if item != NOTHING]
        expected = by_hand(scores[row].tolist(), items[row].tolist(), like, plan, 6, already)
        if per_category is None or per_brand is None:
            assert found.items[row].tolist() == expected
        assert len(set(found.items[row])) == 6


def test_lambda_one_keeps_the_order_of_the_scores() -> None:
    like = similarity(9, np.random.default_rng(1))
    candidates = Candidates(np.array([[4, 2, 8, 1]]), np.array([[3.0, 2.0, 1.0, 0.5]]))
    found = diversify(candidates, like, RecommendationPlan(mmr_lambda=1), 3, NONE_TAKEN)
    assert (found.items.tolist(), found.scores.tolist()) == ([[4, 2, 8]], [[3.0, 2.0, 1.0]])


def test_a_cap_is_relaxed_before_a_slot_stays_empty() -> None:
    like = ItemSimilarity(np.eye(4, dtype=np.float32), np.array([0, 0, 0, 1]), np.zeros(4, np.int64))
    candidates = Candidates(np.array([[0, 1, 2, 3]]), np.array([[4.0, 3.0, 2.0, 1.0]]))
    found = diversify(candidates, like, RecommendationPlan(mmr_lambda=1, max_per_category=1), 4, NONE_TAKEN)
    assert found.items.tolist() == [[0, 3, 1, 2]]


def test_a_slot_stays_empty_where_caps_are_not_relaxed() -> None:
    like = ItemSimilarity(np.eye(5, dtype=np.float32), np.array([0, 0, -1, -1, 1]), np.zeros(5, np.int64))
    candidates = Candidates(np.array([[0, 1, 2, 3]]), np.array([[4.0, 3.0, 2.0, 1.0]]))
    plan = RecommendationPlan(mmr_lambda=1, max_per_category=1)
    found = diversify(candidates, like, plan, 4, np.array([[4, NOTHING]]), relax_caps=False)
    assert found.items.tolist() == [[0, 2, 3, NOTHING]], "unknown categories have no cap"
    assert diversify(candidates, like, plan, 4, np.array([[1, 4]]), relax_caps=False).items.tolist() == [
        [2, 3, NOTHING, NOTHING]
    ]


def test_taken_items_are_not_chosen_again_and_short_rows_end_early() -> None:
    like = similarity(5, np.random.default_rng(2))
    items: Indices = np.array([[0, 1, 2], [3, NOTHING, NOTHING]])
    candidates = Candidates(items, np.array([[2.0, 1.0, 0.5], [1.0, -np.inf, -np.inf]]))
    found = diversify(candidates, like, RecommendationPlan(mmr_lambda=0.5), 3, np.array([[1], [NOTHING]]))
    assert sorted(found.items[0].tolist()) == [NOTHING, 0, 2]
    assert found.items[1].tolist() == [3, NOTHING, NOTHING]


def test_relevance_is_between_worst_and_best() -> None:
    candidates = Candidates(
        np.array([[5, 6, 7], [5, NOTHING, NOTHING]]), np.array([[3.0, 2.0, -1.0], [4.0, -np.inf, -np.inf]])
    )
    assert relevance(candidates).tolist() == [[1.0, 0.75, 0.0], [0.0, 0.0, 0.0]]
