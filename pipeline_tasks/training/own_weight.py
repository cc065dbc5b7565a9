"""How much what a shopper had before counts beside what the towers say: chosen on validation."""

from dataclasses import replace
from typing import Final

import numpy as np

from pipeline_tasks.evaluation.quick_ndcg import quick_ndcg
from pipeline_tasks.evaluation.ranking_task import RankingTask
from pipeline_tasks.model.two_tower_recommender import TwoTowerRecommender

SCALES: Final = (0.5, 1.0, 2.0, 5.0)
OFFSETS: Final = (0.0, 2.0, 4.0, 8.0)
"""Both in units of the spread of all scores, within a shopper."""


def choose_own_weight(recommender: TwoTowerRecommender, task: RankingTask) -> float | None:
    """Set scale and offset of the own items' addition to the best on `task`, which must allow repeats.

    Return the NDCG@10 at them, None where the recommender has no score for own items.
    """
    if recommender.own is None:
        return None
    own = replace(recommender.own, scale=1.0, offset=0.0)
    recommender.own = None
    total = recommender.scores(task.histories)
    recommender.own = own
    added = recommender.own_additions(task.histories).tocoo()
    spread = float(total.std(axis=1).mean())

    def measure(scale: float, offset: float) -> float:
        scores = total.copy()
        scores[added.row, added.col] += np.float32(scale) * added.data + np.float32(offset)
        return quick_ndcg(scores, task)

    # Log-odds of most are below 0: twice the scale lifts them to about 0, so that an offset of 0 prefers nothing.
    choices = [(a * spread, (2 * a + b) * spread) for a in SCALES for b in OFFSETS]
    best, scale, offset = max((measure(*choice), *choice) for choice in choices)
    recommender.own = replace(own, scale=scale, offset=offset)
    return best
