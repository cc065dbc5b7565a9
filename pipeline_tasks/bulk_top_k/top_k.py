"""Exact top-k of users x items by dot product, block by block, with items excluded per user.

A first pass multiplies in float32, for large tables in int8 (fast_top_k.py) or on a GPU (gpu_top_k.py). Its rounding
is bounded, so only items within that bound of the k-th best can belong to the answer; those are scored again in
float64, in an order of additions that no block size, thread count, BLAS or first pass changes. Equal vectors therefore
give equal scores, wherever and however often they are computed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline_tasks.bulk_top_k.pass_choice import takes_fast_pass

Vectors = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_SLACK: Final = 16
"""Candidates beyond k that the first pass keeps; more are looked at only where more lie within its rounding."""
SMALLEST: Final = 2.0**-126
"""The smallest float32 with all of its bits; some processors take less for nothing."""
_RESCORED_NUMBERS: Final = 8_000_000
"""float64 numbers gathered at a time for the second pass: 64 MB."""


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


def top_k(users: Vectors, items: Vectors, k: int, exclusions: Exclusions | None = None, block: int = 2_048) -> TopK:
    """Return each user's k items of highest dot product; at equal scores the lower item index is first.

    Args:
        users: (n_users, d) finite float32.
        items: (n_items, d) finite float32.
        k: items per user; a user gets fewer only where fewer are allowed, none where none is.
        exclusions: items a user must not get.
        block: users scored at a time: bounds memory at block x n_items x 12 bytes (float32 scores, and the int64 places
            that they are sorted by), large tables need less.

    Raises:
        ValueError: k or block below 1, vectors of different widths, or a number that is not finite.
    """
    refuse_bad_input(users, items, k, block)
    fast = takes_fast_pass(len(users), len(items))
    return join_parts(list((_fast_parts if fast else _parts)(users, items, k, exclusions, block)))


Part = tuple[Indices, Indices, Scores]
"""Of consecutive users: how many items each has, and all their items and scores."""
Block = tuple[int, Indices, Indices, Scores]
"""The same of a first pass: first user, how many items each has (-1: not settled), all their items and scores."""


def join_parts(parts: list[Part]) -> TopK:
    """Return the parts, which follow one another, as one."""
    counts = np.concatenate([np.zeros(1, np.int64), *(part[0] for part in parts)])
    return TopK(
        np.cumsum(counts),
        np.concatenate([np.zeros(0, np.int64), *(part[1] for part in parts)]),
        np.concatenate([np.zeros(0, np.float64), *(part[2] for part in parts)]),
    )


def _parts(users: Vectors, items: Vectors, k: int, exclusions: Exclusions | None, block: int) -> Iterator[Part]:
    longest = float(norms(items).max(initial=0.0))
    for first in range(0, len(users), block):
        ours = users[first : first + block]
        banned = exclusions.block(first, first + len(ours)) if exclusions else None
        yield _top_k_of_block(ours, items, k, banned, longest)


def _fast_parts(users: Vectors, items: Vectors, k: int, exclusions: Exclusions | None, block: int) -> Iterator[Part]:
    from pipeline_tasks.bulk_top_k.fast_blocks import fast_blocks

    for first, counts, columns, scores in fast_blocks(users, items, k, exclusions):
        crowded = np.flatnonzero(counts < 0)
        if not len(crowded):
            yield counts, columns, scores
            continue
        banned = exclusions.of(first + crowded) if exclusions else None
        dense = join_parts(list(_parts(users[first + crowded], items, k, banned, block)))
        yield _merge((counts, columns, scores), crowded, (np.diff(dense.starts), dense.items, dense.scores))


def _merge(fast: Part, crowded: Indices, dense: Part) -> Part:
    """Put the users `crowded`, whom the fast pass left out, into their places."""
    counts = fast[0].copy()
    counts[crowded] = dense[0]
    is_dense = np.repeat(np.isin(np.arange(len(counts)), crowded), counts)
    columns, scores = np.empty(len(is_dense), np.int64), np.empty(len(is_dense), np.float64)
    columns[is_dense], scores[is_dense] = dense[1], dense[2]
    columns[~is_dense], scores[~is_dense] = fast[1], fast[2]
    return counts, columns, scores


def dot_products(users: Vectors, items: Vectors, rows: Indices, columns: Indices) -> Scores:
    """Return the float64 dot products of pairs (users[rows], items[columns]): the score that tables hold."""
    width = max(users.shape[1], 1)
    step = max(_RESCORED_NUMBERS // width, 1)
    scores = np.zeros(len(rows), np.float64)
    for first in range(0, len(rows), step):
        part = slice(first, first + step)
        products = users[rows[part]].astype(np.float64) * items[columns[part]]
        # Not einsum or matmul: their order of additions depends on where in the block a row lies. By 128, as far as
        # numpy's own order needs no recursion: exact_dot.dot adds alike.
        for start in range(0, width, 128):
            scores[part] += products[:, start : start + 128].sum(axis=1)
    return scores


def _top_k_of_block(
    users: Vectors, items: Vectors, k: int, banned: tuple[Indices, Indices] | None, longest: float
) -> Part:
    def exact(rows: Indices, columns: Indices) -> Scores:
        return dot_products(users, items, rows, columns)

    return best_of_block(users @ items.T, _rounding(users, longest), k, banned, exact)


def best_of_block(
    rough: Vectors,
    rounding: Scores,
    k: int,
    banned: tuple[Indices, Indices] | None,
    exact: Callable[[Indices, Indices], Scores],
) -> Part:
    """Return the k best of `rough` (n, items) by their `exact` scores; `rounding` (n,) bounds how they differ."""
    if banned is not None:
        rough[banned] = -np.inf
    rows, columns = _candidates(rough, k, rounding)
    scores = exact(rows, columns)
    order = np.lexsort((columns, -scores, rows))
    rows, columns, scores = rows[order], columns[order], scores[order]
    ranks = np.arange(len(rows)) - np.searchsorted(rows, rows)
    best = ranks < k
    return np.bincount(rows[best], minlength=len(rough)).astype(np.int64), columns[best], scores[best]


def _candidates(rough: Vectors, k: int, rounding: Scores) -> tuple[Indices, Indices]:
    """Return (row, column) of every score that may belong to its row's k best, given the rounding of each row."""
    width = rough.shape[1]
    kept = min(k + _SLACK, width)
    columns = np.argpartition(rough, width - kept, axis=1)[:, width - kept :]
    values = np.sort(np.take_along_axis(rough, columns, axis=1), axis=1)[:, ::-1]
    # Both the k-th best and the candidate may be off by the rounding.
    bound = values[:, min(k, kept) - 1].astype(np.float64) - 2 * rounding
    enough = (values[:, -1] < bound) | (kept == width)
    near = np.take_along_axis(rough, columns, axis=1) >= bound[:, None]
    near &= enough[:, None]
    rows, places = np.nonzero(near)
    tied = np.flatnonzero(~enough)
    more_rows, more_columns = np.nonzero(rough[tied] >= bound[tied, None])
    rows = np.concatenate([rows, tied[more_rows]])
    columns = np.concatenate([columns[np.nonzero(near)[0], places], more_columns])
    allowed = rough[rows, columns] > -np.inf
    return rows[allowed].astype(np.int64), columns[allowed].astype(np.int64)


