"""Training pairs of stage 1: texts of two items, or a query and the text of an item.

Item pairs are drawn by random walks over the co-occurrence graph. If a walk starts at a node with probability
proportional to its degree, every later step has that distribution too, so each step is drawn like a single pair
(Lovász 1993, Random Walks on Graphs: A Survey). A walk of s pairs has s + 1 texts to encode, single pairs have 2 s.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, triu

from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.data.item_cooccurrence import cooccurrence
from pipeline_tasks.errors import TrainingError

_LEAST_WALKS = 8


@dataclass(frozen=True)
class Pairs:
    """(n,) text rows of both sides and weights. Rows of item texts come first, rows of queries after them."""

    left: Integers
    right: Integers
    weights: Floats

    def __len__(self) -> int:
        return len(self.left)

    def only(self, keep: Integers) -> "Pairs":
        """Return the pairs at the indices `keep`."""
        return Pairs(self.left[keep], self.right[keep], self.weights[keep])


def item_pairs(log: Interactions, n_items: int) -> Pairs:
    """Return each co-occurring pair once. Its weight is the root of the co-occurrence, to limit bestsellers.

    Raises:
        TrainingError: there is no pair.
    """
    near = triu(cooccurrence(log, n_items), k=1).tocoo()
    if not near.nnz:
        raise TrainingError("no two items were wanted by the same user: the encoder has no pairs to learn from")
    return Pairs(near.row.astype(np.int64), near.col.astype(np.int64), np.sqrt(near.data).astype(np.float32))


def query_pairs(queries: list[str], items: Integers, n_items: int) -> tuple[list[str], Pairs]:
    """Return the distinct queries, and their pairs (left, rows from n_items on) with items wanted after them.

    Args:
        queries: the query typed before each of the m events of train; empty without one.
        items: (m,) the items of those events.
    """
    words = [" ".join(query.split()).casefold() for query in queries]
    distinct = sorted(set(words) - {""})
    place = {query: row for row, query in enumerate(distinct)}
    rows = np.array([place.get(query, -1) for query in words], dtype=np.int64)
    typed = rows >= 0
    counts = coo_matrix((np.ones(int(typed.sum())), (rows[typed], items[typed])), (len(distinct), n_items)).tocsr()
    counts.sum_duplicates()
    near = counts.tocoo()
    weights = np.sqrt(near.data).astype(np.float32)
    return distinct, Pairs(near.row.astype(np.int64) + n_items, near.col.astype(np.int64), weights)


def hold_out(pairs: Pairs, most: int, rng: np.random.Generator) -> tuple[Pairs, Pairs]:
    """Return training pairs, and held-out pairs: a twentieth, but at most `most`, drawn by weight."""
    size = min(most, len(pairs) // 20)
    chosen = rng.choice(len(pairs), size, replace=False, p=pairs.weights / pairs.weights.sum(dtype=np.float64))
    rest = np.setdiff1d(np.arange(len(pairs)), chosen)
    return pairs.only(rest), pairs.only(np.sort(chosen))


class PairDraw:
    """Draws batches of pairs: a share of queries with items where there are queries, and walks over items."""

    def __init__(self, items: Pairs, n_texts: int, queries: Pairs | None = None, query_share: float = 0.25) -> None:
        shape = (n_texts, n_texts)
        half = coo_matrix((items.weights.astype(np.float64), (items.left, items.right)), shape)
        self.graph: csr_matrix = (half + half.T).tocsr()
        self._ends = np.cumsum(self.graph.data)
        self._degrees = np.asarray(self.graph.sum(axis=1)).ravel()
        self.queries = queries if queries is not None and len(queries) else None
        self.query_share = query_share if self.queries else 0.0
        share = self._degrees / self._degrees.sum()
        known = self.graph
        if self.queries:
            query_items = coo_matrix((self.queries.weights, (self.queries.left, self.queries.right)), shape).tocsr()
            self._query_ends = np.cumsum(self.queries.weights, dtype=np.float64)
            found = np.asarray(query_items.sum(axis=0)).ravel()
            share = (1 - query_share) * share + query_share * found / found.sum()
            known = known + query_items
        self.known = known
        """(texts, texts) positive pairs, which must not be negatives of one another."""
        self.log_share = np.log(np.maximum(share, 1e-12)).astype(np.float32)
        """(texts,) log of the share of draws with the text on the right."""

    def draw(self, size: int, rng: np.random.Generator, steps: int = 1) -> tuple[Integers, Integers]:
        """Return two (size,) arrays of text rows, made of walks of at most `steps` pairs.

        There are at least eight walks, because a single one may stay in a corner of the graph without negatives.
        """
        steps = max(1, min(steps, size // _LEAST_WALKS))
        n_queries = round(size * self.query_share)
        left, right = self._walk(size - n_queries, rng, steps)
        if self.queries and n_queries:
            chosen = np.searchsorted(self._query_ends, rng.random(n_queries) * self._query_ends[-1], side="right")
            chosen = chosen.clip(max=len(self.queries) - 1)
            left = np.concatenate([left, self.queries.left[chosen]])
            right = np.concatenate([right, self.queries.right[chosen]])
        return left, right

    def _walk(self, size: int, rng: np.random.Generator, steps: int) -> tuple[Integers, Integers]:
        walks = -(-size // steps)
        starts = np.cumsum(self._degrees)
        here = np.searchsorted(starts, rng.random(walks) * starts[-1], side="right").clip(max=len(starts) - 1)
        visited = [here]
        for _ in range(steps):
            first, last = self.graph.indptr[here], self.graph.indptr[here + 1] - 1
            before = np.where(first > 0, self._ends[first - 1], 0.0)
            target = before + rng.random(walks) * (self._ends[last] - before)
            edge = np.searchsorted(self._ends, target, side="right").clip(first, last)
            here = self.graph.indices[edge].astype(np.int64)
            visited.append(here)
        left, right = np.stack(visited[:-1], axis=1).ravel(), np.stack(visited[1:], axis=1).ravel()
        return left[:size], right[:size]
