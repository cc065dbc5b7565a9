"""What the model adds to the dot product for items of a user's own history, beside the exact top-k of all others.

An addition concerns a handful of items per user, so the top-k of everything else stays one bounded matrix product,
and own items join it with scores of their own: the shelf is exactly the model's order, whatever the additions are.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Flags
from pipeline_tasks.recommend.diversify import NOTHING, Candidates, as_candidates
from pipeline_tasks.recommend.excluded_items import joined, only
from pipeline_tasks.topk.arrays import Exclusions, Indices, Scores, Vectors
from pipeline_tasks.topk.pair_scores import DotScores, PairScores

_DOT: Final = DotScores()


@dataclass(frozen=True)
class RepeatScores:
    """User u's own items are items[starts[u]:starts[u + 1]]; each gets its addition."""

    starts: Indices
    items: Indices
    additions: Scores

    @classmethod
    def none(cls, users: int) -> "RepeatScores":
        """Return no addition for anybody."""
        return cls(np.zeros(users + 1, np.int64), np.zeros(0, np.int64), np.zeros(0))

    @property
    def pairs(self) -> Exclusions:
        """Who has which item."""
        return Exclusions(self.starts, self.items)

    @property
    def rows(self) -> Indices:
        """The user of each item."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def only(self, kept: Flags) -> "RepeatScores":
        """Return the items that are flagged."""
        pairs = only(self.pairs, kept)
        return RepeatScores(pairs.starts, pairs.items, self.additions[kept])

    def of(self, users: Indices) -> "RepeatScores":
        """Return those of some users, in their order."""
        spans = [np.arange(self.starts[user], self.starts[user + 1]) for user in users]
        starts = np.concatenate([[0], np.cumsum([len(span) for span in spans])]).astype(np.int64)
        chosen = np.concatenate([self.starts[:0], *spans]).astype(np.int64)
        return RepeatScores(starts, self.items[chosen], self.additions[chosen])

    def block(self, first: int, last: int) -> "RepeatScores":
        """Return those of the users first..last-1, or as many of them as there are."""
        starts = self.starts[first : last + 1]
        inside = slice(starts[0], starts[-1])
        return RepeatScores(starts - starts[0], self.items[inside], self.additions[inside])

    def without(self, banned: Exclusions, n_items: int) -> "RepeatScores":
        """Return what is not banned and among the first `n_items`."""
        inside = self.items < n_items
        hidden = np.repeat(np.arange(len(banned.starts) - 1), np.diff(banned.starts)) * n_items + banned.items
        return self.only(inside & ~np.isin(self.rows * n_items + self.items, hidden))


def best_with_own(
    users: Vectors,
    items: Vectors,
    wanted: int,
    banned: Exclusions,
    own: RepeatScores,
    block: int,
    scoring: PairScores = _DOT,
) -> Candidates:
    """Return (n, wanted) best items by score plus addition, ties by the lower index."""
    own = own.without(banned, len(items))
    others = as_candidates(scoring.best(users, items, wanted, joined(banned, own.pairs), block), wanted)
    if not len(own.items):
        return others
    found = np.nonzero(others.items != NOTHING)
    rows = np.concatenate([found[0], own.rows])
    places = np.concatenate([others.items[found], own.items])
    additions = scoring.pairs(users, items, own.rows, own.items) + own.additions
    scores = np.concatenate([others.scores[found], additions])
    order = np.lexsort((places, -scores, rows))
    rows, places, scores = rows[order], places[order], scores[order]
    ranks = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = ranks < wanted
    best = Candidates(np.full(others.items.shape, NOTHING, np.int64), np.full(others.items.shape, -np.inf))
    best.items[rows[kept], ranks[kept]], best.scores[rows[kept], ranks[kept]] = places[kept], scores[kept]
    return best
