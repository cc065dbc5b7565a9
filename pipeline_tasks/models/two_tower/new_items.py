"""The level at which new items enter the ranking.

The ids that they borrow put new items in the right order among themselves, but too low among the others, which learned
how often they are wanted. One constant for all of them mends that, at the cost of the others' places.

What it costs is seen on validation, where known items play new ones. They were trained with, so at one level they take
more places than the really new do (Amazon Beauty, 1.25 spreads: .15 of them where the new take .11). What is carried
over is therefore the share of places that is affordable, not the level.
"""

from dataclasses import replace
from typing import Final

import numpy as np
import torch

from pipeline_tasks.config.training_settings import TrainingSettings
from pipeline_tasks.data.interactions import Flags, Floats
from pipeline_tasks.evaluation.ndcg_from_scores import lists_ndcg
from pipeline_tasks.evaluation.ranking_task import RankingTask
from pipeline_tasks.models.two_tower.cold_start_boost import ColdStartBoost, cold_start_boost
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender

LEVELS: Final = (-2.0, -1.0, -0.5, *(step / 8 for step in range(25)))
"""In units of the spread of the scores within a user."""
MIN_NEW_LABELS: Final = 200
"""Answers of validation that are new items, from which on they alone decide: the shop's own experience."""
SIMULATED_SHARE: Final = (0.05, 0.2)
"""Share of the known items that play new ones where there are fewer: as many as there are new ones, within these."""
SIMULATIONS: Final = 4
"""Of items that play new ones: a single one's level went from 1.2 to 1.5 spreads (Amazon Beauty, 320 answers each)."""
STOP_RATIO: Final = 0.8
"""Of the best NDCG@10: below it no higher level is tried."""
BISECTIONS: Final = 12
"""Of the range of levels, to find the one of a share of places: to a thousandth of a spread."""


def choose_cold_start_boost(recommender: TwoTowerRecommender, task: RankingTask, training: TrainingSettings) -> None:
    """Set the model's `new_item_level`: the highest that costs no more of NDCG@10 than `training.new_item_cost`.

    The cost is beside new items without a level; where some level gains, at most twice as much beside the best.
    `training.cold_bias` is taken as it is where it is set. Both count in spreads of the scores within a user.
    """
    config = recommender.model.config
    config.borrowed_ids, config.new_item_level = True, 0.0
    # The scores are made again below: held meanwhile, they would be a third matrix of 2 GB at most.
    new, unit = _new(recommender), float(_scores(recommender, task).std(axis=1).mean())
    if training.cold_bias is not None:
        level = training.cold_bias
    elif task.relevant[:, new].nnz >= MIN_NEW_LABELS:
        lists = cold_start_boost(_scores(recommender, task), new, task)
        level, _ = _affordable_level(_boost_curve(lists, unit, task), training.new_item_cost)
    else:
        played = np.mean(
            [_simulated_curve(recommender, task, unit, (training.seed, draw)) for draw in range(SIMULATIONS)], axis=0
        )
        level, share = _affordable_level(played, training.new_item_cost)
        if new.any():
            # Where they are fewer than those that played them, so are the places.
            fewer = min(1.0, new.sum() / _simulated_items(new))
            level = _level_for_share(share * fewer, cold_start_boost(_scores(recommender, task), new, task), unit)
    config.new_item_level = unit * level


def _boost_curve(lists: ColdStartBoost, unit: float, task: RankingTask) -> Floats:
    """Return (levels, 2): NDCG@10 at every level, and the share of places that new items take."""
    found: list[tuple[float, float]] = []
    for level in LEVELS:
        if found and found[-1][0] < STOP_RATIO * max(ndcg for ndcg, _ in found):
            found.append(found[-1])
            continue
        found.append((lists_ndcg(lists.at(level * unit), task), lists.share(level * unit)))
    return np.array(found)


def _simulated_curve(recommender: TwoTowerRecommender, task: RankingTask, unit: float, draw: tuple[int, int]) -> Floats:
    """Return what `_boost_curve` returns of known items, drawn at random, in the part of new ones."""
    new = _new(recommender)
    known = np.flatnonzero(~new)
    chosen = np.random.default_rng(draw).choice(known, min(_simulated_items(new), len(known)), replace=False)
    rows, trends = recommender.rows.cpu().numpy().copy(), recommender.trends.copy()
    rows[chosen] = -1
    # Nobody has wanted a new item yet.
    trends[chosen] = trends.min(axis=0, initial=0.0)
    scores = _scores(replace(recommender, rows=torch.from_numpy(rows), trends=trends), task)
    # They stand in the place of the really new, not beside them: of both, the level costs twice.
    scores[:, new] = -np.inf
    return _boost_curve(cold_start_boost(scores, np.isin(np.arange(len(rows)), chosen), task), unit, task)


def _simulated_items(new: Flags) -> int:
    """Return how many known items play new ones."""
    known = int((~new).sum())
    return max(1, round(float(np.clip(new.sum() / max(1, known), *SIMULATED_SHARE)) * known))


def _affordable_level(tried: Floats, cost: float) -> tuple[float, float]:
    """Return the highest level that is affordable, between two that were tried, and the share of places there."""
    ndcg, without, best = tried[:, 0], tried[LEVELS.index(0.0), 0], tried[:, 0].max()
    enough = max((1 - cost) * without, (1 - 2 * cost) * best)
    last = int(np.flatnonzero(ndcg >= enough)[-1])
    after = min(last + 1, len(LEVELS) - 1)
    part = (ndcg[last] - enough) / (ndcg[last] - ndcg[after]) if after > last else 0.0
    level, share = ((1 - part) * of[last] + part * of[after] for of in (np.array(LEVELS), tried[:, 1]))
    return float(level), float(share)


def _level_for_share(share: float, lists: ColdStartBoost, unit: float) -> float:
    """Return the highest level at which new items take no more than that share of the places."""
    low, high = LEVELS[0], LEVELS[-1]
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if lists.share(middle * unit) <= share else (low, middle)
    return low


def _new(recommender: TwoTowerRecommender) -> Flags:
    flags: Flags = (recommender.rows < 0).cpu().numpy()
    return flags


def _scores(recommender: TwoTowerRecommender, task: RankingTask) -> Floats:
    """Without what is added for a user's own items, which is weighed later: of new items there is none."""
    ready = recommender.prepared()
    users, items = ready.user_matrix(task.histories), ready.item_matrix()
    return np.asarray(ready.pair_scores.all(users, items), dtype=np.float32)
