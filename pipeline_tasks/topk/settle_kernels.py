"""Machine-code loops of the fast top-k that settle what was gathered: all of it in float32, what is left in float64.

Of 100,000 items int8 leaves some 320 for a top-100, float32 a hundred and one at most. Both together take 23 us a user;
float64 alone took 31.
"""

from typing import Final

import numpy as np
from numba import njit

from pipeline_tasks.topk.arrays import Scores, Vectors
from pipeline_tasks.topk.exact_dot import dot
from pipeline_tasks.topk.lane_masks import prefetch
from pipeline_tasks.topk.select_kernels import Candidates, Columns, Margins, drop_below, reached_by

_AHEAD: Final = 6
"""Items that are brought from memory while one is multiplied."""


@njit(cache=True, nogil=True)
def settle(
    users: Vectors, items: Vectors, order: Columns, k: int, margins: Margins, found: Candidates, scores: Scores
) -> None:
    """Leave each row's k best at the front of `columns`, best first and ties by index, with float64 `scores`.

    Rows without proof get the count -1.

    Args:
        users: (rows, d). items: (n, d) as they are. order: (n,) the item at each place. scores: (rows, k).
    """
    exact = np.empty(found.columns.shape[1], np.float64)
    for row in range(len(users)):
        if found.counts[row] >= 0:
            _prove(margins, found, row, k)
        if found.counts[row] < 0:
            continue
        user, columns, lows = users[row], found.columns[row], found.lows[row]
        count = _sharpen(user, items, order, columns[: found.counts[row]], lows, k, 2 * margins.of_float32[row])
        for place in range(count):
            exact[place] = dot(user, items[columns[place]])
        found.counts[row] = rank_best(columns[:count], exact[:count], k, scores[row])


@njit(cache=True, nogil=True)
def _prove(margins: Margins, found: Candidates, row: int, k: int) -> None:
    """Drop what cannot be among the row's k best; where its bound was guessed, and wrong, its count becomes -1."""
    guessed = found.bounds[row]
    if found.counts[row] >= k:
        found.bounds[row] = -np.inf
        drop_below(found, margins, row, k)
    if guessed > found.bounds[row] or (guessed > -np.inf and found.counts[row] < k):
        found.counts[row] = -1


# Sums in any order: the bound holds for all of them.
@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _float32_dot(user: Vectors, item: Vectors) -> np.float32:
    total = np.float32(0)
    for place in range(len(user)):
        total += user[place] * item[place]
    return total


@njit(cache=True, nogil=True)
def _sharpen(
    user: Vectors, items: Vectors, order: Columns, columns: Columns, products: Vectors, k: int, apart: float
) -> int:
    """Put items in place of `columns`, their places, and drop those whose float32 product is more than `apart` below
    the k-th best; return how many are left. What float64 reads next is in the cache by then.

    Args:
        products: room for as many as there are columns.
    """
    count = len(columns)
    for place in range(count):
        prefetch(items, order[columns[min(place + _AHEAD, count - 1)]])
        columns[place] = order[columns[place]]
        products[place] = _float32_dot(user, items[columns[place]])
    if count <= k:
        return count
    bound = np.float64(reached_by(products[:count], k)) - apart
    kept = 0
    for place in range(count):
        column = columns[place]
        columns[kept] = column
        kept += int(products[place] >= bound)
    return kept


@njit(cache=True, nogil=True)
def rank_best(columns: Columns, exact: Scores, k: int, scores: Scores) -> int:
    """Put the k best to the front of `columns` and `scores`, best first and ties by index; return how many they are."""
    by_index = np.argsort(columns)
    ranked = by_index[np.argsort(-exact[by_index], kind="mergesort")][:k]
    best = columns[ranked]
    columns[: len(best)], scores[: len(best)] = best, exact[ranked]
    return len(best)
