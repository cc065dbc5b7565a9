"""Top items, ranks of given items and NDCG@10 of given scores. Of equal scores the lower index ranks first."""

from itertools import pairwise
from typing import Final

import numpy as np
import torch

from pipeline_tasks.data.interactions import Floats, Integers
from pipeline_tasks.evaluation.metrics import ndcg
from pipeline_tasks.evaluation.ranking_task import RankingTask

_MOST_COUNTED: Final = 8
"""Items per row up to which counting is faster than a sort."""
K = 10


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


def ndcg_from_scores(scores: Floats, task: RankingTask) -> float:
    """Return the mean over the task's users of the NDCG@10 of `scores` (n, items), which are overwritten.

    It equals the value of full_ranking.evaluate except for ties, in 20 ms instead of 170 (2,199 x 1,732 scores).
    """
    return lists_ndcg(top_lists(scores, task), task)


def top_lists(scores: Floats, task: RankingTask) -> Integers:
    """Return the items (n, 10) of the largest scores, best first, without masked ones. `scores` are overwritten."""
    mask_out(scores, task)
    lists: Integers = torch.from_numpy(scores).topk(min(K, scores.shape[1]), dim=1).indices.numpy()
    return lists


def mask_out(scores: Floats, task: RankingTask) -> None:
    """Set the scores of masked items to minus infinity, in place."""
    rows, columns = task.masked.nonzero()
    scores[rows, columns] = -np.inf


def lists_ndcg(lists: Integers, task: RankingTask) -> float:
    """Return the mean NDCG@10 of lists (n, k) of items, best first."""
    n_items = task.relevant.shape[1]
    places = np.arange(len(lists))[:, None] * n_items + lists
    rows, columns = task.relevant.nonzero()
    hits = np.isin(places, rows.astype(np.int64) * n_items + columns)
    hits = np.pad(hits, ((0, 0), (0, K - hits.shape[1])))
    return float(ndcg(hits, task.relevant.getnnz(axis=1), K).mean())
