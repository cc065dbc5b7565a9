"""Fuses rankings with scores of different scales.

Cormack, Clarke and Buettcher, Reciprocal rank fusion outperforms Condorcet and individual rank learning methods
(SIGIR 2009).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from pipeline_tasks.topk.arrays import Indices, Scores

CONSTANT: Final = 60
"""k of the paper; a higher value reduces the advantage of the first places."""


def fuse(rankings: Sequence[Indices], k: int) -> tuple[Indices, Scores]:
    """Return the k items with the highest sums of 1 / (60 + rank), and the sums; the lower index wins a tie."""
    items = np.concatenate([*rankings, np.zeros(0, np.int64)])
    if not len(items):
        return items, np.zeros(0)
    gains = np.concatenate([1 / (CONSTANT + 1 + np.arange(len(ranking))) for ranking in rankings])
    found, places = np.unique(items, return_inverse=True)
    # Rounded, so that the order of the rankings cannot break a tie.
    sums = np.round(np.bincount(places, weights=gains, minlength=len(found)), 12)
    order = np.lexsort((found, -sums))[:k]
    return np.asarray(found[order], np.int64), np.asarray(sums[order], np.float64)
