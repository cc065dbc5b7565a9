"""Arrays of the top-k: their types, checks of the input, and float64 dot products with a fixed order of additions."""

from dataclasses import dataclass, field
from functools import lru_cache
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
_RESCORED_NUMBERS: Final = 8_000_000
"""float64 numbers in memory at a time: 64 MB."""


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


def refuse_bad_input(users: Vectors, items: Vectors, k: int, block: int) -> None:
    """Raise ValueError for input that cannot be ranked; see `top_k`."""
    if k < 1 or block < 1:
        raise ValueError(f"k is {k} and block is {block}: both must be at least 1")
    if users.ndim != 2 or items.ndim != 2 or users.shape[1] != items.shape[1]:
        raise ValueError(
            f"user vectors {users.shape} and item vectors {items.shape} differ in width: embed both with one model "
            f"(run embed_shelf again)"
        )
    if len(items) == 0:
        raise ValueError("there are no item vectors: run embed_shelf again on a day with a catalog")
    refuse_bad_vectors("user", users)
    key = mapped(items)
    if key is None:
        refuse_bad_vectors("item", items)
    else:
        _refuse_bad_items(key)


@lru_cache(maxsize=2)
def _refuse_bad_items(key: MappedItems) -> None:
    """Check read-only items only once: it takes 68 ms for 100,000 items of 130 numbers, for every 2,048 users."""
    refuse_bad_vectors("item", key.items)


def refuse_bad_vectors(name: str, vectors: Vectors) -> None:
    """Raise ValueError where a number is NaN, or so large that a float32 product of two vectors may overflow."""
    wrong = np.flatnonzero(~(np.abs(vectors).max(axis=1, initial=0.0) < 1e15))
    if len(wrong):
        raise ValueError(
            f"{len(wrong)} of {len(vectors)} {name} vectors hold NaN or numbers beyond 1e15, the first in row "
            f"{wrong[0]}: the model diverged; roll back or train again"
        )


def dot_products(users: Vectors, items: Vectors, rows: Indices, columns: Indices) -> Scores:
    """Return the float64 dot products of the pairs (users[rows], items[columns])."""
    width = max(users.shape[1], 1)
    step = max(_RESCORED_NUMBERS // width, 1)
    scores = np.zeros(len(rows), np.float64)
    for first in range(0, len(rows), step):
        part = slice(first, first + step)
        products = users[rows[part]].astype(np.float64) * items[columns[part]]
        # Not einsum or matmul, whose order of additions depends on the position of a row in the block. In steps of
        # 128, up to which numpy's pairwise sum does not recurse; exact_dot.dot adds in the same order.
        for start in range(0, width, 128):
            scores[part] += products[:, start : start + 128].sum(axis=1)
    return scores
