"""The items of a fast top-k as its first pass multiplies them, and a proven bound on what that loses.

Where the processor multiplies bytes the first pass is one of int8: each user has a scale, and each tile of items, which
are sorted by their largest number so that those of a tile are of like size; dimensions are balanced before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from pipeline_tasks.topk.arrays import SMALLEST, Indices, Scores, Vectors, norms
from pipeline_tasks.topk.byte_products import byte_scale, padded_width, to_bytes
from pipeline_tasks.topk.dimension_balance import dimension_balance
from pipeline_tasks.topk.lane_masks import LANES
from pipeline_tasks.topk.select_kernels import TILE, Columns, Margins, Tile

_SAMPLE: Final = 8
"""One in so many items, drawn at random, comes first: bounds are guessed from them."""
_UNITS: Final = 2.0**-20
"""Of the product of two lengths: more than the float32 of a candidate's low, of its bound and of the mean's removal
lose together, 2^-24 each."""


@dataclass(frozen=True)
class FirstPass:
    """Items less their mean, which changes no user's order but leaves smaller numbers to round."""

    items: torch.Tensor
    """(n, d) int8 or float32; n is filled up to a multiple of 64 with zeros, in int8 d to one of 4."""
    order: Columns
    """(items,) the item at each place."""
    places: Indices
    """(items,) the place of each item."""
    sampled: int
    """Places whose items were drawn at random: whole tiles."""
    tiles: tuple[Scores, Scores, Scores]
    """(tiles,) scales, norms, lost: see `Margins`."""
    longest: float
    """Length of the longest item with the mean."""
    balance: Vectors
    """(d,) see `dimension_balance`; ones for float32, which has its scale in every number."""

    @property
    def is_bytes(self) -> bool:
        """Whether it multiplies int8."""
        return self.items.dtype == torch.int8

    def multiplied(self, users: Vectors) -> tuple[torch.Tensor, Margins]:
        """Return the users as they are multiplied, and how wrong that is.

        That of both operands by Cauchy-Schwarz, |u . v - u' . v'| <= |u - u'| |v| + |u'| |v - v'|, measured; that of
        float32 sums in any order by Higham (Accuracy and Stability of Numerical Algorithms, 2nd ed., 3.5), doubled; and
        that of the float64 sums that settle, of items with the mean.
        """
        longest, width = norms(users) * self.longest, users.shape[1]
        users = users * self.balance
        lengths = norms(users)
        if self.is_bytes:
            scales = byte_scale(np.abs(users).max(axis=1, initial=0.0))
            ours, lost = to_bytes(users, scales[:, None])
            lost += width * SMALLEST
            of_norm = lost + _UNITS * lengths
        else:
            ours, scales, lost = torch.tensor(users), np.ones(len(users)), np.zeros(len(users))
            of_norm = (width * 2.0**-23 + _UNITS) * lengths
        flat, of_float32 = (width * (unit * longest + 2 * SMALLEST) for unit in (2.0**-51, 2.0**-23))
        return ours, Margins(scales, of_norm, lengths + lost, flat, of_float32, *self.tiles)

    def scores(self, users: torch.Tensor) -> Iterator[tuple[int, Tile]]:
        """Yield (number, scores) tile by tile; the scores are overwritten by the next."""
        kind = torch.int32 if self.is_bytes else torch.float32
        multiply = torch._int_mm if self.is_bytes else torch.mm
        room = torch.empty(len(users) * TILE, dtype=kind)
        for number, first in enumerate(range(0, len(self.items), TILE)):
            tile = self.items[first : first + TILE]
            scores = room[: len(users) * len(tile)].view(len(users), len(tile))
            yield number, multiply(users, tile.T, out=scores).numpy()


def first_pass(items: Vectors, small: bool, users: Vectors | None = None) -> FirstPass:
    """Prepare the items, in int8 where `small`, else in float32; a tile at a time.

    `users` are some of those who will be multiplied: int8 is balanced for them, and right for all others too.
    """
    center = items.mean(axis=0, dtype=np.float64).astype(np.float32)
    balance = np.ones(items.shape[1], np.float32)
    if small and users is not None:
        balance = dimension_balance(np.abs(users).max(axis=0, initial=0.0), _spread(items, center))
    order = _order(items, center, balance)
    shape = -(-len(items) // LANES) * LANES, padded_width(items.shape[1]) if small else items.shape[1]
    multiplied = torch.zeros(shape, dtype=torch.int8 if small else torch.float32)
    scales, longest, lost = (np.full(-(-len(items) // TILE), start) for start in (1.0, 0.0, 0.0))
    for number, first in enumerate(range(0, len(items), TILE)):
        tile = (items[order[first : first + TILE]] - center) / balance
        longest[number] = norms(tile).max()
        if small:
            scales[number] = byte_scale(np.abs(tile).max(initial=0.0))
            tile, each = to_bytes(tile, scales[number : number + 1, None])
            # What a power of two rounds to none after all.
            lost[number] = each.max() + items.shape[1] * SMALLEST
        multiplied[first : first + len(tile)] = torch.as_tensor(tile)
    places = np.empty(len(items), np.int64)
    places[order] = np.arange(len(items))
    sampled = len(items) // _SAMPLE // TILE * TILE
    farthest = float(norms(items).max(initial=0.0))
    return FirstPass(multiplied, order, places, sampled, (scales, longest, lost), farthest, balance)


def _spread(items: Vectors, center: Vectors) -> Vectors:
    """Return (d,) how far an item is from the mean at most."""
    tiles = (items[first : first + TILE] - center for first in range(0, len(items), TILE))
    largest: Vectors = np.max([np.abs(tile).max(axis=0) for tile in tiles], axis=0)
    return largest


def _order(items: Vectors, center: Vectors, balance: Vectors) -> Columns:
    """Return the sample, then the others by their largest number, the largest first."""
    tiles = ((items[first : first + TILE] - center) / balance for first in range(0, len(items), TILE))
    largest = [np.abs(tile).max(axis=1) for tile in tiles]
    drawn = np.random.default_rng(0).permutation(len(items))[: len(items) // _SAMPLE // TILE * TILE]
    by_size = np.argsort(-np.concatenate(largest), kind="stable")
    others = np.ones(len(items), bool)
    others[drawn] = False
    return np.concatenate([drawn, by_size[others[by_size]]]).astype(np.int32)
