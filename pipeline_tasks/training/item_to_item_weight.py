"""Tunes the weights of the item-to-item part and of the popularity trends on validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from pipeline_tasks.data.interactions import Floats
from pipeline_tasks.device import has_bfloat16
from pipeline_tasks.evaluation.ndcg_from_scores import ndcg_from_scores
from pipeline_tasks.evaluation.ranking_task import RankingTask
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender

SHARES: Final = (0.0, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Spread of the weighted item-to-item scores, in units of the spread of the towers' scores within a user."""
TREND_SHARES: Final = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Spread of a weighted trend, in units of the spread of the sum of both."""


@dataclass(frozen=True)
class _Scores:
    """Scores of a task's users by part, computed once for all weights that are tried."""

    alone: Floats
    """(users, items) of the towers."""
    linear: Floats
    """(users, items) of the item-to-item part, unweighted."""
    trends: Floats
    """(horizons, items)"""


def tune_item_to_item_weight(recommender: TwoTowerRecommender, task: RankingTask) -> tuple[float, float]:
    """Set `linear_weight` of the model to the best of SHARES on the task; return the NDCG@10 there, and without it."""
    config = recommender.model.config
    parts = _score(recommender, task)
    unit = spread_of(parts.alone) / max(spread_of(parts.linear), 1e-9) if parts.linear.any() else 0.0
    config.linear_weight, best = best_weight(unit, SHARES if unit else SHARES[:1], parts.alone, parts.linear, task)
    return best, ndcg_from_scores(parts.alone, task)


def tune_blend_weight(recommender: TwoTowerRecommender, task: RankingTask) -> float:
    """Set the weight of the item-to-item part, then one by one the shift of each trend; return the NDCG@10."""
    config = recommender.model.config
    config.trend_shift = [0.0] * len(config.horizons)
    best, _ = tune_item_to_item_weight(recommender, task)
    parts = _score(recommender, task)
    total = parts.alone + np.float32(config.linear_weight) * parts.linear
    spread = spread_of(total)
    for column, trend in enumerate(parts.trends):
        unit = spread / max(float(trend.std()), 1e-9)
        config.trend_shift[column], best = best_weight(unit, TREND_SHARES, total, trend, task)
        total += np.float32(config.trend_shift[column]) * trend
    return best


def _score(recommender: TwoTowerRecommender, task: RankingTask) -> _Scores:
    """Return the scores by part; half precision suffices to choose a weight."""
    config = recommender.model.config
    kept, config.linear_weight = config.linear_weight, 1.0
    with torch.autocast(recommender.model.device.type, torch.bfloat16, enabled=has_bfloat16(recommender.model.device)):
        items, users = recommender.item_matrix(), recommender.user_matrix(task.histories)
    config.linear_weight = kept
    width = items.shape[1] - config.linear_rank
    linear = users[:, width:] @ items[:, width:].T
    return _Scores(recommender.pair_scores.all(users[:, :width], items[:, :width]), linear, recommender.trends.T)


def best_weight(
    unit: float, shares: Sequence[float], base: Floats, part: Floats, task: RankingTask
) -> tuple[float, float]:
    """Return the best weight of `part` when added to `base`, and its NDCG@10; weights are `shares` times `unit`."""
    chosen, best, worse = 0.0, -1.0, 0
    for share in shares:
        ndcg = ndcg_from_scores(base + np.float32(share * unit) * part, task)
        # The first, smallest weight wins a tie.
        chosen, best, worse = (share * unit, ndcg, 0) if ndcg > best else (chosen, best, worse + 1)
        # NDCG rises and then falls with the weight, so three weights without a gain end the search.
        if worse == 3:
            break
    return chosen, best


def spread_of(scores: Floats) -> float:
    """Return the standard deviation of scores (n, items) within a user, the mean over users."""
    return float(scores.std(axis=1).mean())
