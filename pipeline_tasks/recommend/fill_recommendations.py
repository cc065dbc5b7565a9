"""Fills the slots of a block of users with the model's best items, diversified, and with new items."""

from dataclasses import dataclass

import numpy as np

from pipeline_tasks.config.business_rules import RecommendationPlan
from pipeline_tasks.data.interactions import Flags
from pipeline_tasks.recommend.diversify import NOTHING, Candidates, as_candidates, diversify
from pipeline_tasks.recommend.excluded_items import joined, only
from pipeline_tasks.recommend.offered_items import OfferedItems
from pipeline_tasks.recommend.repeat_scores import RepeatScores, best_with_repeat_scores
from pipeline_tasks.topk.arrays import Exclusions, Indices, Scores, Vectors


@dataclass(frozen=True)
class Filled:
    """The k slots of n users: arrays (n, k)."""

    items: Indices
    """Index among the offered items, `NOTHING` in an empty slot."""
    scores: Scores
    new: Flags
    """Whether the slot was reserved for a new item."""

    @classmethod
    def empty(cls, n: int, k: int) -> "Filled":
        """Return k empty slots for each of n users."""
        return cls(np.full((n, k), NOTHING, np.int64), np.full((n, k), -np.inf), np.zeros((n, k), bool))

    def put(self, rows: Indices, filled: "Filled") -> None:
        """Set the slots of some users."""
        self.items[rows], self.scores[rows], self.new[rows] = filled.items, filled.scores, filled.new


def fill_recommendations(
    offered: OfferedItems,
    users: Vectors,
    banned: Exclusions,
    known: Exclusions,
    own: RepeatScores,
    k: int,
    plan: RecommendationPlan,
    block: int,
) -> Filled:
    """Return the k slots of each of the `users` (n, d). Slots stay empty only where fewer items are allowed.

    New items get `exploration_share` of the slots, at even distances: of 20 slots and a share of .1, the 10th and the
    20th. They are the user's best new items by the model that are not `known` to the user. Where too few are allowed,
    or the caps leave too few, the other items move up. The caps, and that no item is repeated, hold for all slots.
    """
    allowed = offered.vectors[: offered.allowed]
    # Items with a repeat score are hidden too, because the score of a new item does not include it.
    hidden = joined(joined(banned, known), own.pairs)
    explored = _best_new(offered, users, hidden, int(plan.exploration_share * k + 1e-9), plan, block)
    slots = explored.items.shape[1]
    wanted = min(k + slots if plan.by_score_alone else (k + slots) * plan.candidates_per_slot, len(allowed))
    best = best_with_repeat_scores(users, allowed, wanted, banned, own, block, offered.scoring)
    varied = diversify(best, offered.similarity, plan, k, explored.items)
    return _interleave(varied, explored, k)


def _best_new(
    offered: OfferedItems, users: Vectors, banned: Exclusions, slots: int, plan: RecommendationPlan, block: int
) -> Candidates:
    """Return each user's best new items (n, slots); without columns where no item is new."""
    new = offered.new_items(plan.new_item_days)
    slots = min(slots, len(new))
    if slots == 0:
        return Candidates(np.zeros((len(users), 0), np.int64), np.zeros((len(users), 0)))
    places = np.full(len(offered.vectors), NOTHING, np.int64)
    places[new] = np.arange(len(new))
    banned_new = places[banned.items]
    among_new = only(Exclusions(banned.starts, banned_new), banned_new != NOTHING)
    by_score = plan.model_copy(update={"mmr_lambda": 1.0})
    wanted = slots if by_score.by_score_alone else min(slots * plan.candidates_per_slot, len(new))
    found = as_candidates(offered.scoring.best(users, offered.vectors[new], wanted, among_new, block), wanted)
    best = Candidates(np.where(found.items == NOTHING, NOTHING, new[np.maximum(found.items, 0)]), found.scores)
    if by_score.by_score_alone:
        return best
    return diversify(best, offered.similarity, by_score, slots, best.items[:, :0], relax_caps=False)


def _interleave(varied: Candidates, explored: Candidates, k: int) -> Filled:
    """Put the new items into their slots, and the others in order into the rest."""
    n, slots = explored.items.shape
    kept = {-(-(number + 1) * k // slots) - 1: number for number in range(slots)}
    items, scores = np.full((n, k), NOTHING, np.int64), np.full((n, k), -np.inf)
    new, rows, following = np.zeros((n, k), bool), np.arange(n), np.zeros(n, np.int64)
    width = varied.items.shape[1]
    for column in range(k):
        if column in kept:
            new[:, column] = explored.items[:, kept[column]] != NOTHING
            items[:, column], scores[:, column] = explored.items[:, kept[column]], explored.scores[:, kept[column]]
        other = ~new[:, column] & (following < width)
        items[other, column] = varied.items[rows[other], following[other]]
        scores[other, column] = varied.scores[rows[other], following[other]]
        following += other
    return _empty_slots_last(items, scores, new)


def _empty_slots_last(items: Indices, scores: Scores, new: Flags) -> Filled:
    """Move empty slots to the end."""
    order = np.argsort(items == NOTHING, axis=1, kind="stable")
    return Filled(
        np.take_along_axis(items, order, axis=1),
        np.take_along_axis(scores, order, axis=1),
        np.take_along_axis(new, order, axis=1),
    )
