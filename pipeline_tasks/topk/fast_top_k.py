"""The top-k of large tables on a CPU: a first pass in int8 or float32, and exact scores in float64.

tests/benchmarks/bench_top_k.py compares it with faiss, `implicit`, Spark ALS and a float32 product alone.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import torch

from pipeline_tasks.topk.arrays import Block, Exclusions, Indices, MappedItems, Scores, Vectors, mapped
from pipeline_tasks.topk.first_pass import FirstPass, first_pass, multiplies_bytes
from pipeline_tasks.topk.select_kernels import TILE, Candidates, Tile, gather, guess_bounds
from pipeline_tasks.topk.settle_kernels import settle

_USERS: Final = 512
"""Users of a block."""
_PROBED: Final = 64
"""Users for whom int8 is balanced and tried first. It takes some milliseconds."""
_CROWDED: Final = 0.1
"""Share of users with too many candidates from which int8 is not taken."""
_LOWEST: Final = {"int32": -(2.0**30), "float32": -1e38}
"""Below every score of a first pass. An excluded item gets twice this value."""
_MOST_PREPARED: Final = 2
"""Prepared first passes in memory at most: int8 and float32 of the same items."""
_PREPARED: Final[OrderedDict[tuple[MappedItems, bool], FirstPass]] = OrderedDict()


def prepare(users: Vectors, items: Vectors, k: int) -> FirstPass:
    """Return the first pass for these vectors, see `choose`."""
    return choose(users, items, k)[0]


def choose(users: Vectors, items: Vectors, k: int) -> tuple[FirstPass, str]:
    """Return the first pass, and why: int8, unless it leaves too many candidates for `_CROWDED` of the users."""
    probed = users[:: -(-len(users) // _PROBED)]
    small = _prepare(probed, items, multiplies_bytes())
    if not small.is_bytes:
        return small, "float32: this processor does not add four products of bytes in one instruction"
    crowded = np.mean([(counts < 0).mean() for _, counts, _, _ in fast_top_k(probed, items, k, None, small)])
    found = f"int8 leaves too many candidates for {crowded:.0%} of users"
    if crowded < _CROWDED:
        return small, f"int8: {found}, float32 is taken from {_CROWDED:.0%} on"
    return _prepare(probed, items, False), f"float32: {found}"


def _prepare(users: Vectors, items: Vectors, small: bool) -> FirstPass:
    """Return the prepared items, from the cache for mapped items: a process scores many batches with the same items."""
    key = mapped(items)
    if key is None:
        return first_pass(items, small, users)
    prepared = _PREPARED.pop((key, small), None) or first_pass(items, small, users)
    _PREPARED[key, small] = prepared
    while len(_PREPARED) > _MOST_PREPARED:
        _PREPARED.popitem(last=False)
    return prepared


def fast_top_k(
    users: Vectors, items: Vectors, k: int, banned: Exclusions | None, prepared: FirstPass
) -> Iterator[Block]:
    """Yield the best items of up to 512 users at a time, in order.

    A user gets the count -1, so not proven, if more equal scores exist than there is room for, or if the guessed bound
    was wrong (one user in thousands). Each thread takes whole blocks, because threads that share a block wait for one
    another 49 times. Memory per thread: 512 x (8 (4 k + 2,048) + 8 k) bytes and a tile of 4 MB.
    """

    def block(start: int) -> Block:
        ours = np.ascontiguousarray(users[start : start + _USERS])
        hidden = _by_place(banned, start, len(ours), prepared.places)
        return start, *_best_of_block(ours, items, min(k, len(items)), hidden, prepared)

    with ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)) as threads:
        yield from threads.map(block, range(0, len(users), _USERS))


def _best_of_block(
    users: Vectors, items: Vectors, k: int, hidden: tuple[Indices, Indices], prepared: FirstPass
) -> tuple[Indices, Indices, Scores]:
    found = _empty_candidates(len(users), 4 * k + TILE)
    multiplied, margins = prepared.multiplied(users)
    for number, tile in prepared.scores(multiplied):
        lowest, seen = _LOWEST[tile.dtype.name], (number + 1) * TILE
        _hide(tile, number * TILE, hidden, len(items), 2 * lowest)
        rank = _guessed_rank(k * seen / len(items)) if seen <= prepared.sampled else 0
        gather(tile, number, lowest, k, rank, margins, found)
        if rank and number:
            guess_bounds(found, margins, rank)
    scores = np.empty((len(users), k), np.float64)
    settle(users, items, prepared.order, k, margins, found, scores)
    filled = np.arange(k) < found.counts[:, None]
    return found.counts, found.columns[:, :k][filled].astype(np.int64), scores[filled]


def _empty_candidates(rows: int, capacity: int) -> Candidates:
    return Candidates(
        np.empty((rows, capacity), np.int32),
        np.empty((rows, capacity), np.float32),
        np.zeros(rows, np.int64),
        np.full(rows, -np.inf, np.float32),
    )


def _guessed_rank(expected: float) -> int:
    """Return an upper bound on the sampled items that reach the k-th best score, where `expected` are expected.

    It is four standard deviations (Poisson) plus four above. About one user in a hundred thousand exceeds it.
    """
    return math.ceil(expected + 4 * math.sqrt(expected) + 4)


def _by_place(banned: Exclusions | None, start: int, users: int, places: Indices) -> tuple[Indices, Indices]:
    """Return (row, place) of the exclusions of users start, start + 1, …, in ascending order of the place."""
    if banned is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    rows, items = banned.block(start, start + users)
    hidden = places[items]
    order = np.argsort(hidden, kind="stable")
    return rows[order], hidden[order]


def _hide(tile: Tile, first: int, hidden: tuple[Indices, Indices], items: int, excluded: float) -> None:
    rows, places = hidden
    low, high = np.searchsorted(places, (first, first + tile.shape[1]))
    tile[rows[low:high], places[low:high] - first] = excluded
    tile[:, items - first :] = excluded
