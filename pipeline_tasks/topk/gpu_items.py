"""The items of a top-k on a GPU: in bfloat16, minus their mean, with a bound on the error."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from pipeline_tasks.topk.arrays import SMALLEST, Vectors

HALF = torch.bfloat16
"""The type that tensor cores multiply. Not Final, because the interpreted test sets float16: Triton's interpreter
multiplies the bits of bfloat16 as integers."""
_SUMS: Final = 2.0**-20
"""Error bound of a tensor core's float32 sum, per dimension and product of two lengths. A tensor core truncates where
IEEE rounds, aligned to its largest term. This is eight times the bound of float32."""


@dataclass(frozen=True)
class GpuItems:
    """n items on a device."""

    exact: torch.Tensor
    """(n, d) float32, unchanged."""
    center: torch.Tensor
    """(d,) float32 mean."""
    halves: torch.Tensor
    """(m, w) bfloat16 minus the mean, padded with zeros to whole tiles of items and whole steps of dimensions."""
    sample: torch.Tensor
    """(s, w) bfloat16: a random sample of `halves`."""
    sampled: int
    """Items in the sample, without padding."""
    largest: float
    """Length of the longest item, minus the mean."""
    lost: float
    """Largest length of an item's bfloat16 rounding error."""
    longest: float
    """Length of the longest item, mean included."""

    def errors(self, users: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (n,) float64 bounds on the errors of the bfloat16 product and of the float32 scores.

        They follow from Cauchy-Schwarz for rounded operands, and cover sums in any order. Both are of items minus their
        mean.
        """
        lost = lengths(users - users.to(HALF).float())
        own, width = lengths(users), users.shape[1]
        halves = lost * self.largest + (own + lost) * self.lost + width * _SUMS * own * self.largest
        # Removing the mean rounds once. The final float64 sums are of items with their mean.
        settled = width * (2.0**-51 * own * self.longest + 2 * SMALLEST)
        return halves + settled, (width + 2) * 2.0**-23 * own * self.largest + settled


def lengths(vectors: torch.Tensor) -> torch.Tensor:
    """Return (n,) Euclidean lengths in float64."""
    found: torch.Tensor = torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float64)
    return found


def filled_up(vectors: torch.Tensor, rows: int, step: int) -> torch.Tensor:
    """Return bfloat16 vectors, padded with zeros.

    The number of rows becomes a multiple of `rows`; the width a power of two or a multiple of `step`.
    """
    width = max(16, 1 << (vectors.shape[1] - 1).bit_length())
    width = width if width <= step else -(-vectors.shape[1] // step) * step
    filled = torch.zeros(-(-len(vectors) // rows) * rows, width, dtype=HALF, device=vectors.device)
    filled[: len(vectors), : vectors.shape[1]] = vectors
    return filled


def gpu_items(items: Vectors, device: str, share: int, tile: int, step: int) -> GpuItems:
    """Return the items on the device, in tiles of `tile` items. The sample has one in `share` of them."""
    exact = torch.tensor(items, device=device)
    center = exact.mean(dim=0, dtype=torch.float64).float()
    drawn = torch.from_numpy(np.sort(np.random.default_rng(0).permutation(len(items))[: -(-len(items) // share)]))
    less = exact - center
    dropped = lengths(less - less.to(HALF).float()).max()
    return GpuItems(
        exact,
        center,
        filled_up(less, tile, step),
        filled_up(less[drawn.to(device)], tile, step),
        len(drawn),
        float(lengths(less).max()),
        float(dropped),
        float(lengths(exact).max()),
    )


def ordered_dots(users: torch.Tensor, items: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Return (n, m) float64 products of users (n, d) with items[chosen (n, m)], bitwise equal to `dot_products`.

    Each addition is a separate operation, so that none is fused with a product.
    """
    width = users.shape[1]
    total = torch.zeros(chosen.shape, dtype=torch.float64, device=users.device)
    for first in range(0, width, 128):
        last = min(first + 128, width)
        products = users[:, None, first:last].double() * items[chosen, first:last].double()
        whole = (last - first) // 8 * 8
        sums = torch.zeros((*chosen.shape, 8), dtype=torch.float64, device=users.device)
        for start in range(0, whole, 8):
            sums = sums + products[:, :, start : start + 8]
        pairs = sums[:, :, ::2] + sums[:, :, 1::2]
        fours = pairs[:, :, ::2] + pairs[:, :, 1::2]
        part = fours[:, :, 0] + fours[:, :, 1]
        for place in range(whole, last - first):
            part = part + products[:, :, place]
        total = total + part
    return total
