"""What a model must beat: popularity, recent popularity, the shopper's own repeats, ItemKNN, EASE.

Formulas: ItemKNN is cosine over binary shopper-item vectors (Sarwar et al. 2001); EASE is Steck 2019, eq. 8.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pipeline_tasks.behavior.interactions import Evidence, Floats, Interactions
from pipeline_tasks.evaluation.ranking_task import Scorer, matrix_of, wanted_types

RECENT_DAYS = 30
_DAY = 86_400_000_000


@dataclass(frozen=True)
class ItemLevel:
    """The same score for everybody."""

    name: str
    evidence: Evidence
    levels: Floats
    """(items,)"""

    def scores(self, histories: Interactions) -> Floats:
        """Return the levels, once per history."""
        return np.broadcast_to(self.levels, (len(histories), len(self.levels)))


@dataclass(frozen=True)
class OwnRepeats:
    """How often the shopper has had the item; the later of equals first."""

    name: str
    evidence: Evidence
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
    evidence: Evidence
    weights: Floats
    """(items, items): from an item of the history to the item scored."""

    def scores(self, histories: Interactions) -> Floats:
        """Return histories x weights."""
        return np.asarray(matrix_of(histories, len(self.weights)) @ self.weights, dtype=np.float32)


def popularity(log: Interactions, n_items: int) -> ItemLevel:
    """Count the sequences that wanted each item."""
    counts = matrix_of(log, n_items, wanted_types(log)).sum(axis=0)
    return ItemLevel("popularity", log.evidence, np.asarray(counts, dtype=np.float32).ravel())


def recent_popularity(log: Interactions, n_items: int) -> ItemLevel:
    """Count only what was wanted in the last 30 days of the log."""
    recent = log.only(log.times > log.evidence.last_timestamp - RECENT_DAYS * _DAY)
    counts = matrix_of(recent, n_items, wanted_types(log)).sum(axis=0)
    return ItemLevel("recent_popularity", log.evidence, np.asarray(counts, dtype=np.float32).ravel())


def own_repeats(log: Interactions, n_items: int) -> OwnRepeats:
    """Need nothing but the shopper's own history."""
    return OwnRepeats("own_repeats", log.evidence, n_items)


def item_knn(log: Interactions, n_items: int, neighbors: int = 100) -> ItemToItem:
    """Cosine of items over sequences; of each item's column only the nearest neighbors count."""
    matrix = matrix_of(log, n_items)
    norms = np.sqrt(np.maximum(np.asarray(matrix.sum(axis=0)).ravel(), 1))
    cosine = np.asarray((matrix.T @ matrix).toarray() / norms[:, None] / norms[None, :], dtype=np.float32)
    np.fill_diagonal(cosine, 0)
    if neighbors < n_items:
        cosine[cosine < -np.partition(-cosine, neighbors - 1, axis=0)[neighbors - 1]] = 0
    return ItemToItem("item_knn", log.evidence, cosine)


def item_knn_all(log: Interactions, n_items: int) -> ItemToItem:
    """Count all neighbors: the form in which ItemKNN is mostly published."""
    return replace(item_knn(log, n_items, neighbors=n_items), name="item_knn_all")


def ease(log: Interactions, n_items: int, penalty: float = 250.0) -> ItemToItem:
    """Solve the ridge regression of every item on all others with a zero diagonal, in closed form."""
    matrix = matrix_of(log, n_items)
    gram = (matrix.T @ matrix).toarray().astype(np.float64)
    gram[np.diag_indices(n_items)] += penalty
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return ItemToItem("ease", log.evidence, weights.astype(np.float32))


BASELINES: dict[str, Callable[[Interactions, int], Scorer]] = {
    "popularity": popularity,
    "recent_popularity": recent_popularity,
    "own_repeats": own_repeats,
    "item_knn": item_knn,
    "ease": ease,
}
"""Name -> fit(log, n_items): those that need no training. `peers.PEERS` names all there are."""
