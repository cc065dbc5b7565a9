"""What users without an event are offered: how far they follow each trend and their attributes, by validation.

Everybody else's weights do not fit them: those are chosen beside a history, and lean to what is in demand just now.
MovieLens 100K, NDCG@10 of newcomers on validation (161): .363 with everybody's weights, .537 with their own; on test
(192) .335 and .520, recent popularity .514.
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

LEAST: Final = 50
"""Newcomers by whom anything is chosen: the standard error of NDCG@10 is then about .04."""
_ENOUGH: Final = 500
"""Users to know a spread by."""


def tune_new_user_weights(recommender: TwoTowerRecommender, task: RankingTask, of_others: RankingTask) -> None:
    """Set `newcomer_trends`, `newcomer_share` and `newcomer_level` of the model to what is best for the newcomers of
    `task`; `of_others` is the task by which the level of new items was chosen.

    They stay as they are where there are too few newcomers, where the log has no times, where nothing beats everybody's
    weights, and with additive matching, whose parts cannot be weighed.
    """
    model, config = recommender.model, recommender.model.config
    if len(task) < LEAST or not config.horizons or isinstance(model.matching, AdditiveMatching):
        return
    recommender = recommender.prepared()
    items, width = recommender.item_matrix(), model.matching.width

    def at_level(level: float) -> tuple[float, float]:
        config.newcomer_level = level
        # All of their score: nobody of them has an item of their own.
        return ndcg_from_scores(recommender.user_matrix(task.histories) @ items.T, task), level

    as_everybody, _ = at_level(0.0)
    weights, popularity = _follow(recommender.trends.T, task)
    own = recommender.user_matrix(task.histories)[:, :width] @ items[:, :width].T
    unit = spread_of(popularity) / max(spread_of(own), 1e-9) if own.any() else 0.0
    share, _ = best_weight(unit, SHARES if unit else SHARES[:1], popularity, own, task)
    # As high above the others as for those who have a history, or not lifted at all.
    others = recommender.user_matrix(sample_task(of_others, _ENOUGH, 0).histories)
    others[:, width + len(weights)] = 0
    spreads = spread_of(popularity + np.float32(share) * own) / max(spread_of(others @ items.T), 1e-9)
    config.newcomer_trends, config.newcomer_share = weights, share
    best, config.newcomer_level = max(map(at_level, (0.0, config.new_item_level * spreads)))
    if best <= as_everybody:
        config.newcomer_trends, config.newcomer_share, config.newcomer_level = [], 1.0, 0.0
    print(f"newcomers: validation ndcg@10 {max(best, as_everybody):.4f}, as everybody {as_everybody:.4f}", flush=True)


def _follow(trends: Floats, task: RankingTask) -> tuple[list[float], Floats]:
    """Return a weight for each of trends (h, items), and their sum (n, items): from the best one on, one by one."""
    spreads = trends.std(axis=1)
    units = np.divide(1, spreads, out=np.zeros_like(spreads), where=spreads > 0)
    alone = [ndcg_from_scores(_for_all(unit * trend, task), task) for unit, trend in zip(units, trends, strict=True)]
    order = np.argsort(alone)[::-1]
    weights = np.zeros(len(trends))
    weights[order[0]] = units[order[0]]
    total = _for_all(units[order[0]] * trends[order[0]], task)
    for column in order[1:]:
        unit = spread_of(total) * units[column]
        weights[column], _ = best_weight(unit, TREND_SHARES, total, trends[column], task)
        total = total + np.float32(weights[column]) * trends[column]
    return weights.tolist(), total


def _for_all(scores: Floats, task: RankingTask) -> Floats:
    """Return (n, items): the same scores (items,) for everybody, to be overwritten."""
    return np.tile(scores.astype(np.float32), (len(task), 1))
