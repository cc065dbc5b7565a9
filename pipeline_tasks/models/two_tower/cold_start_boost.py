"""Top lists at any boost of new items, from each user's best known items and best new items.

A constant boost does not change the order within known or new items, so a list of k needs only the best k of each. A
catalog of 235,000 items is searched twice, and not once for each of 28 levels.
"""

from dataclasses import dataclass

import numpy as np
import torch

from pipeline_tasks.data.interactions import Flags, Floats, Integers
from pipeline_tasks.evaluation.ndcg_from_scores import K, mask_out
from pipeline_tasks.evaluation.ranking_task import RankingTask


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
