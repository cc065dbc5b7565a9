"""What the top-k is made of: arrays of vectors and scores, what users must not get, and their best items."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Part = tuple[Indices, Indices, Scores]
"""Of consecutive users: how many items each has, and all their items and scores."""
Block = tuple[int, Indices, Indices, Scores]
"""The same of a first pass: first user, how many items each has (-1: not settled), all their items and scores."""
SMALLEST: Final = 2.0**-126
"""The smallest float32 with all of its bits; some processors take less for nothing."""


@dataclass(frozen=True)
class Exclusions:
    """Items that users must not get: user u's are items[starts[u]:starts[u + 1]]."""

    starts: Indices
    items: Indices

    def block(self, first: int, last: int) -> tuple[Indices, Indices]:
        """Return (row within the block, item) of all exclusions of users first..last-1."""
        counts = np.diff(self.starts[first : last + 1])
        rows = np.repeat(np.arange(last - first, dtype=np.int64), counts)
        return rows, self.items[self.starts[first] : self.starts[last]]

    def of(self, users: Indices) -> "Exclusions":
        """Return those of some users, in their order."""
        parts = [self.items[self.starts[user] : self.starts[user + 1]] for user in users]
        starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        return Exclusions(starts, np.concatenate([self.items[:0], *parts]))


@dataclass(frozen=True)
class TopK:
    """Best items, user by user and best first: user u's are items[starts[u]:starts[u + 1]] with their scores."""

    starts: Indices
    items: Indices
    scores: Scores


def join_parts(parts: list[Part]) -> TopK:
    """Return the parts, which follow one another, as one."""
    counts = np.concatenate([np.zeros(1, np.int64), *(part[0] for part in parts)])
    return TopK(
        np.cumsum(counts),
        np.concatenate([np.zeros(0, np.int64), *(part[1] for part in parts)]),
        np.concatenate([np.zeros(0, np.float64), *(part[2] for part in parts)]),
    )


def norms(vectors: Vectors) -> Scores:
    """Return (n,) lengths, summed in float64."""
    squares: Scores = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    return np.sqrt(squares)
