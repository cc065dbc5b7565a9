import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_tasks.config.business_rules import RecommendationPlan
from pipeline_tasks.recommend.diversify import NOTHING
from pipeline_tasks.recommend.fill_recommendations import Filled, fill_recommendations
from pipeline_tasks.recommend.offered_items import OfferedItems
from pipeline_tasks.recommend.repeat_scores import RepeatScores
from pipeline_tasks.topk.arrays import Exclusions, Indices, Vectors
from tests.pipeline_tasks.topk.test_top_k import exclusions_of

OLD, NEW = 99, 3


def offered_of(vectors: Vectors, ages: list[int], kinds: list[str | None]) -> OfferedItems:
    """Return offered items with `kinds` as categories and brands."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return OfferedItems(
        item_ids=pa.array([f"i{number}" for number in range(len(ages))]),
        titles=[None] * len(ages),
        categories=kinds,
        brands=kinds,
        ages=np.array(ages, np.int64),
        vectors=vectors,
        content=(vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32),
        visitors=vectors,
        embedded=np.arange(len(ages)),
        allowed=len(ages),
        replenishable=frozenset(),
        opt_outs={},
        without_recommendations=frozenset(),
    )


def filled(
    offered: OfferedItems,
    users: Vectors,
    k: int,
    plan: RecommendationPlan,
    banned: Exclusions | None = None,
    known: Exclusions | None = None,
) -> Filled:
    nothing = exclusions_of([set() for _ in users])
    return fill_recommendations(
        offered, users, banned or nothing, known or nothing, RepeatScores.none(len(users)), k, plan, 2
    )


def ranked_items(ages: list[int], kinds: list[str | None]) -> OfferedItems:
    """Return offered items in descending order of the scores of a user with the vector (1, 0)."""
    scores = np.linspace(1, 0.1, len(ages))
    return offered_of(np.stack([scores, np.sqrt(1 - scores**2)], axis=1).astype(np.float32), ages, kinds)


USER = np.array([[1, 0]], np.float32)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.7, 1.0]),
    st.sampled_from(["category", "brand"]),
)
def test_caps_hold_for_all_slots_of_a_user(seed: int, cap: int, mmr_lambda: float, kind: str) -> None:
    rng = np.random.default_rng(seed)
    # A third of the items is new, most of them of one kind.
    ages = [NEW] * 20 + [OLD] * 40
    codes: Indices = np.concatenate([np.minimum(rng.integers(0, 9, 20), 1), rng.permutation(np.arange(40) % 8)])
    offered = offered_of(rng.standard_normal((60, 4)).astype(np.float32), ages, [f"kind {code}" for code in codes])
    users, banned = rng.standard_normal((5, 4)).astype(np.float32), [{int(rng.integers(0, 60))} for _ in range(5)]
    plan = RecommendationPlan.model_validate(
        {f"max_per_{kind}": cap, "mmr_lambda": mmr_lambda, "exploration_share": 0.5, "candidates_per_slot": 10}
    )
    shown = filled(offered, users, 7, plan, exclusions_of(banned))
    for row in range(5):
        items = shown.items[row].tolist()
        assert len(set(items) - {NOTHING}) == 7, "all slots filled, no item twice"
        assert max(np.bincount(codes[items])) <= cap
        assert shown.new[row].any()
        assert all(ages[items[rank]] == NEW for rank in np.flatnonzero(shown.new[row]))


def test_new_items_fill_their_slots_within_the_caps() -> None:
    # The two best new items are of the same kind, so a cap of 1 excludes the second.
    offered = ranked_items([OLD, NEW, NEW, OLD, NEW, OLD, OLD], ["a", "b", "b", "c", "d", "e", "f"])
    plan = RecommendationPlan(mmr_lambda=1, max_per_category=1, exploration_share=0.5)
    shown = filled(offered, USER, 4, plan)
    assert (shown.items.tolist(), shown.new.tolist()) == ([[0, 1, 3, 4]], [[False, True, False, True]])


def test_other_items_move_up_where_the_caps_leave_too_few_new_ones() -> None:
    offered = ranked_items([OLD, NEW, NEW, OLD, OLD, OLD], ["a", "b", "b", "c", "d", "e"])
    shown = filled(offered, USER, 4, RecommendationPlan(mmr_lambda=1, max_per_category=1, exploration_share=0.5))
    assert (shown.items.tolist(), shown.new.tolist()) == ([[0, 1, 3, 4]], [[False, True, False, False]])


def test_a_cap_is_relaxed_before_a_slot_stays_empty() -> None:
    offered = ranked_items([OLD, NEW, NEW, OLD], ["a", "b", "b", "a"])
    shown = filled(offered, USER, 4, RecommendationPlan(mmr_lambda=1, max_per_category=1, exploration_share=0.5))
    assert sorted(shown.items[0].tolist()) == [0, 1, 2, 3]
    assert shown.new.sum() == 1


def test_slots_are_for_new_items_that_are_not_in_the_users_history() -> None:
    offered = ranked_items([NEW, OLD, NEW, NEW, OLD, OLD], [None] * 6)
    plan = RecommendationPlan(mmr_lambda=1, exploration_share=0.34)
    known = exclusions_of([{0, 2}])
    shown = filled(offered, USER, 3, plan, known=known)
    # Known items may be recommended for their score, but not in a slot for new items.
    assert (shown.items.tolist(), shown.new.tolist()) == ([[0, 1, 3]], [[False, False, True]])
    shown = filled(offered, USER, 3, plan, known=exclusions_of([{0, 2, 3}]))
    assert (shown.items.tolist(), shown.new.tolist()) == ([[0, 1, 2]], [[False, False, False]])


def test_other_items_are_diversified_against_the_new_items() -> None:
    # The user's best item is almost equal to the new item, which has a slot of its own.
    vectors = np.array([[1, 0.1, 0], [0.9, 0.5, 0], [0.89, 0, 0.5], [1, 0.11, 0]], np.float32)
    offered = offered_of(vectors, [OLD, OLD, OLD, NEW], [None] * 4)
    user = np.array([[1, 0, 0]], np.float32)
    plan = RecommendationPlan(mmr_lambda=0.1, exploration_share=0.5)
    assert filled(offered, user, 2, plan).items.tolist() == [[2, 3]]
    assert filled(offered, user, 2, plan.model_copy(update={"mmr_lambda": 1})).items.tolist() == [[0, 3]]


@pytest.mark.parametrize("mmr_lambda", [0.5, 1.0])
def test_slots_for_new_items_lie_at_even_distances(mmr_lambda: float) -> None:
    offered = ranked_items([OLD] * 6 + [NEW] * 3, [None] * 9)
    shown = filled(offered, USER, 6, RecommendationPlan(mmr_lambda=mmr_lambda, exploration_share=0.34))
    assert np.flatnonzero(shown.new[0]).tolist() == [2, 5]
    assert [shown.items[0, rank] for rank in (2, 5)] == [6, 7]
