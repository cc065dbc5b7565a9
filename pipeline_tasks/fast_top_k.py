"""The top-k of large tables: a first pass in bfloat16 where the CPU has it, settled in float64.

On two busy cores with AVX512-BF16 the product of 8,192 users x 100,000 items, d = 128, takes 0.47 s in place of
float32's 2.9; tests/benchmarks/bench_top_k.py measures the whole beside faiss, `implicit` and Spark ALS.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from pipeline_tasks.device import has_bfloat16
from pipeline_tasks.select_kernels import HIDDEN, LOWEST, Keys, gather, settle
from pipeline_tasks.top_k import Exclusions, Indices, Scores, Vectors

_USERS: Final = 512
_ITEMS: Final = 8_192
"""A tile of keys is 8 MB: in the cache when it is looked through."""


@dataclass(frozen=True)
class FirstPass:
    """Items as the first pass multiplies them: less their mean, which changes no shopper's order but leaves smaller
    numbers to round (a catalog whose vectors share a large part would lose all its order in 8 bits)."""

    items: torch.Tensor
    """(n, d) bfloat16 or float32."""
    largest: float
    """Norm of the longest of them."""
    lost: float
    """Norm of the largest difference between an item as it is multiplied and as it is, less the mean."""
    rounding: float
    """Relative rounding of a score when it becomes a key: to nearest 2^-8 in a bfloat16 product, 2^-7 when cut off."""

    def margins(self, users: Vectors) -> Vectors:
        """Return (n,) twice the most by which the first pass can be wrong, rounding to keys apart.

        Cauchy-Schwarz over what the operands lost, measured, and Higham (Accuracy and Stability of Numerical
        Algorithms, 2nd ed., 3.5) for float32 sums in any order, doubled for units that flush or round twice.
        """
        exact = torch.tensor(users)
        multiplied = exact.to(self.items.dtype).double()
        norms = multiplied.norm(dim=1)
        lost = (multiplied - exact.double()).norm(dim=1)
        sums = users.shape[1] * 2.0**-23 * norms * self.largest
        margins: Vectors = (2 * (lost * self.largest + (norms + lost) * self.lost + sums)).float().numpy()
        return margins

    def tiles(self, users: Vectors) -> Iterator[tuple[int, Keys]]:
        """Yield (first item, (users, items) int16 upper halves of the scores), tile by tile."""
        ours = torch.tensor(users).to(self.items.dtype)
        for first in range(0, len(self.items), _ITEMS):
            scores = ours @ self.items[first : first + _ITEMS].T
            if scores.dtype == torch.bfloat16:
                yield first, scores.view(torch.int16).numpy()
            else:
                # Little-endian: the second half of each float32 is its upper one.
                yield first, np.ascontiguousarray(scores.numpy().view(np.int16)[:, 1::2])


def first_pass(items: Vectors, half: bool | None = None) -> FirstPass:
    """Prepare the items; `half` chooses bfloat16, None where the CPU multiplies it faster."""
    half = has_bfloat16(torch.device("cpu")) if half is None else half
    center = torch.from_numpy(items.mean(axis=0, dtype=np.float64).astype(np.float32))
    # A copy: the shelf is mapped read-only.
    less = torch.tensor(items).sub_(center)
    norms = less.norm(dim=1)
    multiplied = less.to(torch.bfloat16) if half else less
    # What bfloat16 drops of a float32 is a float32, so this difference is exact; subtracting the center rounded once.
    dropped = (multiplied.float() - less).norm(dim=1) + norms * 2.0**-23
    # The norms are float32 sums themselves: off by d units at most, 1 % covers widths of up to 80,000.
    largest, lost = 1.01 * float((norms + dropped).max()), 1.01 * float(dropped.max())
    return FirstPass(multiplied, largest, lost, 2.0**-8 if half else 2.0**-7)


def fast_top_k(
    users: Vectors, items: Vectors, k: int, banned: Exclusions | None, prepared: FirstPass
) -> Iterator[tuple[int, Indices, Indices, Scores]]:
    """Yield (first user, counts, items, scores) of up to 512 users at a time, in order; the count -1 marks a user with
    more equals than there is room for, whose items and scores are left out.

    Each of torch's threads takes blocks of its own: threads that share a block wait for one another 26 times a block.
    Memory: 512 x (6 (4 k + 256) + 8 k) bytes and a tile of 8 MB (16 in float32) per thread, whatever the users.
    """

    def block(start: int) -> tuple[int, Indices, Indices, Scores]:
        ours = np.ascontiguousarray(users[start : start + _USERS])
        return start, *_best_of_block(ours, items, min(k, len(items)), _by_item(banned, start, len(ours)), prepared)

    with ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)) as threads:
        yield from threads.map(block, range(0, len(users), _USERS))


def _best_of_block(
    users: Vectors, items: Vectors, k: int, hidden: tuple[Indices, Indices], prepared: FirstPass
) -> tuple[Indices, Indices, Scores]:
    capacity = 4 * k + 256
    columns, keys = np.empty((len(users), capacity), np.int32), np.empty((len(users), capacity), np.int16)
    counts, bounds = np.zeros(len(users), np.int64), np.full(len(users), LOWEST, np.int16)
    margins, rounding = prepared.margins(users), prepared.rounding
    for first, tile in prepared.tiles(users):
        _hide(tile, first, hidden)
        gather(tile, first, k, margins, rounding, columns, keys, counts, bounds)
    scores = np.empty((len(users), k), np.float64)
    settle(users, items, k, margins, rounding, columns, keys, counts, scores)
    filled = np.arange(k) < counts[:, None]
    return counts, columns[:, :k][filled].astype(np.int64), scores[filled]


def _by_item(banned: Exclusions | None, start: int, users: int) -> tuple[Indices, Indices]:
    """Return (row, item) of the exclusions of users start, start + 1, …, in ascending order of the item."""
    if banned is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    rows, items = banned.block(start, start + users)
    order = np.argsort(items, kind="stable")
    return rows[order], items[order]


def _hide(tile: Keys, first: int, hidden: tuple[Indices, Indices]) -> None:
    rows, items = hidden
    low, high = np.searchsorted(items, (first, first + tile.shape[1]))
    tile[rows[low:high], items[low:high] - first] = HIDDEN
