"""The collaborative part of the model: EASE's item-to-item weights in low rank, so that they are a dot product too.

On Online Retail (discovery, NDCG@10 on test) rank 128 keeps .1001 of the full matrix' .1016.
"""

from typing import Final

import numpy as np
from sklearn.utils.extmath import randomized_svd

from pipeline_tasks.baselines import ease
from pipeline_tasks.interactions import Floats, Interactions

MOST_ITEMS: Final = 10_000
"""EASE inverts items x items (800 MB and about a minute here): beyond this, only the items most wanted take part."""
PENALTY: Final = 500.0


def linear_factors(log: Interactions, n_items: int, rank: int, seed: int) -> tuple[Floats, Floats]:
    """Return (items, rank) twice: a history is the sum of its distinct items' rows of the first.

    The dot product of that sum and an item's row of the second is the best approximation of EASE's score in this rank.
    """
    counts = np.bincount(log.items, minlength=n_items)
    chosen = np.sort(np.argsort(-counts, kind="stable")[: min(MOST_ITEMS, int((counts > 0).sum()))])
    place = np.full(n_items, -1, dtype=np.int64)
    place[chosen] = np.arange(len(chosen))
    kept = log.only(place[log.items] >= 0)
    kept = Interactions(kept.keys, kept.known, kept.offsets, place[kept.items], kept.types, kept.times)
    weights = ease(kept, len(chosen), PENALTY).weights
    left, values, right = randomized_svd(weights, min(rank, len(chosen)), n_iter=5, random_state=seed)
    inward, outward = (np.zeros((n_items, rank), dtype=np.float32) for _ in range(2))
    inward[chosen, : len(values)] = left * np.sqrt(values)
    outward[chosen, : len(values)] = (right * np.sqrt(values)[:, None]).T
    return inward, outward
