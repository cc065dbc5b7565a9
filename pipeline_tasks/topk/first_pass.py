"""The first pass of a fast top-k: prepared items, approximate scores, and a proven bound on their error.

On a CPU with byte products the first pass is in int8. Each user and each tile of items has a scale. Items are sorted by
their largest number, so that items of a tile have similar size, and dimensions are balanced first.
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
"""One in so many items, drawn at random, comes first. Bounds are guessed from this sample."""
_UNITS: Final = 2.0**-20
"""Error per product of two lengths. It covers the float32 rounding of a candidate's low, of its bound and of the mean's
removal, 2^-24 each."""


@dataclass(frozen=True)
class FirstPass:
    """Items minus their mean. That changes no user's order, but leaves smaller numbers to round."""

    items: torch.Tensor
    """(n, d) int8 or float32. Zeros pad n to a multiple of 64, and in int8 d to a multiple of 4."""
    order: Columns
    """(items,) the item at each place."""
    places: Indices
    """(items,) the place of each item."""
    sampled: int
    """Number of leading places with randomly drawn items, in whole tiles."""
    tiles: tuple[Scores, Scores, Scores]
    """(tiles,) each: scales, norms and lost of `Margins`."""
    longest: float
    """Length of the longest item, mean included."""
    balance: Vectors
    """(d,) factors of `dimension_balance`; ones in float32, where every number has its own exponent."""

    @property
    def is_bytes(self) -> bool:
        """Whether the pass is in int8."""
        return self.items.dtype == torch.int8

    def multiplied(self, users: Vectors) -> tuple[torch.Tensor, Margins]:
        """Return the users in the precision of the pass, and the bounds on the error of their scores.

        The error of both operands is bounded by Cauchy-Schwarz: |u . v - u' . v'| <= |u - u'| |v| + |u'| |v - v'|. The
        error of float32 sums in any order is twice that of Higham (Accuracy and Stability of Numerical Algorithms, 2nd
        ed., 3.5). The error of the final float64 sums, of items with their mean, is added.
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
        """Yield (number, scores) of each tile. The next tile overwrites the scores."""
        kind = torch.int32 if self.is_bytes else torch.float32
        multiply = torch._int_mm if self.is_bytes else torch.mm
        room = torch.empty(len(users) * TILE, dtype=kind)
        for number, first in enumerate(range(0, len(self.items), TILE)):
            tile = self.items[first : first + TILE]
            scores = room[: len(users) * len(tile)].view(len(users), len(tile))
            yield number, multiply(users, tile.T, out=scores).numpy()


def first_pass(items: Vectors, small: bool, users: Vectors | None = None) -> FirstPass:
    """Return the prepared items, in int8 where `small`, else in float32.

    `users` is a sample of the users to score. int8 is balanced for them, and remains correct for all others.
    """
    center = items.mean(axis=0, dtype=np.float64).astype(np.float32)
    balance = np.ones(items.shape[1], np.float32)
    if small and users is not None:
        balance = dimension_balance(np.abs(users).max(axis=0, initial=0.0), _largest_distance(items, center))
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
            # Division by a power of two may still underflow.
            lost[number] = each.max() + items.shape[1] * SMALLEST
        multiplied[first : first + len(tile)] = torch.as_tensor(tile)
    places = np.empty(len(items), np.int64)
    places[order] = np.arange(len(items))
    sampled = len(items) // _SAMPLE // TILE * TILE
    farthest = float(norms(items).max(initial=0.0))
    return FirstPass(multiplied, order, places, sampled, (scales, longest, lost), farthest, balance)


def _largest_distance(items: Vectors, center: Vectors) -> Vectors:
    """Return (d,) the largest distance of an item from the mean."""
    tiles = (items[first : first + TILE] - center for first in range(0, len(items), TILE))
    largest: Vectors = np.max([np.abs(tile).max(axis=0) for tile in tiles], axis=0)
    return largest


def _order(items: Vectors, center: Vectors, balance: Vectors) -> Columns:
    """Return the item indices: first the sample, then the others by their largest number, descending."""
    tiles = ((items[first : first + TILE] - center) / balance for first in range(0, len(items), TILE))
    largest = [np.abs(tile).max(axis=1) for tile in tiles]
    drawn = np.random.default_rng(0).permutation(len(items))[: len(items) // _SAMPLE // TILE * TILE]
    by_size = np.argsort(-np.concatenate(largest), kind="stable")
    others = np.ones(len(items), bool)
    others[drawn] = False
    return np.concatenate([drawn, by_size[others[by_size]]]).astype(np.int32)
