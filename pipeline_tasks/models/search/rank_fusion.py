"""Joins rankings whose scores cannot be compared.

Cormack, Clarke and Buettcher, Reciprocal rank fusion outperforms Condorcet and individual rank learning methods
(SIGIR 2009).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from pipeline_tasks.topk.arrays import Indices, Scores

CONSTANT: Final = 60
"""As published: how little the very first places count for more than those after them."""


def fuse(rankings: Sequence[Indices], k: int) -> tuple[Indices, Scores]:
    """Return the k items of the highest sum of 1 / (60 + rank) and those sums; the lower index first at ties."""
    items = np.concatenate([*rankings, np.zeros(0, np.int64)])
    if not len(items):
        return items, np.zeros(0)
    gains = np.concatenate([1 / (CONSTANT + 1 + np.arange(len(ranking))) for ranking in rankings])
    found, places = np.unique(items, return_inverse=True)
    # Rounded, so that the order of the rankings cannot decide between equals.
    sums = np.round(np.bincount(places, weights=gains, minlength=len(found)), 12)
    order = np.lexsort((found, -sums))[:k]
    return np.asarray(found[order], np.int64), np.asarray(sums[order], np.float64)
