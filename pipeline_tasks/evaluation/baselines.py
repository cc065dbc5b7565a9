"""What a model must beat: popularity, recent popularity, the user's own repeats, ItemKNN (EASE has its own module).

ItemKNN is cosine over binary user-item vectors (Sarwar et al. 2001).
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix, hstack

from pipeline_tasks.data.interactions import DataExtent, Floats, Interactions
from pipeline_tasks.evaluation.ranking_task import matrix_of, wanted_types
from pipeline_tasks.time_units import DAY

RECENT_DAYS = 30
_BLOCK = 2_000
"""Columns of ItemKNN at a time: never more than so many times the items, also where all have been bought together."""


@dataclass(frozen=True)
class ItemLevel:
    """The same score for everybody."""

    name: str
    evidence: DataExtent
    levels: Floats
    """(items,)"""

    def scores(self, histories: Interactions) -> Floats:
        """Return the levels, once per history."""
        return np.broadcast_to(self.levels, (len(histories), len(self.levels)))


@dataclass(frozen=True)
class OwnRepeats:
    """How often the user has had the item; the later of equals first."""

    name: str
    evidence: DataExtent
    n_items: int

    def scores(self, histories: Interactions) -> Floats:
        """Return counts, plus less than 1 for recency."""
        scores = np.zeros((len(histories), self.n_items), dtype=np.float32)
        np.add.at(scores, (histories.rows, histories.items), 1)
        position = np.arange(len(histories.items)) - histories.offsets[histories.rows] + 1
        recency = np.zeros_like(scores)
        np.maximum.at(recency, (histories.rows, histories.items), position / (histories.lengths[histories.rows] + 1))
        return scores + recency.astype(np.float32)


@dataclass(frozen=True)
class ItemToItem:
    """The sum, over the distinct items of the history, of their weight for each item."""

    name: str
    evidence: DataExtent
    weights: csr_matrix
    """(items, items): from an item of the history to the item scored."""

    def scores(self, histories: Interactions) -> Floats:
        """Return histories x weights."""
        return np.asarray((matrix_of(histories, self.weights.shape[0]) @ self.weights).toarray(), dtype=np.float32)


def popularity(log: Interactions, n_items: int) -> ItemLevel:
    """Count the sequences that wanted each item."""
    counts = matrix_of(log, n_items, wanted_types(log)).sum(axis=0)
    return ItemLevel("popularity", log.evidence, np.asarray(counts, dtype=np.float32).ravel())


def recent_popularity(log: Interactions, n_items: int) -> ItemLevel:
    """Count only what was wanted in the last 30 days of the log."""
    recent = log.only(log.times > log.evidence.last_timestamp - RECENT_DAYS * DAY)
    counts = matrix_of(recent, n_items, wanted_types(log)).sum(axis=0)
    return ItemLevel("recent_popularity", log.evidence, np.asarray(counts, dtype=np.float32).ravel())


def own_repeats(log: Interactions, n_items: int) -> OwnRepeats:
    """Need nothing but the user's own history."""
    return OwnRepeats("own_repeats", log.evidence, n_items)


def item_knn(log: Interactions, n_items: int, neighbors: int = 100) -> ItemToItem:
    """Cosine of items over sequences; of each item's column only the nearest neighbors count, and those as near."""
    matrix = matrix_of(log, n_items)
    by_item, norms = matrix.T.tocsr(), np.sqrt(np.maximum(np.asarray(matrix.sum(axis=0)).ravel(), 1))
    blocks = []
    for first in range(0, n_items, _BLOCK):
        both = csc_matrix(by_item @ matrix[:, first : first + _BLOCK])
        columns = first + np.repeat(np.arange(both.shape[1]), np.diff(both.indptr))
        # Scaled afterwards, so that equal counts stay equal.
        both.data /= norms[both.indices] * norms[columns]
        both.data[both.indices == columns] = 0
        blocks.append(_nearest(both, neighbors))
    return ItemToItem("item_knn", log.evidence, csr_matrix(hstack(blocks)))


def _nearest(cosine: csc_matrix, neighbors: int) -> csc_matrix:
    """Return (items, block) without all but the nearest of each column."""
    for column in np.flatnonzero(np.diff(cosine.indptr) > neighbors):
        own = cosine.data[cosine.indptr[column] : cosine.indptr[column + 1]]
        own[own < np.partition(own, len(own) - neighbors)[len(own) - neighbors]] = 0
    cosine.eliminate_zeros()
    return cosine


def item_knn_all(log: Interactions, n_items: int) -> ItemToItem:
    """Count all neighbors: the form in which ItemKNN is mostly published."""
    return replace(item_knn(log, n_items, neighbors=n_items), name="item_knn_all")
