"""Top items of each row of scores, and ranks of given items. Of equal scores the lower index is first."""

from itertools import pairwise
from typing import Final

import numpy as np
import torch

from pipeline_tasks.data.interactions import Floats, Integers

_MOST_COUNTED: Final = 8
"""Items per row up to which counting is faster than a sort."""


def top_items(scores: Floats, k: int) -> Integers:
    """Return (n, k) indices of the k highest scores of each row, best first, ties by the lower index."""
    width = scores.shape[1]
    k = min(k, width)
    if k >= width // 4:
        return np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int64)
    # torch takes .09 ms for a row of 235,000 scores, numpy's partition .64. Its choice among equals is arbitrary.
    found = torch.from_numpy(scores).topk(k + 1, dim=1)
    values, columns = found.values.numpy(), np.sort(found.indices.numpy()[:, :k], axis=1)
    for row in np.flatnonzero(values[:, k - 1] == values[:, k]):
        columns[row] = _first_of_equals(scores[row], values[row, k], k)
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def _first_of_equals(row: Floats, bound: np.float32, k: int) -> Integers:
    """Return (k,) ascending indices: the scores above `bound`, and the first that equal it."""
    above = np.flatnonzero(row > bound)
    return np.sort(np.concatenate([above, np.flatnonzero(row == bound)[: k - len(above)]]))


def rank_of(scores: Floats, rows: Integers, items: Integers) -> Integers:
    """Return (m,) the rank from 1 of item items[i] in row rows[i] (ascending), ties by the lower index."""
    # In 235,000 scores counting takes .04 ms per item, sorting .63 ms for all items; in 4,000 scores .002 and .011.
    few = min(_MOST_COUNTED, scores.shape[1] // 2_000)
    return (_ranks_by_count if len(rows) <= few * len(scores) else _ranks_by_sort)(scores, rows, items)


def _ranks_by_count(scores: Floats, rows: Integers, items: Integers) -> Integers:
    ranks = np.empty(len(rows), dtype=np.int64)
    for place, (row, item) in enumerate(zip(rows.tolist(), items.tolist(), strict=True)):
        line, own = scores[row], scores[row, item]
        ranks[place] = 1 + np.count_nonzero(line > own) + np.count_nonzero(line[:item] == own)
    return ranks


def _ranks_by_sort(scores: Floats, rows: Integers, items: Integers) -> Integers:
    width = scores.shape[1]
    ascending = np.sort(scores, axis=1)
    own = scores[rows, items]
    below, upto = np.empty(len(rows), dtype=np.int64), np.empty(len(rows), dtype=np.int64)
    stops = np.searchsorted(rows, np.arange(len(scores) + 1))
    for row, (start, stop) in enumerate(pairwise(stops.tolist())):
        below[start:stop] = np.searchsorted(ascending[row], own[start:stop], side="left")
        upto[start:stop] = np.searchsorted(ascending[row], own[start:stop], side="right")
    ranks = width - upto + 1
    for place in np.flatnonzero(upto - below > 1):
        ranks[place] += np.count_nonzero(scores[rows[place], : items[place]] == own[place])
    return np.asarray(ranks, dtype=np.int64)
