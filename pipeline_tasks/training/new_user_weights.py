"""Tunes the weights for users without events on validation: of each popularity trend, and of their attributes.

The general weights do not fit new users, because they are tuned beside a history and favour current demand. MovieLens
100K, NDCG@10 of new users: .363 with the general weights and .537 with their own on validation (161 users); .335 and
.520 on test (192 users), where recent popularity reaches .514.
"""

from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Floats
from pipeline_tasks.evaluation.ndcg_from_scores import ndcg_from_scores
from pipeline_tasks.evaluation.ranking_task import RankingTask
from pipeline_tasks.evaluation.sampled_users import sample_task
from pipeline_tasks.models.two_tower.matching import AdditiveMatching
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.training.item_to_item_weight import SHARES, TREND_SHARES, best_weight, spread_of

MIN_NEW_USERS: Final = 50
"""Minimum number of new users to tune on; the standard error of NDCG@10 is then about .04."""
_SPREAD_USERS: Final = 500
"""Number of users that a spread is measured on."""


def tune_new_user_weights(recommender: TwoTowerRecommender, task: RankingTask, of_others: RankingTask) -> None:
    """Set `newcomer_trends`, `newcomer_share` and `newcomer_level` of the model to the best values for new users.

    They are unchanged if there are too few new users, if the log has no times, or with additive matching, whose parts
    cannot be weighted. If nothing beats the general weights, they are set to use those.

    Args:
        task: of the new users.
        of_others: the task on which `new_item_level` was chosen.
    """
    model, config = recommender.model, recommender.model.config
    if len(task) < MIN_NEW_USERS or not config.horizons or isinstance(model.matching, AdditiveMatching):
        return
    recommender = recommender.prepared()
    items, width = recommender.item_matrix(), model.matching.width

    def at_level(level: float) -> tuple[float, float]:
        config.newcomer_level = level
        # New users have no previous items, so nothing is added to this score.
        return ndcg_from_scores(recommender.user_matrix(task.histories) @ items.T, task), level

    general, _ = at_level(0.0)
    weights, popularity = _tune_trend_weights(recommender.trends.T, task)
    own = recommender.user_matrix(task.histories)[:, :width] @ items[:, :width].T
    unit = spread_of(popularity) / max(spread_of(own), 1e-9) if own.any() else 0.0
    share, _ = best_weight(unit, SHARES if unit else SHARES[:1], popularity, own, task)
    # The boost of new items is either that of users with a history, in units of the spread, or 0.
    others = recommender.user_matrix(sample_task(of_others, _SPREAD_USERS, 0).histories)
    others[:, width + len(weights)] = 0
    spreads = spread_of(popularity + np.float32(share) * own) / max(spread_of(others @ items.T), 1e-9)
    config.newcomer_trends, config.newcomer_share = weights, share
    best, config.newcomer_level = max(map(at_level, (0.0, config.new_item_level * spreads)))
    if best <= general:
        config.newcomer_trends, config.newcomer_share, config.newcomer_level = [], 1.0, 0.0
    best = max(best, general)
    print(f"new users: validation ndcg@10 {best:.4f}, with the general weights {general:.4f}", flush=True)


def _tune_trend_weights(trends: Floats, task: RankingTask) -> tuple[list[float], Floats]:
    """Return the weights of trends (h, items) and their weighted sum (n, items); the best trend is added first."""
    spreads = trends.std(axis=1)
    units = np.divide(1, spreads, out=np.zeros_like(spreads), where=spreads > 0)
    alone = [ndcg_from_scores(_tiled(unit * trend, task), task) for unit, trend in zip(units, trends, strict=True)]
    order = np.argsort(alone)[::-1]
    weights = np.zeros(len(trends))
    weights[order[0]] = units[order[0]]
    total = _tiled(units[order[0]] * trends[order[0]], task)
    for column in order[1:]:
        unit = spread_of(total) * units[column]
        weights[column], _ = best_weight(unit, TREND_SHARES, total, trends[column], task)
        total = total + np.float32(weights[column]) * trends[column]
    return weights.tolist(), total


def _tiled(scores: Floats, task: RankingTask) -> Floats:
    """Return (n, items): the same scores (items,) for every user, as an array that may be overwritten."""
    return np.tile(scores.astype(np.float32), (len(task), 1))
