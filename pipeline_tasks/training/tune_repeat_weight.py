"""How much what a user had or looked at before counts beside what the towers say: chosen on validation."""

from dataclasses import replace
from typing import Final

import numpy as np

from pipeline_tasks.evaluation.ndcg_from_scores import ndcg_from_scores
from pipeline_tasks.evaluation.ranking_task import RankingTask
from pipeline_tasks.models.repeat_model import RepeatModel
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender

SCALES: Final = (0.5, 1.0, 2.0, 5.0)
OFFSETS: Final = (0.0, 2.0, 4.0, 8.0)
"""Both in units of the spread of all scores, within a user."""


def tune_repeat_weight(recommender: TwoTowerRecommender, fitted: RepeatModel, task: RankingTask) -> RepeatModel:
    """Return `fitted` with the scale and offset that are best on `task`; both 0 where nothing is gained.

    Args:
        recommender: without `fitted`.
        task: one that masks of what `fitted` scores no more than the lists that are served.
    """
    total = recommender.scores(task.histories)
    added = recommender.additions_of(replace(fitted, scale=1.0, offset=0.0), task.histories).tocoo()
    spread = float(total.std(axis=1).mean())

    def measure(scale: float, offset: float) -> float:
        scores = total.copy()
        scores[added.row, added.col] += np.float32(scale) * added.data + np.float32(offset)
        return ndcg_from_scores(scores, task)

    # Log-odds of most are below 0: twice the scale lifts them to about 0, so that an offset of 0 prefers nothing.
    choices = [(0.0, 0.0), *((a * spread, (2 * a + b) * spread) for a in SCALES for b in OFFSETS)]
    # Of equals the first, which adds nothing: all are equal where every own item is masked.
    scale, offset = max(choices, key=lambda choice: measure(*choice))
    return replace(fitted, scale=scale, offset=offset)


def copy_weights(fitted: RepeatModel | None, weighed: RepeatModel | None) -> RepeatModel | None:
    """Return `fitted` with the scale and offset of one that was weighed before; as it is where either is missing."""
    if fitted is None or weighed is None:
        return fitted
    return replace(fitted, scale=weighed.scale, offset=weighed.offset)
