"""The item-to-item part of the model, of one of four kinds; each is a sum over the history.

W = pop^-1/2 . G . pop^-p, where G counts directed pairs at most 10 steps apart, decayed by .8 per step. A user's vector
is the sum of .6^age over the history. A step is one timestamp, so the items of a basket do not follow one another. On
Amazon Beauty it raises NDCG@10 of the transformer from .0662 to .0683 (test, leave-one-out).

The successor matrix is mostly of high rank, so a truncated SVD loses much of it. Random codes keep it: each scored item
has a code of +-1 values, and each history item has the weighted sum of its successors' codes. With m values, the noise
is 1 / sqrt(m) of the signal (Johnson and Lindenstrauss 1984). Amazon Beauty, NDCG@10 of 5,000 validation users, beside
towers of .0842: full matrix .0881; rank 128 .0761, 256 .0776, 512 .0793 (at the smallest weight tried); 256 codes
.0864, 512 .0871, 1,024 .0878; 128 singular vectors and 384 codes .0879.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.sparse import csr_matrix, diags
from sklearn.utils.extmath import randomized_svd

from pipeline_tasks.data.interactions import DataExtent, Floats, Interactions, step_numbers
from pipeline_tasks.evaluation.ranking_task import interaction_matrix
from pipeline_tasks.models.ease import BASKET_PENALTY, basket_weights, factorize_weights, linear_factors
from pipeline_tasks.models.season_weights import history_half_life, recent_history, season_weights

REACH: Final = 10
"""Maximum gap of a pair in steps; lower for large baskets, to bound the number of pairs (see `_reach`)."""
GAP_DECAY: Final = 0.8
AGE_DECAY: Final = 0.6
MAX_PAIRS: Final = 50_000_000
POPULARITY_POWER: Final = 0.5
"""p, the power of the scored item's popularity."""
_OLDEST: Final = 20
"""Maximum age in steps; beyond it .6^age is below .00004."""
POWER: Final = 0.3
"""Power of the scored item's popularity. Alone: Amazon Beauty .0674 (.1: .0707, .5: .0616), MovieLens-1M .166 (.1:
.167, .5: .157); beside the towers .1 is no better (.0875 instead of .0879)."""
DIRECTIONS: Final = 0.25
"""Share of the rank for singular vectors. MovieLens-1M, alone: 128 of them and 384 codes .160, 512 codes .130."""
ItemToItemKind = Literal["set", "sequence", "season", "basket"]
"""How a history is read.

- set: an unordered set of items (EASE, see item_to_item_factors).
- sequence: recent items have higher weights (see item_to_item and sequence_factors).
- season: old items lose weight, for shops with seasonal demand (see season_weights).
- basket: items of one basket, to be completed (see basket_weights).
"""


@dataclass(frozen=True)
class SequenceItemToItem:
    """Sparse weights from an item of the history to the scored item."""

    name: str
    data_extent: DataExtent
    weights: csr_matrix
    """(items, items)"""

    def scores(self, histories: Interactions) -> Floats:
        """Return (histories, items): the decayed sum of the weights of each history's items."""
        return np.asarray((recent_items(histories, self.weights.shape[0]) @ self.weights).toarray(), dtype=np.float32)


def sequence_item_to_item(log: Interactions, n_items: int, power: float = POPULARITY_POWER) -> SequenceItemToItem:
    """Count the pairs of `log` and normalize them by both items' popularity."""
    pairs = count_successors(log, n_items)
    counts = np.maximum(np.bincount(log.items, minlength=n_items), 1).astype(np.float64)
    weights = (diags(counts**-0.5) @ pairs @ diags(counts**-power)).tocsr().astype(np.float32)
    return SequenceItemToItem("item_to_item", log.data_extent, weights)


def count_successors(log: Interactions, n_items: int) -> csr_matrix:
    """Return (items, items): the sum of .8^(gap - 1) over pairs of an item and a later one, gap steps apart."""
    steps = step_numbers(log)
    holds = csr_matrix((np.ones(len(steps), dtype=np.float32), (steps, log.items)), shape=(steps.max() + 1, n_items))
    owner = np.zeros(holds.shape[0], dtype=np.int64)
    owner[steps] = log.rows
    total = csr_matrix((n_items, n_items), dtype=np.float32)
    for gap in range(1, _reach(holds) + 1):
        same = (owner[gap:] == owner[:-gap]).astype(np.float32)
        total = total + holds[:-gap].T @ (diags(same * GAP_DECAY ** (gap - 1)) @ holds[gap:])
    total.setdiag(0)
    total.eliminate_zeros()
    return total.tocsr()


