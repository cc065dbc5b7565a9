"""Baselines that a model must beat: popularity, recent popularity, repeats and ItemKNN. EASE has its own module.

ItemKNN uses the cosine of binary user-item vectors (Sarwar et al. 2001).
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix, hstack

from pipeline_tasks.data.interactions import DataExtent, Floats, Interactions
from pipeline_tasks.evaluation.ranking_task import interaction_matrix, relevant_types
from pipeline_tasks.times import DAY

RECENT_DAYS = 30
_BLOCK = 2_000
"""Columns of ItemKNN at a time. It bounds memory to _BLOCK x items, even where all items were bought together."""


@dataclass(frozen=True)
class ItemLevel:
    """A scorer with one score for each item, the same for all users."""

    name: str
    data_extent: DataExtent
    levels: Floats
    """(items,)"""

    def scores(self, histories: Interactions) -> Floats:
        """Return (histories, items): the levels, repeated for each history."""
        return np.broadcast_to(self.levels, (len(histories), len(self.levels)))


@dataclass(frozen=True)
class RepeatCounts:
    """A scorer by how often the user's history holds the item. Of equal counts the latest item is first."""

    name: str
    data_extent: DataExtent
    n_items: int

    def scores(self, histories: Interactions) -> Floats:
        """Return (histories, items): counts, plus a recency below 1."""
        scores = np.zeros((len(histories), self.n_items), dtype=np.float32)
        np.add.at(scores, (histories.rows, histories.items), 1)
        position = np.arange(len(histories.items)) - histories.offsets[histories.rows] + 1
        recency = np.zeros_like(scores)
        np.maximum.at(recency, (histories.rows, histories.items), position / (histories.lengths[histories.rows] + 1))
        return scores + recency.astype(np.float32)


@dataclass(frozen=True)
class ItemToItem:
    """A scorer by the sum of weights from each distinct item of the history to the scored item."""

    name: str
    data_extent: DataExtent
    weights: csr_matrix
    """(items, items): from an item of the history to the item scored."""

    def scores(self, histories: Interactions) -> Floats:
        """Return (histories, items): binary histories times weights."""
        return np.asarray(
            (interaction_matrix(histories, self.weights.shape[0]) @ self.weights).toarray(), dtype=np.float32
        )


def popularity(log: Interactions, n_items: int) -> ItemLevel:
    """Return the scorer by the number of sequences that wanted the item."""
    counts = interaction_matrix(log, n_items, relevant_types(log)).sum(axis=0)
    return ItemLevel("popularity", log.data_extent, np.asarray(counts, dtype=np.float32).ravel())


def recent_popularity(log: Interactions, n_items: int) -> ItemLevel:
    """Return the scorer by popularity in the last 30 days of the log."""
    recent = log.only(log.times > log.data_extent.last_timestamp - RECENT_DAYS * DAY)
    counts = interaction_matrix(recent, n_items, relevant_types(log)).sum(axis=0)
    return ItemLevel("recent_popularity", log.data_extent, np.asarray(counts, dtype=np.float32).ravel())


def own_repeats(log: Interactions, n_items: int) -> RepeatCounts:
    """Return the scorer by the user's own history alone."""
    return RepeatCounts("own_repeats", log.data_extent, n_items)


def item_knn(log: Interactions, n_items: int, neighbors: int = 100) -> ItemToItem:
    """Return the scorer by the cosine of items over sequences.

    In each item's column only the nearest `neighbors` count, with all that tie with the last of them.
    """
    matrix = interaction_matrix(log, n_items)
    by_item, norms = matrix.T.tocsr(), np.sqrt(np.maximum(np.asarray(matrix.sum(axis=0)).ravel(), 1))
    blocks = []
    for first in range(0, n_items, _BLOCK):
        both = csc_matrix(by_item @ matrix[:, first : first + _BLOCK])
        columns = first + np.repeat(np.arange(both.shape[1]), np.diff(both.indptr))
        # Scaled after the product, so that equal counts stay equal.
        both.data /= norms[both.indices] * norms[columns]
        both.data[both.indices == columns] = 0
        blocks.append(_nearest(both, neighbors))
    return ItemToItem("item_knn", log.data_extent, csr_matrix(hstack(blocks)))


def _nearest(cosine: csc_matrix, neighbors: int) -> csc_matrix:
    """Return (items, block) with only the nearest neighbors of each column."""
    for column in np.flatnonzero(np.diff(cosine.indptr) > neighbors):
        own = cosine.data[cosine.indptr[column] : cosine.indptr[column + 1]]
        own[own < np.partition(own, len(own) - neighbors)[len(own) - neighbors]] = 0
    cosine.eliminate_zeros()
    return cosine


def item_knn_all(log: Interactions, n_items: int) -> ItemToItem:
    """Return ItemKNN with all neighbors, the form that is published most often."""
    return replace(item_knn(log, n_items, neighbors=n_items), name="item_knn_all")
