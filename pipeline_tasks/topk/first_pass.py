"""The first pass of a fast top-k: prepared items, approximate scores, and a proven bound on their error.

On a CPU with byte products the first pass is in int8. Each user and each tile of items has a scale. Items are sorted by
their largest number, so that items of a tile have similar size, and dimensions are balanced first.

u . v is the sum over dimensions of (u 2^e) (v 2^-e), and multiplication by a power of two does not round. SmoothQuant
(Xiao et al. 2023, eq. 4 with alpha = 1/2) moves the scale of large activations into the weights of a layer likewise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch

from pipeline_tasks.topk.arrays import SMALLEST, Indices, Scores, Vectors, norms
from pipeline_tasks.topk.select_kernels import LANES, TILE, Columns, Margins, Tile

_MOST_BITS: Final = 20
"""Bits by which a dimension is scaled at most."""
_SAMPLE: Final = 8
"""Items per item of the random sample that comes first. Bounds are guessed from this sample."""
_UNITS: Final = 2.0**-20
"""Error per product of two lengths. It covers the float32 rounding of a candidate's low, of its bound and of the mean's
removal, 2^-24 each."""


@cache
def multiplies_bytes() -> bool:
    """Return whether the CPU adds four byte products in one instruction, and torch's int8 product is exact.

    Without that instruction oneDNN adds pairs in 16 bits, which saturate, and is no faster than float32.
    """
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    if not any(name in flags for name in ("avx512_vnni", "avx_vnni", "amx_int8")):
        return False
    # The largest possible sums and mixed signs. 200 is no multiple of any SIMD width.
    left = torch.tensor([127, -127], dtype=torch.int8).repeat_interleave(200).reshape(2, 200).repeat(20, 1)
    right = torch.from_numpy(np.random.default_rng(0).choice([-127, -1, 0, 127], (64, 200)).astype(np.int8))
    exact = left.long() @ right.long().T
    return bool((torch._int_mm(left, right.T) == exact).all())


def to_bytes(vectors: Vectors, scale: Scores) -> tuple[torch.Tensor, Scores]:
    """Return (n, `padded_width`) int8 vectors, and (n,) bounds on the length of the rounding error.

    The vectors are divided by `scale` (n, 1) before they are rounded.
    """
    exact, each = torch.tensor(vectors), torch.from_numpy(scale).float()
    small = (exact / each).round_()
    # The float32 product and difference round too, by half a unit of the vector each.
    lost = _lengths(exact - small * each) + _lengths(exact) * 2.0**-22
    filled = torch.nn.functional.pad(small.to(torch.int8), (0, padded_width(vectors.shape[1]) - vectors.shape[1]))
    return filled, lost.numpy()


def _lengths(vectors: torch.Tensor) -> torch.Tensor:
    # In float64, because the square of a small float32 underflows.
    lengths: torch.Tensor = torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float64)
    return lengths


def padded_width(width: int) -> int:
    """Return the width rounded up to a multiple of four. `_int_mm` of torch 2.13 does not write products of width 1."""
    return -(-width // 4) * 4


def byte_scale(largest: Vectors) -> Scores:
    """Return the value of a byte's unit, so that 127 stands for the largest number (float32 values, as float64)."""
    scale: Scores = np.maximum(largest / np.float32(127), np.float32(1e-30)).astype(np.float64)
    return scale


def dimension_balance(users: Vectors, items: Vectors) -> Vectors:
    """Return (d,) powers of two. Users times these, and items divided by them, are of similar size.

    `users`, `items`: (d,) the largest absolute value of each dimension.

    A vector has one scale, so its largest dimension decides the precision of the others. In a trained model popularity
    features are larger than the embedding: among 235,000 items int8 left too many candidates for all users without
    balance, and for none with it.
    """
    is_used = (users > 0) & (items > 0)
    ratio = np.divide(items, users, out=np.ones(len(users)), where=is_used, dtype=np.float64)
    exponents = np.clip(np.rint(np.log2(ratio) / 2), -_MOST_BITS, _MOST_BITS)
    balance: Vectors = np.exp2(exponents).astype(np.float32)
    return balance


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
