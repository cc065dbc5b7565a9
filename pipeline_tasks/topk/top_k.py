"""Exact top-k of users x items by dot product, block by block, with items excluded per user.

A first pass multiplies in float32, for large tables in int8 (fast_top_k.py) or on a GPU (gpu_top_k.py). Its rounding
is bounded, so only items within that bound of the k-th best can belong to the answer; those are scored again in
float64, in an order of additions that no block size, thread count, BLAS or first pass changes. Equal vectors therefore
give equal scores, wherever and however often they are computed.
"""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from pipeline_tasks.topk.arrays import (
    SMALLEST,
    Exclusions,
    Indices,
    Part,
    Scores,
    TopK,
    Vectors,
    join_parts,
    norms,
)
from pipeline_tasks.topk.dot_products import dot_products
from pipeline_tasks.topk.fit_input import refuse_bad_input
from pipeline_tasks.topk.pass_choice import takes_fast_pass

_SLACK: Final = 16
"""Candidates beyond k that the first pass keeps; more are looked at only where more lie within its rounding."""


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


def _parts(users: Vectors, items: Vectors, k: int, exclusions: Exclusions | None, block: int) -> Iterator[Part]:
    longest = float(norms(items).max(initial=0.0))
    for first in range(0, len(users), block):
        ours = users[first : first + block]
        banned = exclusions.block(first, first + len(ours)) if exclusions else None
        yield _top_k_of_block(ours, items, k, banned, longest)


def _fast_parts(users: Vectors, items: Vectors, k: int, exclusions: Exclusions | None, block: int) -> Iterator[Part]:
    from pipeline_tasks.topk.fast_blocks import fast_blocks

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
