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


def tune_item_to_item_weight(recommender: TwoTowerRecommender, task: RankingTask) -> tuple[float, float, float]:
    """Return the best weight of the item-to-item part on the task, the NDCG@10 with it, and the NDCG@10 without it."""
    parts = _score(recommender, task)
    return *_item_to_item_weight(parts, task), ndcg_from_scores(parts.alone, task)


def _item_to_item_weight(parts: _Scores, task: RankingTask) -> tuple[float, float]:
    unit = spread_of(parts.alone) / max(spread_of(parts.linear), 1e-9) if parts.linear.any() else 0.0
    return best_weight(unit, SHARES if unit else SHARES[:1], parts.alone, parts.linear, task)


def tune_blend_weight(recommender: TwoTowerRecommender, task: RankingTask) -> tuple[TwoTowerRecommender, float]:
    """Return the recommender with the best weight of the item-to-item part and shift of each trend, and its NDCG@10.

    The weights are chosen one after the other.
    """
    recommender = recommender.with_weights(trend_shift=())
    parts = _score(recommender, task)
    weight, best = _item_to_item_weight(parts, task)
    total = parts.alone + np.float32(weight) * parts.linear
    spread, shifts = spread_of(total), []
    for trend in parts.trends:
        unit = spread / max(float(trend.std()), 1e-9)
        shift, best = best_weight(unit, TREND_SHARES, total, trend, task)
        total += np.float32(shift) * trend
        shifts.append(shift)
    return recommender.with_weights(item_to_item=weight, trend_shift=tuple(shifts)), best


def _score(recommender: TwoTowerRecommender, task: RankingTask) -> _Scores:
    """Return the scores by part; half precision suffices to choose a weight."""
    device, unweighted = recommender.model.device, recommender.with_weights(item_to_item=1.0)
    with torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device)):
        items, users = unweighted.item_matrix(), unweighted.user_matrix(task.histories)
    width = items.shape[1] - recommender.model.config.linear_rank
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


def tune_new_user_weights(
    recommender: TwoTowerRecommender, task: RankingTask, of_others: RankingTask
) -> TwoTowerRecommender:
    """Return the recommender with the best weights for new users: `new_user_trends`, `…_profile` and `…_boost`.

    They are unchanged if there are too few new users, if the log has no times, or with additive matching, whose parts
    cannot be weighted. If nothing beats the general weights, new users get those.

    Args:
        task: of the new users.
        of_others: the task on which `cold_start_boost` was chosen.
    """
    model, width = recommender.model, recommender.model.matching.width
    if len(task) < MIN_NEW_USERS or not model.config.horizons or isinstance(model.matching, AdditiveMatching):
        return recommender
    recommender = recommender.with_weights(new_user_trends=(), new_user_profile=1.0, new_user_boost=0.0)
    ready = recommender.prepared()
    general = _new_user_ndcg(ready, task)
    trends, popularity = _tune_trend_weights(ready.trends.T, task)
    by_profile = ready.user_matrix(task.histories)[:, :width] @ ready.item_matrix()[:, :width].T
    unit = spread_of(popularity) / max(spread_of(by_profile), 1e-9) if by_profile.any() else 0.0
    share, _ = best_weight(unit, SHARES if unit else SHARES[:1], popularity, by_profile, task)
    chosen = {"new_user_trends": trends, "new_user_profile": share}
    # The boost of new items is either that of users with a history, in units of the spread, or 0.
    spreads = spread_of(popularity + np.float32(share) * by_profile) / max(_spread_of_others(ready, of_others), 1e-9)
    boosts = (0.0, ready.tuned.cold_start_boost * spreads)
    best, boost = max((_new_user_ndcg(ready.with_weights(**chosen, new_user_boost=one), task), one) for one in boosts)
    print(f"new users: validation ndcg@10 {max(best, general):.4f}, with the general weights {general:.4f}", flush=True)
    return recommender.with_weights(**chosen, new_user_boost=boost) if best > general else recommender


def _new_user_ndcg(ready: TwoTowerRecommender, task: RankingTask) -> float:
    """Return NDCG@10 of users without events; they have no previous items, so nothing is added to the product."""
    return ndcg_from_scores(ready.user_matrix(task.histories) @ ready.item_matrix().T, task)


def _spread_of_others(ready: TwoTowerRecommender, of_others: RankingTask) -> float:
    """Return the spread of the scores of a sample of users with a history, without the boost of new items."""
    users = ready.with_weights(cold_start_boost=0.0).user_matrix(sample_task(of_others, _SPREAD_USERS, 0).histories)
    return spread_of(users @ ready.item_matrix().T)


def _tune_trend_weights(trends: Floats, task: RankingTask) -> tuple[tuple[float, ...], Floats]:
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
    return tuple(weights.tolist()), total


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
    added = recommender.additions_by(replace(fitted, scale=1.0, offset=0.0), task.histories).tocoo()
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


def copy_weights(fitted: TwoTowerRecommender, tuned: TwoTowerRecommender) -> TwoTowerRecommender:
    """Return `fitted` with all tuned weights of `tuned`, those of the repeat models included."""
    return replace(
        fitted,
        tuned=tuned.tuned,
        repeat_model=copy_repeat_weights(fitted.repeat_model, tuned.repeat_model),
        view_conversion=copy_repeat_weights(fitted.view_conversion, tuned.view_conversion),
    )


def copy_repeat_weights(fitted: RepeatModel | None, tuned: RepeatModel | None) -> RepeatModel | None:
    """Return `fitted` with the scale and offset of `tuned`; unchanged if either is None."""
    if fitted is None or tuned is None:
        return fitted
    return replace(fitted, scale=tuned.scale, offset=tuned.offset)
