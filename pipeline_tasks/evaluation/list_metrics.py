"""Beyond-accuracy metrics of lists: diversity, novelty, catalog coverage and popularity bias.

Formulas: Castells et al. 2015 (novelty, intra-list distance); Abdollahpouri et al. 2019 (popularity lift, there ΔGAP).
`lists`: (n, k) item indices.
"""

import numpy as np

from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.evaluation.ranking_metrics import Reals


def coverage(lists: Integers, recommendable: int) -> float:
    """Return the share of recommendable items that appear in any list."""
    return len(np.unique(lists)) / recommendable


def gini(lists: Integers, n_items: int) -> float:
    """Return the Gini index of how often each item is shown: 0 for equal counts, 1 for a single item."""
    counts = np.sort(np.bincount(lists.ravel(), minlength=n_items))
    ranks = np.arange(1, n_items + 1)
    return float((2 * ranks - n_items - 1) @ counts / (n_items * counts.sum()))


def novelty(lists: Integers, popularity: Integers, users: int) -> Reals:
    """Return per user the mean of -log2(share of users who wanted the item before), with 1 added to each count."""
    surprise = -np.log2((popularity + 1) / (users + 1))
    return np.asarray(surprise[lists].mean(axis=1), dtype=np.float64)


def intra_list_distance(lists: Integers, vectors: Floats) -> Reals:
    """Return per user the mean cosine distance between two items of the list; 0 for a list of one item.

    `vectors`: (items, d). An all-zero vector has distance 1 from every other vector.
    """
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    places = lists.shape[1]
    if places < 2:
        return np.zeros(len(lists), dtype=np.float64)
    # The squared length of a sum of vectors contains all dot products, so no k x k table is needed per user.
    total = np.zeros((len(lists), unit.shape[1]), dtype=np.float32)
    own = np.zeros(len(lists), dtype=np.float64)
    for place in range(places):
        chosen = unit[lists[:, place]]
        total += chosen
        own += np.einsum("ij,ij->i", chosen, chosen)
    alike = (np.einsum("ij,ij->i", total, total) - own) / (places * (places - 1))
    return np.asarray(1 - alike, dtype=np.float64)


def list_popularity(lists: Integers, popularity: Integers) -> Reals:
    """Return per user the mean popularity of the list: how many users wanted an item before."""
    return np.asarray(popularity[lists].mean(axis=1), dtype=np.float64)


def history_popularity(histories: Interactions, popularity: Integers) -> Reals:
    """Return per user the mean popularity of the history's events; NaN without a history."""
    total = np.bincount(histories.rows, weights=popularity[histories.items], minlength=len(histories))
    lengths = histories.lengths
    mean: Reals = np.divide(total, lengths, out=np.full(len(histories), np.nan), where=lengths > 0)
    return mean


def popularity_lift(shown: Reals, had: Reals) -> float:
    """Return how much more popular the lists are than the same users' histories, as a share; 0 is no bias.

    `shown`, `had`: per user, from `list_popularity` and `history_popularity`. NaN where no user has a history.
    """
    known = np.isfinite(had)
    if not known.any() or had[known].sum() == 0:
        return float("nan")
    return float(shown[known].mean() / had[known].mean() - 1)
