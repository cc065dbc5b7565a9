"""Accuracy of ranked lists with binary relevance, one value per user.

`hits`: (n, >= k) whether the item at each place is relevant; `relevant`: (n,) how many items are relevant, at least 1.
Formulas: Järvelin and Kekäläinen 2002 (DCG; the ideal list has min(k, relevant) hits); the others are standard.
"""

import numpy as np
import numpy.typing as npt

from pipeline_tasks.data.interactions import Flags, Integers

Reals = npt.NDArray[np.float64]


def recall(hits: Flags, relevant: Integers, k: int) -> Reals:
    """Return the share of relevant items in the first k."""
    return np.asarray(hits[:, :k].sum(axis=1) / relevant, dtype=np.float64)


def precision(hits: Flags, k: int) -> Reals:
    """Return the share of the first k that is relevant. Places beyond the end of the catalog count as misses."""
    return np.asarray(hits[:, :k].sum(axis=1) / k, dtype=np.float64)


def f1(hits: Flags, relevant: Integers, k: int) -> Reals:
    """Return the harmonic mean of precision and recall in the first k, which is 2 hits / (k + relevant)."""
    return np.asarray(2 * hits[:, :k].sum(axis=1) / (k + relevant), dtype=np.float64)


def hit_rate(hits: Flags, k: int) -> Reals:
    """Return 1 where a relevant item is in the first k, else 0."""
    return np.asarray(hits[:, :k].any(axis=1), dtype=np.float64)


def ndcg(hits: Flags, relevant: Integers, k: int) -> Reals:
    """Return DCG@k over the DCG of an ideal list of min(k, relevant) hits."""
    places = min(k, hits.shape[1])
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(relevant, k)]
    return np.asarray(hits[:, :places] @ discounts[:places] / ideal, dtype=np.float64)


def reciprocal_rank(ranks: Integers, relevant: Integers) -> Reals:
    """Return 1 / the rank of the first relevant item. `ranks`: of every relevant item, from 1, user by user."""
    return np.asarray(1 / np.minimum.reduceat(ranks, _starts(relevant)), dtype=np.float64)


def mean_rank(ranks: Integers, relevant: Integers) -> Reals:
    """Return the mean rank, over the whole catalog, of the relevant items. `ranks`: as for `reciprocal_rank`."""
    return np.asarray(np.add.reduceat(ranks, _starts(relevant)) / relevant, dtype=np.float64)


def _starts(relevant: Integers) -> Integers:
    return np.concatenate([[0], np.cumsum(relevant)[:-1]]).astype(np.int64)
