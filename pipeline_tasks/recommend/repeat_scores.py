"""Adds repeat scores to the scores of items in a user's own history, and merges these with the top-k of all others.

Only few items of each user have an addition. The top-k of all other items stays one matrix product, and the items of
the history are merged with their own scores. The result is exactly the order of the model's scores.
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
    """The items of user u are items[starts[u]:starts[u + 1]], each with an addition to its score."""

    starts: Indices
    items: Indices
    additions: Scores

    @classmethod
    def none(cls, users: int) -> "RepeatScores":
        """Return `users` users without additions."""
        return cls(np.zeros(users + 1, np.int64), np.zeros(0, np.int64), np.zeros(0))

    @property
    def pairs(self) -> Exclusions:
        """The pairs of users and items."""
        return Exclusions(self.starts, self.items)

    @property
    def rows(self) -> Indices:
        """The user of each item."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def only(self, kept: Flags) -> "RepeatScores":
        """Return the items for which `kept` is true."""
        pairs = only(self.pairs, kept)
        return RepeatScores(pairs.starts, pairs.items, self.additions[kept])

    def of(self, users: Indices) -> "RepeatScores":
        """Return the items of some users, in the order of `users`."""
        spans = [np.arange(self.starts[user], self.starts[user + 1]) for user in users]
        starts = np.concatenate([[0], np.cumsum([len(span) for span in spans])]).astype(np.int64)
        chosen = np.concatenate([self.starts[:0], *spans]).astype(np.int64)
        return RepeatScores(starts, self.items[chosen], self.additions[chosen])

    def block(self, first: int, last: int) -> "RepeatScores":
        """Return the items of the users first to last - 1; users beyond the last one are left out."""
        starts = self.starts[first : last + 1]
        inside = slice(starts[0], starts[-1])
        return RepeatScores(starts - starts[0], self.items[inside], self.additions[inside])

    def without(self, banned: Exclusions, n_items: int) -> "RepeatScores":
        """Return the items that are not banned and are among the first `n_items`."""
        inside = self.items < n_items
        hidden = np.repeat(np.arange(len(banned.starts) - 1), np.diff(banned.starts)) * n_items + banned.items
        return self.only(inside & ~np.isin(self.rows * n_items + self.items, hidden))


def best_with_repeat_scores(
    users: Vectors,
    items: Vectors,
    wanted: int,
    banned: Exclusions,
    own: RepeatScores,
    block: int,
    scoring: PairScores = _DOT,
) -> Candidates:
    """Return the best items (n, wanted) by score plus addition. Of equal items the lower index is first."""
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
