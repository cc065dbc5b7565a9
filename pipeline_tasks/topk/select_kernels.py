"""Machine-code loops of the fast top-k that collect candidates for the best items from tiles of scores.

LLVM compiles the comparison for the CPU (with AVX-512 to four comparisons into mask registers). A plain numba loop
compares again, one score at a time, in every group of 64 with a hit. For 100,000 scores with 450 hits it takes 15 us
instead of 5.

A first-pass score s stands for scale x s, with at most the user's error in that tile. A candidate is stored with its
*low*, which is scale x s - error. The true score is between the low and the low plus twice the error.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from pipeline_tasks.topk.arrays import Indices, Scores, Vectors

LANES: Final = 64
"""Scores compared at once. The row length of a tile must be a multiple of it."""
Columns = npt.NDArray[np.int32]
Tile = npt.NDArray[np.int32] | Vectors
TILE: Final = 2_048
"""Items of a tile. With 512 users its scores take 4 MB, so they are still in the cache when they are scanned."""


def _type_lanes_reaching(typing: Any, row: Any, start: Any, bound: Any) -> Any:  # noqa: ANN401
    """Return a uint64 in which bit i is set where row[start + i] >= bound.

    `row` must be a contiguous int32 or float32 array of at least start + 64 numbers. This is not checked.
    """
    return types.uint64(row, types.intp, row.dtype), _compare


lanes_reaching: Any = intrinsic(_type_lanes_reaching)


def _compare(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
    array_type = signature.args[0]
    array = context.make_array(array_type)(context, builder, arguments[0])
    lanes = ir.VectorType(context.get_value_type(array_type.dtype), LANES)
    numbers = builder.load(builder.bitcast(builder.gep(array.data, [arguments[1]]), lanes.as_pointer()))
    numbers.align = 4
    nothing, zero = ir.Constant(lanes, ir.Undefined), ir.Constant(ir.IntType(32), 0)
    one = builder.insert_element(nothing, arguments[2], zero)
    bounds = builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))
    compare = builder.icmp_signed if isinstance(array_type.dtype, types.Integer) else builder.fcmp_ordered
    return builder.bitcast(compare(">=", numbers, bounds), ir.IntType(LANES))


def _type_lowest_bit(typing: Any, mask: Any) -> Any:  # noqa: ANN401
    """Return the position (uint64) of the lowest set bit. `mask` must not be 0."""

    def count(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), count


lowest_bit: Any = intrinsic(_type_lowest_bit)


def _type_prefetch(typing: Any, rows: Any, row: Any) -> Any:  # noqa: ANN401
    """Prefetch the contiguous `rows[row]` of a 2-d array into the cache. `row` is not checked."""
    return types.void(rows, types.intp), _prefetch


prefetch: Any = intrinsic(_type_prefetch)


def _prefetch(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    byte, int32 = ir.IntType(8).as_pointer(), ir.IntType(32)
    stride = builder.extract_value(array.strides, 0)
    begin = builder.gep(builder.bitcast(array.data, byte), [builder.mul(stride, arguments[1])])
    kind = ir.FunctionType(ir.VoidType(), [byte, int32, int32, int32])
    fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")  # type: ignore[no-untyped-call]
    options = [ir.Constant(int32, number) for number in (0, 3, 1)]
    zero, line = ir.Constant(stride.type, 0), ir.Constant(stride.type, 64)
    with cgutils.for_range_slice(builder, zero, stride, line, stride.type) as (offset, _):
        builder.call(fetch, [builder.gep(begin, [offset]), *options])
    return context.get_dummy_value()


class Margins(NamedTuple):
    """Scales of first-pass scores, and the parts of their error bounds."""

    scales: Scores
    """(rows,) value of a score of 1, to be multiplied by the tile's scale."""
    of_norm: Scores
    """(rows,) error per length of an item."""
    of_lost: Scores
    """(rows,) error per length of an item's rounding error."""
    flat: Scores
    """(rows,) constant error."""
    of_float32: Scores
    """(rows,) error of the float32 product with any unrounded item."""
    tile_scales: Scores
    """(tiles,)"""
    tile_norms: Scores
    """(tiles,) length of the longest item."""
    tile_lost: Scores
    """(tiles,) largest length of an item's rounding error."""


class Candidates(NamedTuple):
    """Candidates for each row's best items."""

    columns: Columns
    """(rows, capacity) places of items, filled up to `counts`."""
    lows: Vectors
    """(rows, capacity)"""
    counts: Indices
    """(rows,) -1 where the room was too small or a guess was wrong."""
    bounds: Vectors
    """(rows,) upper bounds on the items that were left out."""


@njit(cache=True, nogil=True)
def error_of(margins: Margins, row: int, tile: int) -> float:
    """Return the bound on the error of a row's first-pass scores in a tile."""
    error: float = (
        margins.of_norm[row] * margins.tile_norms[tile]
        + margins.of_lost[row] * margins.tile_lost[tile]
        + margins.flat[row]
    )
    return error


# Without NaN, the loop for minimum and maximum is vectorized.
@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def reached_by(numbers: npt.NDArray[Any], k: int) -> Any:  # noqa: ANN401
    """Return a number that k numbers of the array reach, and k + 1 do not unless they are equal. No NaN is allowed.

    It is found by bisection with vectorized counts, about ten for 900 numbers. A partition would move data.
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
    """Return how many numbers are at or above the bound."""
    count = np.int32(0)
    for place in range(len(numbers)):
        count += np.int32(numbers[place] >= bound)
    return int(count)


@njit(cache=True, nogil=True)
def drop_below(found: Candidates, margins: Margins, row: int, rank: int) -> None:
    """Raise a row's bound to its `rank`-th largest low, and drop candidates that cannot exceed it, in place."""
    columns, lows, count = found.columns[row], found.lows[row], found.counts[row]
    bound = max(reached_by(lows[:count], rank), found.bounds[row])
    kept = 0
    for place in range(count):
        column, low = columns[place], lows[place]
        columns[kept], lows[kept] = column, low
        # Without a branch, because the CPU could not predict it.
        kept += int(low + 2 * error_of(margins, row, column // TILE) >= bound)
    found.counts[row], found.bounds[row] = kept, bound


@njit(cache=True, nogil=True)
def guess_bounds(found: Candidates, margins: Margins, rank: int) -> None:
    """Raise each row's bound to its `rank`-th largest low where it has so many. `settle` checks the guess."""
    for row in range(len(found.counts)):
        if found.counts[row] >= rank:
            drop_below(found, margins, row, rank)


@njit(cache=True, nogil=True)
def gather(scores: Tile, number: int, lowest: float, k: int, rank: int, margins: Margins, found: Candidates) -> None:
    """Add the items of tile `number` that can exceed a row's bound to its candidates.

    Args:
        scores: (rows, width) int32 or float32, width a multiple of 64. Excluded items are below `lowest`.
        rank: if not 0, a row without a bound starts with a guess: the score that this many of the tile reach.
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
        # Conversion truncates towards zero.
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
