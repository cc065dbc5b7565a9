"""Chooses the cold start boost: a constant that is added to the score of all new items.

A constant boost does not change the order within known or new items, so a list of k needs only the best k of each. A
catalog of 235,000 items is searched twice, and not once for each of 28 levels.

Embeddings from neighbors order new items well among themselves, but too low among known items, which have learned their
popularity. A constant boost corrects that, at the cost of places of known items.

The cost is measured on validation. If it has too few new items, known items simulate new ones. Those were part of the
training, so at an equal boost they take more places than real new items (Amazon Beauty, 1.25 spreads: .15 of the places
against .11). Therefore the affordable share of places is carried over, and not the boost.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch

from pipeline_tasks.config.training_settings import TrainingSettings
from pipeline_tasks.data.interactions import Flags, Floats, Integers
from pipeline_tasks.evaluation.ranking_task import RankingTask
from pipeline_tasks.evaluation.ranks_from_scores import K, lists_ndcg, mask_out
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender

LEVELS: Final = (-2.0, -1.0, -0.5, *(step / 8 for step in range(25)))
"""Boosts that are tried, in units of the spread of the scores within a user."""
MIN_NEW_LABELS: Final = 200
"""Minimum number of validation targets that are new items, to choose the boost on real new items."""
SIMULATED_SHARE: Final = (0.05, 0.2)
"""Bounds of the share of known items that simulate new ones; within them, it is the share of new items."""
SIMULATIONS: Final = 4
"""Number of simulations; the boost of a single one varied from 1.2 to 1.5 spreads (Amazon Beauty, 320 targets each)."""
STOP_RATIO: Final = 0.8
"""No higher boost is tried once NDCG@10 falls below this share of the best."""
BISECTIONS: Final = 12
"""Bisections to find the boost for a share of places, to a thousandth of a spread."""


@dataclass(frozen=True)
class ColdStartBoost:
    """The best items of n users, from which their lists are built at any level."""

    items: Integers
    """(n, k + k') the best k known items, then the best k' new ones."""
    scores: Floats
    """(n, k + k') without a boost."""
    known: int
    """k; k and k' are at most 10."""

    def at(self, level: float) -> Integers:
        """Return (n, 10) the items with the highest scores, best first, with new items raised by `level`."""
        return np.take_along_axis(self.items, self._places(level), axis=1)

    def share(self, level: float) -> float:
        """Return the share of the lists' places that new items take at `level`."""
        return float((self._places(level) >= self.known).mean())

    def _places(self, level: float) -> Integers:
        raised = self.scores.copy()
        raised[:, self.known :] += np.float32(level)
        best = torch.from_numpy(raised).topk(min(K, raised.shape[1]), dim=1)
        places: Integers = best.indices.numpy()
        return places


def cold_start_boost(scores: Floats, new: Flags, task: RankingTask) -> ColdStartBoost:
    """Return the best known and new items by `scores` (n, items), which are overwritten; `new` holds (items,) flags.

    Masked items of the task are used only if there are no others.
    """
    places = np.flatnonzero(new)
    mask_out(scores, task)
    raised = scores[:, places]
    scores[:, places] = -np.inf
    known, unknown = (torch.from_numpy(part).topk(min(K, part.shape[1]), dim=1) for part in (scores, raised))
    items = np.concatenate([known.indices.numpy(), places[unknown.indices.numpy()]], axis=1)
    both = np.concatenate([known.values.numpy(), unknown.values.numpy()], axis=1)
    return ColdStartBoost(items, both, known.indices.shape[1])


def choose_cold_start_boost(
    recommender: TwoTowerRecommender, task: RankingTask, training: TrainingSettings
) -> TwoTowerRecommender:
    """Return the recommender with the highest boost that costs at most the share `training.new_item_cost` of NDCG@10.

    The cost is relative to no boost; if a boost improves NDCG@10, at most twice that share relative to the best. If
    `training.cold_bias` is set, it is the level. Levels are in units of the spread of the scores within a user.
    """
    recommender = recommender.with_weights(cold_start_embeddings=True, cold_start_boost=0.0)
    # The scores are computed again below; kept, they would be a third matrix of up to 2 GB.
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
            # Fewer new items than simulated ones get proportionally fewer places.
            fewer = min(1.0, new.sum() / _simulated_items(new))
            level = _level_for_share(share * fewer, cold_start_boost(_scores(recommender, task), new, task), unit)
    return recommender.with_weights(cold_start_boost=unit * level)


def _boost_curve(lists: ColdStartBoost, unit: float, task: RankingTask) -> Floats:
    """Return (levels, 2): NDCG@10 at every level, and the share of places of new items."""
    found: list[tuple[float, float]] = []
    for level in LEVELS:
        if found and found[-1][0] < STOP_RATIO * max(ndcg for ndcg, _ in found):
            found.append(found[-1])
            continue
        found.append((lists_ndcg(lists.at(level * unit), task), lists.share(level * unit)))
    return np.array(found)


def _simulated_curve(recommender: TwoTowerRecommender, task: RankingTask, unit: float, draw: tuple[int, int]) -> Floats:
    """Return the `_boost_curve` of known items, drawn at random, that simulate new ones."""
    new = _new(recommender)
    known = np.flatnonzero(~new)
    chosen = np.random.default_rng(draw).choice(known, min(_simulated_items(new), len(known)), replace=False)
    rows, trends = recommender.rows.cpu().numpy().copy(), recommender.trends.copy()
    rows[chosen] = -1
    # A new item has no events yet.
    trends[chosen] = trends.min(axis=0, initial=0.0)
    scores = _scores(replace(recommender, rows=torch.from_numpy(rows), trends=trends), task)
    # Real new items are excluded; the cost would count twice with both.
    scores[:, new] = -np.inf
    return _boost_curve(cold_start_boost(scores, np.isin(np.arange(len(rows)), chosen), task), unit, task)


def _simulated_items(new: Flags) -> int:
    """Return the number of known items that simulate new ones."""
    known = int((~new).sum())
    return max(1, round(float(np.clip(new.sum() / max(1, known), *SIMULATED_SHARE)) * known))


def _affordable_level(tried: Floats, cost: float) -> tuple[float, float]:
    """Return the highest affordable level, interpolated between two of LEVELS, and its share of places."""
    ndcg, without, best = tried[:, 0], tried[LEVELS.index(0.0), 0], tried[:, 0].max()
    enough = max((1 - cost) * without, (1 - 2 * cost) * best)
    last = int(np.flatnonzero(ndcg >= enough)[-1])
    after = min(last + 1, len(LEVELS) - 1)
    part = (ndcg[last] - enough) / (ndcg[last] - ndcg[after]) if after > last else 0.0
    level, share = ((1 - part) * of[last] + part * of[after] for of in (np.array(LEVELS), tried[:, 1]))
    return float(level), float(share)


def _level_for_share(share: float, lists: ColdStartBoost, unit: float) -> float:
    """Return the highest level at which new items take at most `share` of the places."""
    low, high = LEVELS[0], LEVELS[-1]
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if lists.share(middle * unit) <= share else (low, middle)
    return low


def _new(recommender: TwoTowerRecommender) -> Flags:
    flags: Flags = (recommender.rows < 0).cpu().numpy()
    return flags


def _scores(recommender: TwoTowerRecommender, task: RankingTask) -> Floats:
    """Return the scores without the repeat models, which are tuned later and never score new items."""
    ready = recommender.prepared()
    users, items = ready.user_matrix(task.histories), ready.item_matrix()
    return np.asarray(ready.pair_scores.all(users, items), dtype=np.float32)
