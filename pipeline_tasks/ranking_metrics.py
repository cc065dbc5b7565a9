"""Metrics of ranked lists with binary relevance, one value per shopper, and what the lists do to the catalog.

Formulas: Järvelin and Kekäläinen 2002 (DCG; the ideal is over min(k, relevant) items), Castells et al. 2015 (novelty).
"""

import numpy as np
import numpy.typing as npt

from pipeline_tasks.interactions import Flags, Integers

Reals = npt.NDArray[np.float64]


def recall(hits: Flags, relevant: Integers, k: int) -> Reals:
    """Return per shopper the share of relevant items in the first k. `hits`: (n, >= k), `relevant`: (n,) counts."""
    return np.asarray(hits[:, :k].sum(axis=1) / relevant, dtype=np.float64)


def ndcg(hits: Flags, relevant: Integers, k: int) -> Reals:
    """Return per shopper DCG@k over the DCG of an ideal list of min(k, relevant) hits."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(relevant, k)]
    return np.asarray(hits[:, :k] @ discounts / ideal, dtype=np.float64)


def reciprocal_rank(first_rank: Integers) -> Reals:
    """Return per shopper 1 / the rank (from 1, over the whole catalog) of the first relevant item."""
    return np.asarray(1 / first_rank, dtype=np.float64)


def coverage(lists: Integers, recommendable: int) -> float:
    """Return the share of recommendable items that appear in any list."""
    return len(np.unique(lists)) / recommendable


def gini(lists: Integers, n_items: int) -> float:
    """Return the Gini index of how often each item is shown: 0 all alike, 1 one item only."""
    counts = np.sort(np.bincount(lists.ravel(), minlength=n_items))
    ranks = np.arange(1, n_items + 1)
    return float((2 * ranks - n_items - 1) @ counts / (n_items * counts.sum()))


def novelty(lists: Integers, popularity: Integers, shoppers: int) -> Reals:
    """Return per shopper the mean of -log2 (share of shoppers who wanted the item before; 1 added to each count)."""
    surprise = -np.log2((popularity + 1) / (shoppers + 1))
    return np.asarray(surprise[lists].mean(axis=1), dtype=np.float64)
