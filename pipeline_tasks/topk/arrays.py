"""Array types of the top-k: vectors, scores, excluded items and results."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Part = tuple[Indices, Indices, Scores]
"""Result of consecutive users: the number of items of each user, then all items and all scores."""
Block = tuple[int, Indices, Indices, Scores]
"""Result of a first pass: the first user, the number of items of each user (-1: not proven), all items and scores."""
SMALLEST: Final = 2.0**-126
"""The smallest normal float32. Some processors treat smaller numbers as zero."""


@dataclass(frozen=True)
class Exclusions:
    """Items that users must not get. Those of user u are items[starts[u]:starts[u + 1]]."""

    starts: Indices
    items: Indices

    def block(self, first: int, last: int) -> tuple[Indices, Indices]:
        """Return (row within the block, item) of all exclusions of the users first to last - 1."""
        counts = np.diff(self.starts[first : last + 1])
        rows = np.repeat(np.arange(last - first, dtype=np.int64), counts)
        return rows, self.items[self.starts[first] : self.starts[last]]

    def of(self, users: Indices) -> "Exclusions":
        """Return the exclusions of the given users, in their order."""
        parts = [self.items[self.starts[user] : self.starts[user + 1]] for user in users]
        starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        return Exclusions(starts, np.concatenate([self.items[:0], *parts]))


@dataclass(frozen=True)
class TopK:
    """Best items of each user, best first. Those of user u are items[starts[u]:starts[u + 1]] with their scores."""

    starts: Indices
    items: Indices
    scores: Scores


@dataclass(frozen=True)
class MappedItems:
    """Read-only items as a key of prepared data. While this object holds them, an equal address means equal items."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    items: Vectors = field(compare=False, repr=False)


def mapped(items: Vectors) -> MappedItems | None:
    """Return the key of read-only items, such as memory-mapped files; None for others, which may change."""
    if items.flags.writeable:
        return None
    return MappedItems(items.ctypes.data, items.shape, items.strides, items)


def join_parts(parts: list[Part]) -> TopK:
    """Return the consecutive parts as one result."""
    counts = np.concatenate([np.zeros(1, np.int64), *(part[0] for part in parts)])
    return TopK(
        np.cumsum(counts),
        np.concatenate([np.zeros(0, np.int64), *(part[1] for part in parts)]),
        np.concatenate([np.zeros(0, np.float64), *(part[2] for part in parts)]),
    )


def norms(vectors: Vectors) -> Scores:
    """Return (n,) Euclidean lengths, computed in float64."""
    squares: Scores = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    return np.sqrt(squares)
