"""The level at which new items enter the ranking.

The ids that they borrow put new items in the right order among themselves, but too low among the others, which learned
how often they are wanted. One constant for all of them mends that, at the cost of the others' places.
"""

from dataclasses import replace
from typing import Final

import numpy as np
import torch

from pipeline_tasks.evaluation.quick_ndcg import quick_ndcg
from pipeline_tasks.evaluation.ranking_task import RankingTask
from pipeline_tasks.model.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.settings import TrainingSettings

LEVELS: Final = (-2.0, -1.0, -0.5, *(step / 32 for step in range(65)))
"""In units of the spread of the scores within a shopper. Fine, as the highest affordable one is taken: in steps of an
eighth, Amazon Beauty (first draw of withheld items) gave up nothing of the 2 % on test, and found .0725 of them."""
ENOUGH: Final = 200
"""Answers of validation that are new items, from which on they alone decide: the shop's own experience."""
WITHHELD: Final = (0.05, 0.2)
"""Share of the known items that play new ones where there are fewer: as many as there are new ones, within these."""


def choose_new_item_level(recommender: TwoTowerRecommender, task: RankingTask, training: TrainingSettings) -> None:
    """Set the model's `new_item_level`: the highest that costs no more of NDCG@10 than `training.new_item_cost`.

    The cost is beside new items without a level; where some level gains, at most twice as much beside the best.
    `training.cold_bias` is taken as it is where it is set. Both count in spreads of the scores within a shopper.
    """
    config = recommender.model.config
    config.borrowed_ids, config.new_item_level = True, 0.0
    tried = _with_new_items(recommender, task, training.seed)
    really_new, new = ((one.rows < 0).cpu().numpy() for one in (recommender, tried))
    if not new.any():
        return
    scores = np.asarray(tried.user_matrix(task.histories) @ tried.item_matrix().T, dtype=np.float32)
    unit = float(scores.std(axis=1).mean())
    if training.cold_bias is not None:
        config.new_item_level = training.cold_bias * unit
        return
    if tried is not recommender:
        # Those that play them stand in their place, not beside them: of both, the level costs twice.
        new &= ~really_new
        scores[:, really_new] = -np.inf
    spread = np.float32(unit) * new
    found = [(level, quick_ndcg(scores + np.float32(level) * spread, task)) for level in LEVELS]
    cost, without, best = training.new_item_cost, dict(found)[0.0], max(ndcg for _, ndcg in found)
    enough = max((1 - cost) * without, (1 - 2 * cost) * best)
    config.new_item_level = unit * max(level for level, ndcg in found if ndcg >= enough)


def _with_new_items(recommender: TwoTowerRecommender, task: RankingTask, seed: int) -> TwoTowerRecommender:
    """Return the recommender as it is where enough answers are new items, else with known items in their part."""
    rows = recommender.rows.cpu().numpy()
    if task.relevant[:, rows < 0].nnz >= ENOUGH:
        return recommender
    known = np.flatnonzero(rows >= 0)
    share = np.clip((len(rows) - len(known)) / max(1, len(known)), *WITHHELD)
    chosen = np.random.default_rng(seed).choice(known, round(share * len(known)), replace=False)
    rows, trends = rows.copy(), recommender.trends.copy()
    rows[chosen] = -1
    # Nobody has wanted a new item yet.
    trends[chosen] = trends.min(axis=0, initial=0.0)
    return replace(recommender, rows=torch.from_numpy(rows), trends=trends)
