"""Machine-code loops of the fast top-k that rank the candidates: first in float32, then the rest in float64.

Of 100,000 items int8 leaves about 320 candidates for a top-100, and float32 at most 101. Both passes take 23 us per
user; float64 alone took 31.
"""

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from pipeline_tasks.topk.arrays import Scores, Vectors
from pipeline_tasks.topk.select_kernels import Candidates, Columns, Margins, drop_below, prefetch, reached_by

_AHEAD: Final = 6
"""Items to prefetch ahead of the one that is multiplied."""


def _type_sum(typing: Any, user: Any, item: Any, first: Any, last: Any) -> Any:  # noqa: ANN401
    """Return the sum of user[i] * item[i] over first <= i < last, added as ((a+b)+(c+d))+((e+f)+(g+h)).

    The range must be a multiple of eight long. Written by hand, because LLVM does not vectorize eight sums in eight
    variables (89 ns instead of 24 for 128 numbers).
    """
    return types.float64(user, item, types.intp, types.intp), _emit_sum


_sum_of_eights: Any = intrinsic(_type_sum)


@njit(cache=True, nogil=True)
def dot(user: Vectors, item: Vectors) -> float:
    """Return the float64 dot product of contiguous vectors, with the order of additions of `dot_products`.

    It takes 128 numbers at a time and adds them like numpy's pairwise sum: eight parallel sums, then the remainder.
    There is no recursion, because numba's cached code of a recursive function crashes when it is loaded again.
    """
    width = len(user)
    total = 0.0
    for first in range(0, width, 128):
        last = min(first + 128, width)
        rest = first + (last - first) // 8 * 8
        part = _sum_of_eights(user, item, first, rest)
        for place in range(rest, last):
            part += np.float64(user[place]) * np.float64(item[place])
        total += part
    return total


def _emit_sum(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
    eight = ir.VectorType(ir.DoubleType(), 8)
    sums = cgutils.alloca_once_value(builder, ir.Constant(eight, [0.0] * 8))  # type: ignore[no-untyped-call]
    pointers = [context.make_array(signature.args[at])(context, builder, arguments[at]).data for at in (0, 1)]
    step = ir.Constant(arguments[2].type, 8)
    with cgutils.for_range_slice(builder, arguments[2], arguments[3], step, arguments[2].type) as (place, _):
        user, item = (_load_eight(builder, builder.gep(pointer, [place]), eight) for pointer in pointers)
        builder.store(builder.fadd(builder.load(sums), builder.fmul(user, item)), sums)
    total = builder.load(sums)
    parts = [builder.extract_element(total, ir.Constant(ir.IntType(32), lane)) for lane in range(8)]
    while len(parts) > 1:
        parts = [builder.fadd(left, right) for left, right in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def _load_eight(builder: Any, pointer: Any, eight: ir.VectorType) -> Any:  # noqa: ANN401
    numbers = builder.load(builder.bitcast(pointer, ir.VectorType(ir.FloatType(), 8).as_pointer()))
    numbers.align = 4
    return builder.fpext(numbers, eight)


@njit(cache=True, nogil=True)
def settle(
    users: Vectors, items: Vectors, order: Columns, k: int, margins: Margins, found: Candidates, scores: Scores
) -> None:
    """Put each row's k best items at the front of `columns`, best first, ties by index, with float64 `scores`.

    Rows without a proof get the count -1.

    Args:
        users: (rows, d). items: (n, d), unrounded. order: (n,) the item at each place. scores: (rows, k), output.
    """
    exact = np.empty(found.columns.shape[1], np.float64)
    for row in range(len(users)):
        if found.counts[row] >= 0:
            _prove(margins, found, row, k)
        if found.counts[row] < 0:
            continue
        user, columns, lows = users[row], found.columns[row], found.lows[row]
        count = _drop_by_float32(user, items, order, columns[: found.counts[row]], lows, k, 2 * margins.of_float32[row])
        for place in range(count):
            exact[place] = dot(user, items[columns[place]])
        found.counts[row] = rank_best(columns[:count], exact[:count], k, scores[row])


@njit(cache=True, nogil=True)
def _prove(margins: Margins, found: Candidates, row: int, k: int) -> None:
    """Drop candidates that cannot be among the row's k best. If its guessed bound was wrong, its count becomes -1."""
    guessed = found.bounds[row]
    if found.counts[row] >= k:
        found.bounds[row] = -np.inf
        drop_below(found, margins, row, k)
    if guessed > found.bounds[row] or (guessed > -np.inf and found.counts[row] < k):
        found.counts[row] = -1


# The compiler may reorder the sum, because the bound holds for any order.
@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _float32_dot(user: Vectors, item: Vectors) -> np.float32:
    total = np.float32(0)
    for place in range(len(user)):
        total += user[place] * item[place]
    return total


@njit(cache=True, nogil=True)
def _drop_by_float32(
    user: Vectors, items: Vectors, order: Columns, columns: Columns, products: Vectors, k: int, apart: float
) -> int:
    """Replace places in `columns` by items, drop candidates by their float32 product, and return how many are left.

    Items are dropped if their product is more than `apart` below the k-th best. The others are then in the cache for
    the float64 pass.

    Args:
        products: working memory of the length of `columns`.
    """
    count = len(columns)
    for place in range(count):
        prefetch(items, order[columns[min(place + _AHEAD, count - 1)]])
        columns[place] = order[columns[place]]
        products[place] = _float32_dot(user, items[columns[place]])
    if count <= k:
        return count
    bound = np.float64(reached_by(products[:count], k)) - apart
    kept = 0
    for place in range(count):
        column = columns[place]
        columns[kept] = column
        kept += int(products[place] >= bound)
    return kept


@njit(cache=True, nogil=True)
def rank_best(columns: Columns, exact: Scores, k: int, scores: Scores) -> int:
    """Put the k best at the front of `columns` and `scores`, best first, ties by index. Return their number."""
    by_index = np.argsort(columns)
    ranked = by_index[np.argsort(-exact[by_index], kind="mergesort")][:k]
    best = columns[ranked]
    columns[: len(best)], scores[: len(best)] = best, exact[ranked]
    return len(best)
