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


def shelf_of(vectors: Vectors, ages: list[int], kinds: list[str | None]) -> OfferedItems:
    """Return a shelf whose categories and brands are `kinds`."""
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
        no_shelf=frozenset(),
    )


def filled(
    shelf: OfferedItems,
    users: Vectors,
    k: int,
    plan: RecommendationPlan,
    banned: Exclusions | None = None,
    known: Exclusions | None = None,
) -> Filled:
    nothing = exclusions_of([set() for _ in users])
    return fill_recommendations(
        shelf, users, banned or nothing, known or nothing, RepeatScores.none(len(users)), k, plan, 2
    )


def ranked_shelf(ages: list[int], kinds: list[str | None]) -> OfferedItems:
    """Return a shelf of which a user of vector (1, 0) scores the first item best, and so on."""
    scores = np.linspace(1, 0.1, len(ages))
    return shelf_of(np.stack([scores, np.sqrt(1 - scores**2)], axis=1).astype(np.float32), ages, kinds)


SHOPPER = np.array([[1, 0]], np.float32)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.7, 1.0]),
    st.sampled_from(["category", "brand"]),
)
def test_no_shelf_has_more_of_a_kind_than_its_cap(seed: int, cap: int, mmr_lambda: float, kind: str) -> None:
    rng = np.random.default_rng(seed)
    # A third of the items is new, most of them of one kind.
    ages = [NEW] * 20 + [OLD] * 40
    codes: Indices = np.concatenate([np.minimum(rng.integers(0, 9, 20), 1), rng.permutation(np.arange(40) % 8)])
    shelf = shelf_of(rng.standard_normal((60, 4)).astype(np.float32), ages, [f"kind {code}" for code in codes])
    users, banned = rng.standard_normal((5, 4)).astype(np.float32), [{int(rng.integers(0, 60))} for _ in range(5)]
    plan = RecommendationPlan.model_validate(
        {f"max_per_{kind}": cap, "mmr_lambda": mmr_lambda, "exploration_share": 0.5, "candidates_per_slot": 10}
    )
    shown = filled(shelf, users, 7, plan, exclusions_of(banned))
    for row in range(5):
        items = shown.items[row].tolist()
        assert len(set(items) - {NOTHING}) == 7, "a full shelf, nothing twice"
        assert max(np.bincount(codes[items])) <= cap
        assert shown.new[row].any()
        assert all(ages[items[rank]] == NEW for rank in np.flatnonzero(shown.new[row]))


def test_new_items_take_the_slots_that_their_caps_leave() -> None:
    # The two best new items are of a kind; the third is not. With a cap of 1 the second stays away.
    shelf = ranked_shelf([OLD, NEW, NEW, OLD, NEW, OLD, OLD], ["a", "b", "b", "c", "d", "e", "f"])
    plan = RecommendationPlan(mmr_lambda=1, max_per_category=1, exploration_share=0.5)
    shown = filled(shelf, SHOPPER, 4, plan)
    assert (shown.items.tolist(), shown.new.tolist()) == ([[0, 1, 3, 4]], [[False, True, False, True]])


def test_where_all_that_is_new_is_of_one_kind_the_others_move_up() -> None:
    shelf = ranked_shelf([OLD, NEW, NEW, OLD, OLD, OLD], ["a", "b", "b", "c", "d", "e"])
    shown = filled(shelf, SHOPPER, 4, RecommendationPlan(mmr_lambda=1, max_per_category=1, exploration_share=0.5))
    assert (shown.items.tolist(), shown.new.tolist()) == ([[0, 1, 3, 4]], [[False, True, False, False]])


def test_a_full_shelf_comes_before_a_cap() -> None:
    shelf = ranked_shelf([OLD, NEW, NEW, OLD], ["a", "b", "b", "a"])
    shown = filled(shelf, SHOPPER, 4, RecommendationPlan(mmr_lambda=1, max_per_category=1, exploration_share=0.5))
    assert sorted(shown.items[0].tolist()) == [0, 1, 2, 3]
    assert shown.new.sum() == 1


def test_slots_are_for_new_items_that_the_shopper_does_not_know() -> None:
    shelf = ranked_shelf([NEW, OLD, NEW, NEW, OLD, OLD], [None] * 6)
    plan = RecommendationPlan(mmr_lambda=1, exploration_share=0.34)
    known = exclusions_of([{0, 2}])
    shown = filled(shelf, SHOPPER, 3, plan, known=known)
    # What they know may come for its score, not for being new.
    assert (shown.items.tolist(), shown.new.tolist()) == ([[0, 1, 3]], [[False, False, True]])
    shown = filled(shelf, SHOPPER, 3, plan, known=exclusions_of([{0, 2, 3}]))
    assert (shown.items.tolist(), shown.new.tolist()) == ([[0, 1, 2]], [[False, False, False]])


def test_others_differ_from_the_new_items_too() -> None:
    # The user's best is all but the twin of the new item, which has its slot for sure.
    vectors = np.array([[1, 0.1, 0], [0.9, 0.5, 0], [0.89, 0, 0.5], [1, 0.11, 0]], np.float32)
    shelf = shelf_of(vectors, [OLD, OLD, OLD, NEW], [None] * 4)
    user = np.array([[1, 0, 0]], np.float32)
    plan = RecommendationPlan(mmr_lambda=0.1, exploration_share=0.5)
    assert filled(shelf, user, 2, plan).items.tolist() == [[2, 3]]
    assert filled(shelf, user, 2, plan.model_copy(update={"mmr_lambda": 1})).items.tolist() == [[0, 3]]


@pytest.mark.parametrize("mmr_lambda", [0.5, 1.0])
def test_slots_for_new_items_lie_at_even_distances(mmr_lambda: float) -> None:
    shelf = ranked_shelf([OLD] * 6 + [NEW] * 3, [None] * 9)
    shown = filled(shelf, SHOPPER, 6, RecommendationPlan(mmr_lambda=mmr_lambda, exploration_share=0.34))
    assert np.flatnonzero(shown.new[0]).tolist() == [2, 5]
    assert [shown.items[0, rank] for rank in (2, 5)] == [6, 7]
