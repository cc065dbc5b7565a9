"""Scores of a user vector and an item vector, and the ranking by them. No model is needed.

There are two kinds. The dot product is ranked by `top_k`. The score of the additive matching is weights . tanh(u + v)
over the first dimensions (see matching), plus the dot product of the others, which hold popularity features and the
item-to-item part. The error of its float32 pass is bounded like that of the dot product, and its final scores are
float64, so it is as exact.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

import numpy as np

from pipeline_tasks.topk.arrays import (
    Exclusions,
    Indices,
    Part,
    Scores,
    TopK,
    Vectors,
    dot_products,
    join_parts,
    norms,
    refuse_bad_input,
)
from pipeline_tasks.topk.top_k import best_of_block, rounding_of_dots, top_k

_TILE: Final = 64
"""Users at a time, so that the hidden values of one dimension stay in the cache."""

Real = TypeVar("Real", Vectors, Scores)


class PairScores(Protocol):
    """A score for users (n, d) and items (m, d)."""

    def all(self, users: Real, items: Real) -> Real:
        """Return (n, m) scores in the precision of the vectors."""

    def pairs(self, users: Vectors, items: Vectors, rows: Indices, columns: Indices) -> Scores:
        """Return the float64 scores of the pairs (users[rows], items[columns]), as in the published tables."""

    def best(self, users: Vectors, items: Vectors, k: int, exclusions: Exclusions | None, block: int) -> TopK:
        """Return each user's k best items; see `top_k`."""


class DotScores:
    """The score u . v."""

    def all(self, users: Real, items: Real) -> Real:
        """Return (n, m) products."""
        return np.asarray(users @ items.T)

    def pairs(self, users: Vectors, items: Vectors, rows: Indices, columns: Indices) -> Scores:
        """Return the float64 products of pairs."""
        return dot_products(users, items, rows, columns)

    def best(self, users: Vectors, items: Vectors, k: int, exclusions: Exclusions | None, block: int) -> TopK:
        """Return each user's k items of highest dot product."""
        return top_k(users, items, k, exclusions, block)


@dataclass(frozen=True)
class AdditiveScores:
    """The score weights . tanh(u + v) over the first dimensions, plus the dot product of the rest."""

    weights: Vectors = field(repr=False)
    """(a,)"""

    def all(self, users: Real, items: Real) -> Real:
        """Return (n, m) scores. It needs memory for 64 x m numbers in addition to the result."""
        width = len(self.weights)
        scores = users[:, width:] @ items[:, width:].T
        for start in range(0, len(users), _TILE):
            ours = users[start : start + _TILE]
            hidden = np.empty((len(ours), len(items)), scores.dtype)
            for place, weight in enumerate(self.weights.tolist()):
                np.add(ours[:, place, None], items[:, place], out=hidden)
                np.tanh(hidden, out=hidden)
                hidden *= weight
                scores[start : start + _TILE] += hidden
        return np.asarray(scores)

    def pairs(self, users: Vectors, items: Vectors, rows: Indices, columns: Indices) -> Scores:
        """Return the float64 scores of pairs."""
        width = len(self.weights)
        scores = dot_products(users[:, width:], items[:, width:], rows, columns)
        # One dimension at a time, like `all`. So no block size changes the order of additions, and memory is small.
        for place, weight in enumerate(self.weights.tolist()):
            inner = users[rows, place].astype(np.float64) + items[columns, place]
            scores += weight * np.tanh(inner)
        return scores

    def best(self, users: Vectors, items: Vectors, k: int, exclusions: Exclusions | None, block: int) -> TopK:
        """Return each user's k best items. It needs at most block x m x 12 bytes of memory."""
        refuse_bad_input(users, items, k, block)
        return join_parts(list(self._parts(users, items, k, exclusions, block)))

    def _parts(
        self, users: Vectors, items: Vectors, k: int, exclusions: Exclusions | None, block: int
    ) -> Iterator[Part]:
        for first in range(0, len(users), block):
            ours = users[first : first + block]
            banned = exclusions.block(first, first + len(ours)) if exclusions else None

            def exact(rows: Indices, columns: Indices, ours: Vectors = ours) -> Scores:
                return self.pairs(ours, items, rows, columns)

            yield best_of_block(self.all(ours, items), self._rounding(ours, items), k, banned, exact)

    def _rounding(self, users: Vectors, items: Vectors) -> Scores:
        """Return (n,) bounds on the float32 error.

        The error of tanh is below 8 units; the rounding of its argument adds at most half a unit, because
        x (1 - tanh^2 x) < .45. A sum of a terms adds a units (Higham 3.5). The bound is twice that, times the sum of
        |weights|.
        """
        width = len(self.weights)
        hidden = (width + 16) * 2.0**-23 * float(np.abs(self.weights).sum(dtype=np.float64))
        dots = rounding_of_dots(users[:, width:], items[:, width:])
        # The dot product is added first, so each of the later sums rounds it once more.
        carried = (width + 1) * 2.0**-23 * norms(users[:, width:]) * float(norms(items[:, width:]).max(initial=0.0))
        return np.asarray(dots + hidden + carried)


def pair_scores(additive_weights: Vectors) -> PairScores:
    """Return the additive score, or the dot product where there are no weights."""
    return AdditiveScores(additive_weights.astype(np.float32)) if len(additive_weights) else DotScores()
