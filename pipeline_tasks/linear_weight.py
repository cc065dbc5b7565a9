"""How much the collaborative part counts beside the transformer: chosen on validation."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline_tasks.full_ranking import RankingResult, evaluate
from pipeline_tasks.interactions import Evidence, Floats, Interactions
from pipeline_tasks.ranking_task import RankingTask
from pipeline_tasks.two_tower_recommender import TwoTowerRecommender

SHARES: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Spread of the collaborative scores over that of the transformer's, within a shopper."""


@dataclass(frozen=True)
class _Blend:
    """Both parts' scores of every shopper of a task, computed once and weighed anew for every share."""

    name: str
    evidence: Evidence
    place: dict[str, int]
    alone: Floats
    linear: Floats
    weight: float

    def scores(self, histories: Interactions) -> Floats:
        rows = [self.place[key] for key in histories.keys]
        return np.asarray(self.alone[rows] + np.float32(self.weight) * self.linear[rows], dtype=np.float32)


def choose_linear_weight(recommender: TwoTowerRecommender, task: RankingTask, metric: str) -> RankingResult:
    """Set `linear_weight` of the model to the best of SHARES on the task, and return the result at that weight."""
    config = recommender.model.config
    config.linear_weight = 1.0
    items, users = recommender.item_matrix(), recommender.user_matrix(task.histories)
    width = items.shape[1] - config.linear_rank
    alone, linear = users[:, :width] @ items[:, :width].T, users[:, width:] @ items[:, width:].T
    spread = float(linear.std(axis=1).mean())
    unit = float(alone.std(axis=1).mean()) / spread if spread > 0 else 0.0
    place = {key: row for row, key in enumerate(task.histories.keys)}
    blends = [_Blend(recommender.name, recommender.evidence, place, alone, linear, s * unit) for s in SHARES]
    results = {blend.weight: evaluate(blend, task) for blend in blends}
    # Of equals the smaller: the first that is best.
    config.linear_weight = max(results, key=lambda weight: results[weight].overall[metric])
    return results[config.linear_weight]
