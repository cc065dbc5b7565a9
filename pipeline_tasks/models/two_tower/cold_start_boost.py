"""Every user's list at any level of new items, from their best known and their best new ones.

One number for all new items leaves the order within each kind as it is, so a list of k is made from k of either,
whatever the level: a catalog of 235,000 items is looked through twice, and not once for each of 28 levels.
"""

from dataclasses import dataclass

import numpy as np
import torch

from pipeline_tasks.data.interactions import Flags, Floats, Integers
from pipeline_tasks.evaluation.ndcg_from_scores import K, mask_out
from pipeline_tasks.evaluation.ranking_task import RankingTask


@dataclass(frozen=True)
class ColdStartBoost:
    """What n users' lists are made from."""

    items: Integers
    """(n, k + k') the best known items and then the best new ones."""
    scores: Floats
    """(n, k + k') without a level."""
    known: int
    """k: at most 10, as k' is."""

    def at(self, level: float) -> Integers:
        """Return (n, 10) the items of the largest scores, best first, where new ones are raised by `level`."""
        return np.take_along_axis(self.items, self._places(level), axis=1)

    def share(self, level: float) -> float:
        """Return the share of the lists' places that new items take there."""
        return float((self._places(level) >= self.known).mean())

    def _places(self, level: float) -> Integers:
        raised = self.scores.copy()
        raised[:, self.known :] += np.float32(level)
        best = torch.from_numpy(raised).topk(min(K, raised.shape[1]), dim=1)
        places: Integers = best.indices.numpy()
        return places


def cold_start_boost(scores: Floats, new: Flags, task: RankingTask) -> ColdStartBoost:
    """Return what the lists of `scores` (n, items), which are overwritten, are made from; `new` (items,) flags.

    What the task masks is in none, unless there is nothing else.
    """
    places = np.flatnonzero(new)
    mask_out(scores, task)
    raised = scores[:, places]
    scores[:, places] = -np.inf
    known, unknown = (torch.from_numpy(part).topk(min(K, part.shape[1]), dim=1) for part in (scores, raised))
    items = np.concatenate([known.indices.numpy(), places[unknown.indices.numpy()]], axis=1)
    both = np.concatenate([known.values.numpy(), unknown.values.numpy()], axis=1)
    return ColdStartBoost(items, both, known.indices.shape[1])