def recent_items(log: Interactions, n_items: int) -> csr_matrix:
    """Return (sequences, items): the sum of .6^age over a sequence's events, age in steps from its last."""
    steps = step_numbers(log)
    last = np.zeros(len(log), dtype=np.int64)
    np.maximum.at(last, log.rows, steps)
    age = last[log.rows] - steps
    near = age <= _OLDEST
    matrix = csr_matrix(
        ((AGE_DECAY ** age[near]).astype(np.float32), (log.rows[near], log.items[near])), shape=(len(log), n_items)
    )
    matrix.sum_duplicates()
    return matrix


def _reach(holds: csr_matrix) -> int:
    pairs = float((np.diff(holds.indptr).astype(np.float64) ** 2).sum())
    return int(np.clip(MAX_PAIRS / max(pairs, 1.0), 1, REACH))


def sequence_factors(log: Interactions, n_items: int, rank: int, seed: int) -> tuple[Floats, Floats]:
    """Return the user-side and the item-side factors, both (items, rank).

    A score is the decayed sum of the history's user-side rows, times an item-side row. It is exact if the catalog has
    no more items than the rank.
    """
    weights = sequence_item_to_item(log, n_items, POWER).weights
    user_side, item_side = (np.zeros((n_items, rank), dtype=np.float32) for _ in range(2))
    n_directions = n_items if n_items <= rank else max(1, int(rank * DIRECTIONS))
    left, values, right = randomized_svd(weights, n_directions, n_iter=3, random_state=seed)
    left, right = left * np.sqrt(values), right.T * np.sqrt(values)
    user_side[:, :n_directions], item_side[:, :n_directions] = left, right
    if n_directions < rank and n_items > rank:
        codes = _random_codes(n_items, rank - n_directions, seed)
        user_side[:, n_directions:], item_side[:, n_directions:] = (
            _successor_codes(weights, codes) - left @ (right.T @ codes),
            codes,
        )
    return user_side, item_side


def _random_codes(n_items: int, width: int, seed: int) -> Floats:
    signs = np.random.default_rng(seed).choice(np.array([-1, 1], dtype=np.float32), (n_items, width))
    return np.asarray(signs / np.sqrt(width), dtype=np.float32)


def _successor_codes(weights: csr_matrix, codes: Floats) -> Floats:
    return np.asarray(weights @ codes, dtype=np.float32)


@dataclass(frozen=True)
class ItemToItemRecipe:
    """The parameters of the part, which can be fitted on any log."""

    kind: ItemToItemKind = "set"
    rank: int = 0
    """Width of the vectors; 0 for no part."""
    coming: float = 0.0
    """Weight of the regression on upcoming items, for kind season."""
    seed: int = 1
    penalty: float = BASKET_PENALTY
    """Ridge penalty, for kind basket."""
    in_order: bool = False
    """Whether kind sequence counts the lines of a basket as ordered; when scoring, a basket is one step."""


def fit_item_to_item(recipe: ItemToItemRecipe, log: Interactions, n_items: int) -> tuple[Floats, Floats]:
    """Return the user-side and the item-side factors, both (items, rank)."""
    if recipe.kind == "season" and recipe.rank:
        season = season_weights(log, n_items)
        histories = recent_history(log, n_items, int(log.times.max()) + 1, history_half_life(log))
        return factorize_weights(season.joined(recipe.coming), season.chosen, histories, recipe.rank, recipe.seed)
    if recipe.kind == "sequence" and recipe.rank:
        return sequence_factors(log.in_order() if recipe.in_order else log, n_items, recipe.rank, recipe.seed)
    if recipe.kind == "basket" and recipe.rank:
        chosen, weights = basket_weights(log, n_items, recipe.penalty)
        return factorize_weights(weights, chosen, interaction_matrix(log, n_items), recipe.rank, recipe.seed)
    return linear_factors(log, n_items, recipe.rank, recipe.seed)


def half_life(kind: ItemToItemKind, log: Interactions) -> int:
    """Return the half-life of an event's weight in microseconds; 0 for no decay."""
    return history_half_life(log) if kind == "season" else 0


def history_weights(
    kind: ItemToItemKind, histories: Interactions, n_items: int, moment: int, half_life: int
) -> csr_matrix:
    """Return (histories, items): the weight of each item of a history at `moment` (epoch microseconds)."""
    if kind == "season":
        return recent_history(histories, n_items, moment, half_life)
    return recent_items(histories, n_items) if kind == "sequence" else interaction_matrix(histories, n_items)
