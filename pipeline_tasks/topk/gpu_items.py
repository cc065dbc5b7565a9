"""The items of a top-k as a GPU multiplies them: in bfloat16, less their mean, with a bound on what that loses."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from pipeline_tasks.topk.arrays import SMALLEST, Vectors

HALF = torch.bfloat16
"""What tensor cores multiply. Not final: Triton's interpreter multiplies the bits of bfloat16 as integers, so that the
test which interprets takes float16."""
_SUMS: Final = 2.0**-20
"""Per number of a vector, of the product of two lengths: what a tensor core's float32 sum loses at most. It cuts off
where IEEE rounds, aligned to its largest term; this is eight times float32's own bound."""


@dataclass(frozen=True)
class GpuItems:
    """n items on a device."""

    exact: torch.Tensor
    """(n, d) float32, as they are."""
    center: torch.Tensor
    """(d,) float32 mean."""
    halves: torch.Tensor
    """(m, w) bfloat16 less the mean, filled up with zeros to whole tiles of items and whole steps of numbers."""
    sample: torch.Tensor
    """(s, w) bfloat16: some of them, drawn at random."""
    sampled: int
    """How many of the sample are items."""
    largest: float
    """Length of the longest item, less the mean."""
    lost: float
    """Largest length of what bfloat16 lost of one."""
    longest: float
    """Length of the longest item with the mean."""

    def errors(self, users: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (n,) float64 bounds on what the product in bfloat16 and the float32 scores are wrong by.

        Cauchy-Schwarz over what the operands lost, and sums in any order; both of items less their mean.
        """
        lost = lengths(users - users.to(HALF).float())
        own, width = lengths(users), users.shape[1]
        halves = lost * self.largest + (own + lost) * self.lost + width * _SUMS * own * self.largest
        # Removing the mean rounds once; the float64 sums that settle are of items with it.
        settled = width * (2.0**-51 * own * self.longest + 2 * SMALLEST)
        return halves + settled, (width + 2) * 2.0**-23 * own * self.largest + settled


def lengths(vectors: torch.Tensor) -> torch.Tensor:
    """Return (n,) float64 lengths."""
    found: torch.Tensor = torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float64)
    return found


def filled_up(vectors: torch.Tensor, rows: int, step: int) -> torch.Tensor:
    """Return bfloat16 with zeros up to a multiple of `rows`, and up to a power of two or a multiple of `step` wide."""
    width = max(16, 1 << (vectors.shape[1] - 1).bit_length())
    width = width if width <= step else -(-vectors.shape[1] // step) * step
    filled = torch.zeros(-(-len(vectors) // rows) * rows, width, dtype=HALF, device=vectors.device)
    filled[: len(vectors), : vectors.shape[1]] = vectors
    return filled


def gpu_items(items: Vectors, device: str, share: int, tile: int, step: int) -> GpuItems:
    """Put the items on the device, one in `share` of them into the sample too, in tiles of `tile` items."""
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
    """Return (n, m) float64 products of users (n, d) with items[chosen (n, m)], to the bit `dot_products`.

    Each addition is an operation of its own, so that none is fused with a product.
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