def rounding_of_dots(users: Vectors, items: Vectors) -> Scores:
    """Return (n,) a bound on |float32 - exact| of each user's dot products with `items`."""
    return _rounding(users, float(norms(items).max(initial=0.0)))


def _rounding(users: Vectors, longest: float) -> Scores:
    """Return a bound on |float32 - exact| of each user's dot products with items no longer than `longest`.

    Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., (3.5): n u / (1 - n u) times the sum of absolute
    products, which Cauchy-Schwarz bounds by the norms; holds for any order of additions. Plus what products lose that
    are so small that their last bits are not kept.
    """
    unit = users.shape[1] * 2.0**-24
    bound: Scores = unit / (1 - unit) * norms(users) * longest + users.shape[1] * SMALLEST
    return bound


def norms(vectors: Vectors) -> Scores:
    """Return (n,) lengths, summed in float64."""
    squares: Scores = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    return np.sqrt(squares)


def refuse_bad_input(users: Vectors, items: Vectors, k: int, block: int) -> None:
    """Raise ValueError where nothing can be ranked: see `top_k`."""
    if k < 1 or block < 1:
        raise ValueError(f"k is {k} and block is {block}: both must be at least 1")
    if users.ndim != 2 or items.ndim != 2 or users.shape[1] != items.shape[1]:
        raise ValueError(
            f"user vectors {users.shape} and item vectors {items.shape} differ in width: embed both with one model "
            f"(run embed_shelf again)"
        )
    if len(items) == 0:
        raise ValueError("there are no item vectors: run embed_shelf again on a night with a catalog")
    refuse_bad_vectors("user", users)
    refuse_bad_vectors("item", items)


def refuse_bad_vectors(name: str, vectors: Vectors) -> None:
    """Raise ValueError where a number is NaN, or so large that the float32 product of two vectors overflows."""
    wrong = np.flatnonzero(~(np.abs(vectors).max(axis=1, initial=0.0) < 1e15))
    if len(wrong):
        raise ValueError(
            f"{len(wrong)} of {len(vectors)} {name} vectors hold NaN or numbers beyond 1e15, the first in row "
            f"{wrong[0]}: the model diverged; roll back or train again"
        )
