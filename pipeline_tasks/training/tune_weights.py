"""Tunes on validation the weights of all that is added to the towers: item-to-item, trends and repeats.

The general weights do not fit new users, because they are tuned beside a history and favour current demand. MovieLens
100K, NDCG@10 of new users: .363 with the general weights and .537 with their own on validation (161 users); .335 and
.520 on test (192 users), where recent popularity reaches .514.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch

from pipeline_tasks.data.interactions import Floats
from pipeline_tasks.device import has_bfloat16
from pipeline_tasks.evaluation.ranking_task import RankingTask, sample_task
from pipeline_tasks.evaluation.ranks_from_scores import ndcg_from_scores
from pipeline_tasks.models.repeat_model import RepeatModel
from pipeline_tasks.models.two_tower.matching import AdditiveMatching
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender

SHARES: Final = (0.0, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Spread of the weighted item-to-item scores, in units of the spread of the towers' scores within a user."""
TREND_SHARES: Final = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Spread of a weighted trend, in units of the spread of the sum of both."""
MIN_NEW_USERS: Final = 50
"""Minimum number of new users to tune on; the standard error of NDCG@10 is then about .04."""
_SPREAD_USERS: Final = 500
"""Number of users that a spread is measured on."""
SCALES: Final = (0.5, 1.0, 2.0, 5.0)
OFFSETS: Final = (0.0, 2.0, 4.0, 8.0)
"""Both in units of the spread of all scores, within a user."""


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


def tune_repeat_weight(recommender: TwoTowerRecommender, fitted: RepeatModel, task: RankingTask) -> RepeatModel:
    """Return `fitted` with the best scale and offset on `task`; both 0 if nothing is gained.

    Args:
        recommender: without `fitted`.
        task: must mask no more of the scored items than the served lists exclude.
    """
    total = recommender.scores(task.histories)
    added = recommender.additions_of(replace(fitted, scale=1.0, offset=0.0), task.histories).tocoo()
    spread = float(total.std(axis=1).mean())

    def measure(scale: float, offset: float) -> float:
        scores = total.copy()
        scores[added.row, added.col] += np.float32(scale) * added.data + np.float32(offset)
        return ndcg_from_scores(scores, task)

    # Most log-odds are below 0. An offset of twice the scale raises them to about 0.
    choices = [(0.0, 0.0), *((a * spread, (2 * a + b) * spread) for a in SCALES for b in OFFSETS)]
    # The first choice, which adds nothing, wins a tie: all are equal if every previously purchased item is masked.
    scale, offset = max(choices, key=lambda choice: measure(*choice))
    return replace(fitted, scale=scale, offset=offset)


def copy_weights(fitted: RepeatModel | None, tuned: RepeatModel | None) -> RepeatModel | None:
    """Return `fitted` with the scale and offset of `tuned`; unchanged if either is None."""
    if fitted is None or tuned is None:
        return fitted
    return replace(fitted, scale=tuned.scale, offset=tuned.offset)
