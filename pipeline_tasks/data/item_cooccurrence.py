"""Initial item id embeddings: factors of the co-occurrence of items in histories."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix, diags
from sklearn.utils.extmath import randomized_svd

from pipeline_tasks.data.interactions import Floats, Interactions

MOST_ITEMS = 100_000
"""Items in a decomposition at most, because its time and memory grow with them.

The most frequent items are chosen. The others start from their text alone."""
WINDOW = 10
DECAY = 0.8


def cooccurrence(log: Interactions, n_items: int) -> csr_matrix:
    """Return a symmetric (items, items) matrix: the sum of 0.8^(gap - 1) over pairs of one history.

    The gap is the distance of the two events in the history, 10 at most.
    """
    rows = log.rows
    total = csr_matrix((n_items, n_items), dtype=np.float64)
    for gap in range(1, WINDOW + 1):
        near = rows[gap:] == rows[:-gap]
        left, right = log.items[:-gap][near], log.items[gap:][near]
        weights = np.full(len(left), DECAY ** (gap - 1))
        total = total + csr_matrix((weights, (left, right)), shape=(n_items, n_items))
    total = total + total.T
    # Not by `tolil`: its lists of rows take seconds and a gigabyte for a million items.
    total = (total - diags(total.diagonal())).tocsr()
    total.eliminate_zeros()
    return total


def id_factors(log: Interactions, n_items: int, dimension: int, seeds: Sequence[int]) -> Floats:
    """Return (items, dimension x seeds): one table of factors for each seed, side by side.

    A table holds singular vectors of the degree-normalized co-occurrence times the roots of the singular values. A
    randomized SVD with the table's seed computes them. Each table is scaled to a standard deviation of 1. Columns
    beyond the rank of a small catalog are 0.
    """
    matrix = cooccurrence(log, n_items)
    chosen = np.arange(n_items)
    if n_items > MOST_ITEMS:
        counts = np.bincount(log.items, minlength=n_items)
        chosen = np.sort(np.argsort(-counts, kind="stable")[:MOST_ITEMS])
        matrix = matrix[chosen][:, chosen]
    degree = np.sqrt(np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1e-9))
    normal = (diags(1 / degree) @ matrix @ diags(1 / degree)).tocsr()
    factors = np.zeros((n_items, dimension * len(seeds)), dtype=np.float32)
    for table, seed in zip(np.split(factors, len(seeds), axis=1), seeds, strict=True):
        # 4 iterations suffice for a start: 3 s at 3,600 items, where the exact decomposition takes 8 s.
        left, values, _ = randomized_svd(normal, min(dimension, len(chosen)), n_iter=4, random_state=seed)
        table[chosen, : len(values)] = left * np.sqrt(values)
        table[:] = table / max(float(table[chosen].std()), 1e-9)
    return factors
