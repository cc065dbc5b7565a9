"""Chooses the kind of the item-to-item part on validation, before the towers are trained."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import torch

from pipeline_tasks.data.interactions import Floats, Integers
from pipeline_tasks.data.popularity_features import choose_horizons
from pipeline_tasks.evaluation.ranking_task import RankingTask, interaction_matrix
from pipeline_tasks.evaluation.ranks_from_scores import ndcg_from_scores
from pipeline_tasks.models.ease import FACTOR_PENALTY, basket_weights, ease_weights, frequent_items
from pipeline_tasks.models.item_to_item import fit_item_to_item, history_weights
from pipeline_tasks.models.season_weights import history_half_life, recent_history, season_weights
from pipeline_tasks.training.fit_options import FitOptions

COMING_SHARES: Final = (0.0, 0.3, 0.6, 1.0)
PENALTIES: Final = (0.1, 0.3, 1.0)
"""Ridge penalties for kind basket. Predicting the last line of Online Retail's invoices: .2033, .2027, .1972."""


def tune_item_to_item(task: RankingTask, options: FitOptions) -> FitOptions:
    """Return the options with the kind of item-to-item part, and its share or penalty, with the best NDCG@10 on `task`.

    Matrices are compared at full rank. If the task is the last line of a basket, the kinds basket and sequence are
    compared at the final rank. Other sequences, and logs without times, keep their kind.
    """
    if not options.linear_rank:
        return options
    if options.in_order:
        measured = _basket_choices(task, options)
    elif options.linear_kind != "sequence" and choose_horizons(task.known):
        measured = _set_and_season_choices(task, options)
    else:
        return options
    best, chosen = max(measured, key=lambda found: found[0])
    described = f"kind {chosen.linear_kind}, upcoming share {chosen.linear_coming}, penalty {chosen.linear_penalty}"
    print(f"item-to-item part: {described}: validation ndcg@10 {best:.4f}", flush=True)
    return chosen


def _basket_choices(task: RankingTask, options: FitOptions) -> Iterator[tuple[float, FitOptions]]:
    n_items, moment = task.relevant.shape[1], task.known.data_extent.last_timestamp + 1
    best = max(PENALTIES, key=lambda penalty: _full_rank_ndcg(task, *basket_weights(task.known, n_items, penalty)))
    # At the final rank: at 512, the codes of a sequence keep nearly all of its quality, and a basket nine tenths.
    baskets = replace(options, linear_kind="basket", linear_penalty=best)
    for tried in (baskets, replace(options, linear_kind="sequence")):
        recipe = tried.item_to_item_recipe(min(options.linear_rank, len(np.unique(task.known.items))))
        user_side, item_side = fit_item_to_item(recipe, task.known, n_items)
        weights = history_weights(recipe.kind, task.histories, n_items, moment, half_life=0)
        yield ndcg_from_scores(weights @ user_side @ item_side.T, task), tried


def _set_and_season_choices(task: RankingTask, options: FitOptions) -> Iterator[tuple[float, FitOptions]]:
    n_items = task.relevant.shape[1]
    yield set_ndcg(task, FACTOR_PENALTY), replace(options, linear_kind="set")
    weights, moment = season_weights(task.known, n_items), task.known.data_extent.last_timestamp + 1
    recent = recent_history(task.histories, n_items, moment, history_half_life(task.known))[:, weights.chosen]
    by_recent, by_upcoming = (recent @ part.numpy() for part in (weights.recent, weights.upcoming))
    for share in COMING_SHARES:
        ndcg = _ndcg(task, by_recent + np.float32(share) * by_upcoming, weights.chosen)
        yield ndcg, replace(options, linear_kind="season", linear_coming=share)


def set_ndcg(task: RankingTask, penalty: float) -> float:
    """Return NDCG@10 on the task of EASE, fitted on the task's known events, over the most frequent items."""
    chosen = frequent_items(task.known, task.relevant.shape[1])
    return _full_rank_ndcg(task, chosen, ease_weights(task.known, task.relevant.shape[1], chosen, penalty))


def _full_rank_ndcg(task: RankingTask, chosen: Integers, weights: torch.Tensor) -> float:
    """Return NDCG@10 of the histories times weights (chosen, chosen)."""
    held = interaction_matrix(task.histories, task.relevant.shape[1])[:, chosen]
    return _ndcg(task, held @ weights.numpy(), chosen)


def _ndcg(task: RankingTask, scores: Floats, chosen: Integers) -> float:
    """Return NDCG@10 of scores (n, chosen); other items have the score 0."""
    full = np.zeros((len(scores), task.relevant.shape[1]), dtype=np.float32)
    full[:, chosen] = scores
    return ndcg_from_scores(full, task)
