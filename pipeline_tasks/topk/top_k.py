"""Exact top-k of users x items by dot product, block by block, with items excluded per user.

A first pass multiplies in float32, or for large tables in int8 (fast_top_k.py) or on a GPU (gpu_top_k.py). Its rounding
error is bounded, so only items within that bound of the k-th best can belong to the result. Those are scored again in
float64, in an order of additions that does not depend on block size, thread count, BLAS or first pass. Equal vectors
therefore always give equal scores.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline_tasks.topk.arrays import (
    SMALLEST,
    Block,
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

_DEVICE: Final[ContextVar[str]] = ContextVar("scoring_device", default="cpu")
REPAID: Final = 400_000_000
"""Pairs of users and items that a process scores in float32 before it loads the fast pass. That takes about the 3.3 s
that torch and the kernels take to load. For any further work, this costs at most twice the better choice."""
SMALL_CALL: Final = 1_000_000
"""Pairs below which a call stays in float32: 2,048 users x 200 items take 4 ms for k = 2, the fast pass 12."""
_SLACK: Final = 16
"""Candidates beyond k that the first pass keeps. More are considered only where more are within its rounding."""


@contextmanager
def use_scoring_device(device: str) -> Iterator[None]:
    """Use a torch device (cpu or cuda:<number>) for large tables within the context."""
    before = _DEVICE.set(device)
    try:
        yield
    finally:
        _DEVICE.reset(before)


def scoring_device() -> str:
    """Return the device that `use_scoring_device` set, or cpu."""
    return _DEVICE.get()


@dataclass
class Tally:
    """Pairs that a process has scored so far."""

    pairs: int = 0


TALLY: Final = Tally()


def takes_fast_pass(users: int, items: int) -> bool:
    """Add a call's pairs to the tally of this process, and return whether the call takes the fast first pass.

    Pairs are counted by process, not by call: users come 2,048 at a time, and with 10,000 items no single call would
    repay the load. Both passes give bitwise equal items and scores.
    """
    pairs = users * items
    TALLY.pairs += pairs
    return pairs >= SMALL_CALL and TALLY.pairs >= REPAID


def explain_first_pass(users: Vectors, items: Vectors, k: int, pairs: int) -> str:
    """Return which first pass a CPU process takes in the end that scores `pairs` pairs with such users, and why."""
    if pairs < REPAID or len(users) * len(items) == 0:
        return f"float32: {pairs:,} pairs of users and items a process, loading the fast pass repays from {REPAID:,} on"
    from pipeline_tasks.topk.fast_top_k import choose

    return choose(users, np.ascontiguousarray(items), k)[1]


def top_k(users: Vectors, items: Vectors, k: int, exclusions: Exclusions | None = None, block: int = 2_048) -> TopK:
    """Return each user's k items of highest dot product. Of equal scores the lower item index is first.

    Args:
        users: (n_users, d) finite float32.
        items: (n_items, d) finite float32.
        k: items per user; fewer only where fewer items are allowed.
        exclusions: items that a user must not get.
        block: users scored at a time. It bounds memory to block x n_items x 12 bytes (float32 scores and int64
            places); large tables need less.

    Raises:
        ValueError: k or block is below 1, the widths of the vectors differ, or a number is not finite.
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
    for first, counts, columns, scores in _fast_blocks(users, items, k, exclusions):
        unproven = np.flatnonzero(counts < 0)
        if not len(unproven):
            yield counts, columns, scores
            continue
        banned = exclusions.of(first + unproven) if exclusions else None
        dense = join_parts(list(_parts(users[first + unproven], items, k, banned, block)))
        yield _merge((counts, columns, scores), unproven, (np.diff(dense.starts), dense.items, dense.scores))


def _fast_blocks(users: Vectors, items: Vectors, k: int, banned: Exclusions | None) -> Iterator[Block]:
    """Yield the first pass of consecutive blocks of users, on the scoring device. Unproven users have the count -1."""
    # The kernels read contiguous rows.
    items, device = np.ascontiguousarray(items), scoring_device()
    if device == "cpu":
        from pipeline_tasks.topk.fast_top_k import fast_top_k, prepare

        yield from fast_top_k(users, items, k, banned, prepare(users, items, k))
    else:
        from pipeline_tasks.topk.gpu_top_k import gpu_top_k, prepare_on

        yield from gpu_top_k(users, k, banned, prepare_on(items, device))


def _merge(fast: Part, unproven: Indices, dense: Part) -> Part:
    """Return the fast result with the dense results of the unproven users inserted."""
    counts = fast[0].copy()
    counts[unproven] = dense[0]
    is_dense = np.repeat(np.isin(np.arange(len(counts)), unproven), counts)
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
    """Return the k best items by `exact` scores. `rounding` (n,) bounds their difference from `rough` (n, items)."""
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
    """Return (row, column) of every score that may be among its row's k best, given each row's rounding."""
    width = rough.shape[1]
    kept = min(k + _SLACK, width)
    columns = np.argpartition(rough, width - kept, axis=1)[:, width - kept :]
    values = np.sort(np.take_along_axis(rough, columns, axis=1), axis=1)[:, ::-1]
    # Both the k-th best and the candidate may have the rounding error.
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
    """Return (n,) bounds on |float32 - exact| of each user's dot products with `items`."""
    return _rounding(users, float(norms(items).max(initial=0.0)))


def _rounding(users: Vectors, longest: float) -> Scores:
    """Return (n,) bounds on |float32 - exact| of each user's dot products with items of length `longest` at most.

    Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., (3.5): n u / (1 - n u) times the sum of absolute
    products, for any order of additions. Cauchy-Schwarz bounds that sum by the norms. A term for the underflow of small
    products is added.
    """
    unit = users.shape[1] * 2.0**-24
    bound: Scores = unit / (1 - unit) * norms(users) * longest + users.shape[1] * SMALLEST
    return bound
