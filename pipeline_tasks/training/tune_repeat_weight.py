"""Tunes the weight of a repeat model beside the other scores on validation."""

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
