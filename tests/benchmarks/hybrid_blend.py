"""Blends the recommender with models that are not dot products, for comparisons and for small catalogs.

score = recommender + sum of weight x part / the part's largest absolute score for the user.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import DataExtent, Floats, Interactions
from pipeline_tasks.evaluation.ranking_task import RankingTask, Scorer
from pipeline_tasks.evaluation.ranks_from_scores import ndcg_from_scores

SHARES: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Weights that are tried, in units of the spread of the recommender's scores within a user."""


@dataclass(frozen=True)
class HybridBlend:
    """A recommender, other scorers of the same catalog, and their weights."""

    name: str
    first: Scorer
    others: Sequence[Scorer]
    weights: Sequence[float]

    @property
    def data_extent(self) -> DataExtent:
        """The largest data extent of the parts."""
        seen = [part.data_extent for part in (self.first, *self.others)]
        return DataExtent(max(one.events for one in seen), max(one.last_timestamp for one in seen))

    def scores(self, histories: Interactions) -> Floats:
        """Return (histories, items)."""
        total = np.array(self.first.scores(histories), dtype=np.float32)
        for part, weight in zip(self.others, self.weights, strict=True):
            if weight:
                total += np.float32(weight) * _scaled_to_max(part.scores(histories))
        return total


def choose_weights(first: Scorer, others: Sequence[Scorer], task: RankingTask) -> list[float]:
    """Return the weight of each of `others`, tuned one after the other on the task."""
    total = np.array(first.scores(task.histories), dtype=np.float32)
    unit, weights = float(total.std(axis=1).mean()), []
    for part in others:
        scores = _scaled_to_max(part.scores(task.histories))
        found = [(ndcg_from_scores(total + np.float32(share * unit) * scores, task), share * unit) for share in SHARES]
        # The first, smallest weight wins a tie.
        weight = max(found, key=lambda pair: pair[0])[1]
        total += np.float32(weight) * scores
        weights.append(weight)
    return weights


def _scaled_to_max(scores: Floats) -> Floats:
    greatest = np.abs(scores).max(axis=1, keepdims=True)
    return np.asarray(scores / np.where(greatest > 0, greatest, 1), dtype=np.float32)
