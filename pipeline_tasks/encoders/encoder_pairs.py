"""What stage 1 learns from: pairs of texts that belong together, items with items and queries with items.

Items are drawn by random walks over the graph of what was wanted near in time. A walk that starts by degree stands at
every step by degree, so each of its steps is drawn like a single pair (Lovász 1993, Random Walks on Graphs: A Survey);
but a walk of s pairs has s + 1 texts to encode where single pairs have 2 s.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, triu

from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.data.item_cooccurrence import cooccurrence
from pipeline_tasks.training_error import TrainingError

_LEAST_WALKS = 8


@dataclass(frozen=True)
class Pairs:
    """(n,) rows of texts on either side: the items' come first, queries' after them; and each pair's weight."""

    left: Integers
    right: Integers
    weights: Floats

    def __len__(self) -> int:
        return len(self.left)

    def only(self, keep: Integers) -> "Pairs":
        """Keep the pairs at the places given."""
        return Pairs(self.left[keep], self.right[keep], self.weights[keep])


def item_pairs(log: Interactions, n_items: int) -> Pairs:
    """Return each pair once, by the root of how often it stands near: bestsellers must not rule.

    Raises:
        TrainingError: there is none.
    """
    near = triu(cooccurrence(log, n_items), k=1).tocoo()
    if not near.nnz:
        raise TrainingError("no two items were wanted by the same user: the encoder has no pairs to learn from")
    return Pairs(near.row.astype(np.int64), near.col.astype(np.int64), np.sqrt(near.data).astype(np.float32))


def query_pairs(queries: list[str], items: Integers, n_items: int) -> tuple[list[str], Pairs]:
    """Return the distinct queries, and pairs of them (left, rows from n_items on) with what was wanted after them.

    Args:
        queries: what was typed before each of the m events, of train only; empty where nothing was.
        items: (m,) of those events.
    """
    words = [" ".join(query.split()).casefold() for query in queries]
    distinct = sorted(set(words) - {""})
    place = {query: row for row, query in enumerate(distinct)}
    asked = np.array([place.get(query, -1) for query in words], dtype=np.int64)
    some = asked >= 0
    counts = coo_matrix((np.ones(int(some.sum())), (asked[some], items[some])), (len(distinct), n_items)).tocsr()
    counts.sum_duplicates()
    near = counts.tocoo()
    weights = np.sqrt(near.data).astype(np.float32)
    return distinct, Pairs(near.row.astype(np.int64) + n_items, near.col.astype(np.int64), weights)


def hold_out(pairs: Pairs, most: int, rng: np.random.Generator) -> tuple[Pairs, Pairs]:
    """Return pairs to learn from, and a twentieth of them, at most `most`, drawn by weight, to judge by."""
    size = min(most, len(pairs) // 20)
    chosen = rng.choice(len(pairs), size, replace=False, p=pairs.weights / pairs.weights.sum(dtype=np.float64))
    rest = np.setdiff1d(np.arange(len(pairs)), chosen)
    return pairs.only(rest), pairs.only(np.sort(chosen))


class PairDraw:
    """Draws batches of pairs: a share of queries with items where there are any, the rest walks over items."""

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
            asked = coo_matrix((self.queries.weights, (self.queries.left, self.queries.right)), shape).tocsr()
            self._asked = np.cumsum(self.queries.weights, dtype=np.float64)
            found = np.asarray(asked.sum(axis=0)).ravel()
            share = (1 - query_share) * share + query_share * found / found.sum()
            known = known + asked
        self.known = known
        """(texts, texts) what belongs together: no negatives of one another."""
        self.log_share = np.log(np.maximum(share, 1e-12)).astype(np.float32)
        """(texts,) log of how often each stands on the right."""

    def draw(self, size: int, rng: np.random.Generator, steps: int = 1) -> tuple[Integers, Integers]:
        """Return two (size,) arrays of rows, walks of at most `steps` pairs after one another.

        At least eight walks: one alone may never leave a corner of the graph, where there are no negatives.
        """
        steps = max(1, min(steps, size // _LEAST_WALKS))
        asked = round(size * self.query_share)
        left, right = self._walk(size - asked, rng, steps)
        if self.queries and asked:
            chosen = np.searchsorted(self._asked, rng.random(asked) * self._asked[-1], side="right")
            chosen = chosen.clip(max=len(self.queries) - 1)
            left = np.concatenate([left, self.queries.left[chosen]])
            right = np.concatenate([right, self.queries.right[chosen]])
        return left, right

    def _walk(self, size: int, rng: np.random.Generator, steps: int) -> tuple[Integers, Integers]:
        walks = -(-size // steps)
        starts = np.cumsum(self._degrees)
        here = np.searchsorted(starts, rng.random(walks) * starts[-1], side="right").clip(max=len(starts) - 1)
        stands = [here]
        for _ in range(steps):
            first, last = self.graph.indptr[here], self.graph.indptr[here + 1] - 1
            before = np.where(first > 0, self._ends[first - 1], 0.0)
            aim = before + rng.random(walks) * (self._ends[last] - before)
            edge = np.searchsorted(self._ends, aim, side="right").clip(first, last)
            here = self.graph.indices[edge].astype(np.int64)
            stands.append(here)
        left, right = np.stack(stands[:-1], axis=1).ravel(), np.stack(stands[1:], axis=1).ravel()
        return left[:size], right[:size]
