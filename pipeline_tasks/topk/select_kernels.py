"""Machine-code loops of the fast top-k that gather what may be among the best of a tile of scores.

A first-pass score s of a tile stands for scale x s, wrong by at most the user's error in that tile. What is kept of a
candidate is its *low*, scale x s - error: the true score lies between it and it plus twice the error.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pipeline_tasks.topk.arrays import Indices, Scores, Vectors
from pipeline_tasks.topk.lane_masks import LANES, lanes_reaching, lowest_bit

Columns = npt.NDArray[np.int32]
Tile = npt.NDArray[np.int32] | Vectors

TILE: Final = 2_048
"""Items of a tile: with 512 users 4 MB of scores, in the cache when they are looked through."""


class Margins(NamedTuple):
    """By how much first-pass scores can be wrong, and what they stand for."""

    scales: Scores
    """(rows,): with the tile's, what a score of 1 stands for."""
    of_norm: Scores
    """(rows,) error per length of an item."""
    of_lost: Scores
    """(rows,) error per length of what the first pass lost of an item."""
    flat: Scores
    """(rows,) error anywhere."""
    of_float32: Scores
    """(rows,) error of the float32 product with any item as it is."""
    tile_scales: Scores
    """(tiles,)"""
    tile_norms: Scores
    """(tiles,) length of the longest item."""
    tile_lost: Scores
    """(tiles,) largest length of what the first pass lost of an item."""


class Candidates(NamedTuple):
    """What may be among each row's best."""

    columns: Columns
    """(rows, capacity), filled to `counts`: places of items."""
    lows: Vectors
    """(rows, capacity)"""
    counts: Indices
    """(rows,), -1 where there was not room enough, or a guess was wrong."""
    bounds: Vectors
    """(rows,): nothing was left out that could exceed it."""


@njit(cache=True, nogil=True)
def error_of(margins: Margins, row: int, tile: int) -> float:
    """Return by how much the first pass is wrong at most."""
    error: float = (
        margins.of_norm[row] * margins.tile_norms[tile]
        + margins.of_lost[row] * margins.tile_lost[tile]
        + margins.flat[row]
    )
    return error


# Without NaN the least and the largest of many are found side by side.
@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def reached_by(numbers: npt.NDArray[Any], k: int) -> Any:  # noqa: ANN401
    """Return a number that k of the array (no NaN) reach, and k + 1 do not unless they are equal.

    Found by counting above a middle: of 900 some ten counts, all vectorized, where a partition would move data.
    """
    low = high = numbers[0]
    for place in range(len(numbers)):
        low = numbers[place] if numbers[place] < low else low
        high = numbers[place] if numbers[place] > high else high
    while True:
        middle = numbers.dtype.type(np.float64(low) + (np.float64(high) - np.float64(low)) / 2)
        if middle <= low or middle >= high:
            return high if count_reaching(numbers, high) >= k else low
        count = count_reaching(numbers, middle)
        if count == k:
            return middle
        if count > k:
            low = middle
        else:
            high = middle


@njit(cache=True, nogil=True)
def count_reaching(numbers: npt.NDArray[Any], bound: Any) -> int:  # noqa: ANN401
    """Return how many are not below the bound."""
    count = np.int32(0)
    for place in range(len(numbers)):
        count += np.int32(numbers[place] >= bound)
    return int(count)


@njit(cache=True, nogil=True)
def drop_below(found: Candidates, margins: Margins, row: int, rank: int) -> None:
    """Raise a row's bound to its `rank`-th largest low, and drop in place what cannot exceed it."""
    columns, lows, count = found.columns[row], found.lows[row], found.counts[row]
    bound = max(reached_by(lows[:count], rank), found.bounds[row])
    kept = 0
    for place in range(count):
        column, low = columns[place], lows[place]
        columns[kept], lows[kept] = column, low
        # No branch: whether one stays is anybody's guess, the processor's too.
        kept += int(low + 2 * error_of(margins, row, column // TILE) >= bound)
    found.counts[row], found.bounds[row] = kept, bound


@njit(cache=True, nogil=True)
def guess_bounds(found: Candidates, margins: Margins, rank: int) -> None:
    """Raise each row's bound to its `rank`-th largest low where it has so many; `settle` says whether it was right."""
    for row in range(len(found.counts)):
        if found.counts[row] >= rank:
            drop_below(found, margins, row, rank)


@njit(cache=True, nogil=True)
def gather(scores: Tile, number: int, lowest: float, k: int, rank: int, margins: Margins, found: Candidates) -> None:
    """Add to each row's candidates what of tile `number` can exceed its bound.

    Args:
        scores: (rows, width) int32 or float32, width a multiple of 64; an excluded item's is below `lowest`.
        rank: where not 0, a row without a bound begins with a guess: that so many of this tile reach it.
    """
    capacity = found.columns.shape[1]
    for row in range(len(scores)):
        scale, error = margins.scales[row] * margins.tile_scales[number], error_of(margins, row, number)
        columns, lows, line, count = found.columns[row], found.lows[row], scores[row], found.counts[row]
        if count < 0:
            continue
        if rank and found.bounds[row] == -np.inf:
            found.bounds[row] = max(reached_by(line, rank), lowest) * scale - error
        wanted = (found.bounds[row] - error) / scale
        if wanted > -lowest:
            continue
        # Cut towards zero: an integer never more than it has to be.
        threshold = scores.dtype.type(max(wanted, lowest))
        for start in range(0, len(line), LANES):
            if count < 0:
                break
            mask = lanes_reaching(line, start, threshold)
            while mask != 0:
                place = start + np.int64(lowest_bit(mask))
                mask &= mask - np.uint64(1)
                columns[count], lows[count] = number * TILE + place, scale * line[place] - error
                count += 1
                if count == capacity:
                    found.counts[row] = count
                    drop_below(found, margins, row, k)
                    count = found.counts[row]
                    if count > capacity // 2:
                        count = -1
                        break
                    threshold = scores.dtype.type(max((found.bounds[row] - error) / scale, lowest))
        found.counts[row] = count
