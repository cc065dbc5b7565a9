"""The item-to-item part of the model, of one of four kinds; each is a sum over the history and one dot product."""

from dataclasses import dataclass
from typing import Literal

from scipy.sparse import csr_matrix

from pipeline_tasks.data.interactions import Floats, Interactions
from pipeline_tasks.evaluation.ranking_task import interaction_matrix
from pipeline_tasks.models.basket_weights import PENALTY, basket_weights
from pipeline_tasks.models.item_to_item import recent_items
from pipeline_tasks.models.item_to_item_factors import factorize_weights, linear_factors
from pipeline_tasks.models.season_weights import history_half_life, recent_history, season_weights
from pipeline_tasks.models.sequence_factors import sequence_factors

ItemToItemKind = Literal["set", "sequence", "season", "basket"]
"""How a history is read.

- set: an unordered set of items (EASE, see item_to_item_factors).
- sequence: recent items have higher weights (see item_to_item and sequence_factors).
- season: old items lose weight, for shops with seasonal demand (see season_weights).
- basket: items of one basket, to be completed (see basket_weights).
"""


@dataclass(frozen=True)
class ItemToItemRecipe:
    """The parameters of the part, which can be fitted on any log."""

    kind: ItemToItemKind = "set"
    rank: int = 0
    """Width of the vectors; 0 for no part."""
    coming: float = 0.0
    """Weight of the regression on upcoming items, for kind season."""
    seed: int = 1
    penalty: float = PENALTY
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
