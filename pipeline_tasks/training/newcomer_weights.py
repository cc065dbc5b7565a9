"""What shoppers without an event are offered: how far they follow each trend and their attributes, by validation.

Everybody else's weights do not fit them: those are chosen beside a history, and lean to what is in demand just now.
MovieLens 100K, NDCG@10 of newcomers on validation (161): .363 with everybody's weights, .537 with their own; on test
(192) .335 and .520, recent popularity .514.
"""

from typing import Final

import numpy as np

from pipeline_tasks.behavior.interactions import Floats
from pipeline_tasks.evaluation.quick_ndcg import quick_ndcg
from pipeline_tasks.evaluation.ranking_task import RankingTask
from pipeline_tasks.model.matching import AdditiveMatching
from pipeline_tasks.model.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.training.linear_weight import SHARES, TREND_SHARES, best_weight, spread_of

LEAST: Final = 50
"""Newcomers by whom anything is chosen: the standard error of NDCG@10 is then about .04."""
_ENOUGH: Final = 500
"""Shoppers to know a spread by."""


def choose_newcomers(recommender: TwoTowerRecommender, task: RankingTask, of_others: RankingTask) -> None:
    """Set `newcomer_trends`, `newcomer_share` and `newcomer_level` of the model to what is best for the newcomers of
    `task`; `of_others` is the task by which the level of new items was chosen.

    They stay as they are where there are too few newcomers, where the log has no times, where nothing beats everybody's
    weights, and with additive matching, whose parts cannot be weighed.
    """
    model, config = recommender.model, recommender.model.config
    if len(task) < LEAST or not config.horizons or isinstance(model.matching, AdditiveMatching):
        return
    as_everybody = quick_ndcg(recommender.scores(task.histories), task)
    weights, crowd = _follow(recommender.trends.T, task)
    width = model.matching.width
    own = recommender.user_matrix(task.histories)[:, :width] @ recommender.item_matrix()[:, :width].T
    unit = spread_of(crowd) / max(spread_of(own), 1e-9) if own.any() else 0.0
    share, _ = best_weight(unit, SHARES if unit else SHARES[:1], crowd, own, task)
    # As high above the others as for those who have a history, or not lifted at all.
    lifted = (
        config.new_item_level
        * spread_of(crowd + np.float32(share) * own)
        / _spread_without_level(recommender, of_others)
    )
    config.newcomer_trends, config.newcomer_share = weights, share
    best, config.newcomer_level = max((_at_level(recommender, task, level), level) for level in (0.0, lifted))
    if best <= as_everybody:
        config.newcomer_trends, config.newcomer_share, config.newcomer_level = [], 1.0, 0.0
    print(f"newcomers: validation ndcg@10 {max(best, as_everybody):.4f}, as everybody {as_everybody:.4f}", flush=True)


def _at_level(recommender: TwoTowerRecommender, task: RankingTask, level: float) -> float:
    recommender.model.config.newcomer_level = level
    return quick_ndcg(recommender.scores(task.histories), task)


def _spread_without_level(recommender: TwoTowerRecommender, task: RankingTask) -> float:
    histories = task.histories.select(np.arange(min(len(task), _ENOUGH)))
    users, items = recommender.user_matrix(histories), recommender.item_matrix()
    users[:, recommender.model.matching.width + recommender.trends.shape[1]] = 0
    return max(spread_of(users @ items.T), 1e-9)


def _follow(trends: Floats, task: RankingTask) -> tuple[list[float], Floats]:
    """Return a weight for each of trends (h, items), and their sum (n, items): from the best one on, one by one."""
    units = 1 / np.maximum(trends.std(axis=1), 1e-9)
    alone = [quick_ndcg(_for_all(unit * trend, task), task) for unit, trend in zip(units, trends, strict=True)]
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
