"""Machine-code loops of the fast top-k: gather what may be among the best of a tile of scores, settle it in float64.

A score is read as its *key*: the upper 16 bits of the float32 (a bfloat16), turned so that int16 order is the order of
the numbers. 32 keys are compared in one instruction, so looking through a tile costs a third of computing it.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from pipeline_tasks.top_k import Indices, Scores, Vectors

Columns = npt.NDArray[np.int32]
Keys = npt.NDArray[np.int16]

CHUNK = 64
"""Keys that are looked at together: one comparison in front tells whether any of them is wanted."""
HIDDEN = -128
"""The upper half of -inf: what an excluded item scores."""
LOWEST = -32_640
"""Above the key of -inf, not above that of any number."""


@njit(cache=True, nogil=True)
def value_of(key: np.int16) -> np.float32:
    """Return the number (float32) whose key it is."""
    bits = np.empty(1, np.uint32)
    bits[0] = np.uint32(np.uint16(key ^ ((key >> np.int16(15)) & np.int16(0x7FFF)))) << np.uint32(16)
    number: np.float32 = bits.view(np.float32)[0]
    return number


@njit(cache=True, nogil=True)
def key_at_most(value: np.float32) -> np.int16:
    """Return the largest key whose number is not above `value` (float32)."""
    number = np.empty(1, np.float32)
    number[0] = value
    bits = np.int16(np.uint16(number.view(np.uint32)[0] >> np.uint32(16)))
    key = np.int16(bits ^ ((bits >> np.int16(15)) & np.int16(0x7FFF)))
    return key if value_of(key) <= value else np.int16(key - 1)


@njit(cache=True, nogil=True)
def kth_largest(keys: Keys, k: int) -> np.int16:
    """Return the k-th largest of int16 `keys`: 16 counts, each vectorized, where a partition would move data."""
    low, high = -32_768, 32_767
    while low < high:
        middle = (low + high + 1) >> 1
        bound, count = np.int16(middle), 0
        for place in range(len(keys)):
            if keys[place] >= bound:
                count += 1
        if count >= k:
            low = middle
        else:
            high = middle - 1
    return np.int16(low)


@njit(cache=True, nogil=True)
def keep_best(
    columns: Columns, keys: Keys, count: int, k: int, margin: np.float32, rounding: float
) -> tuple[int, np.int16]:
    """Drop in place what cannot be among the k best of one row; return how many stay, and the bound they reached.

    A first-pass score is off by margin / 2 at most, and then rounded by `rounding` of its size; so is the k-th best's.
    2 % are added for the rounding of this very sum.
    """
    best = value_of(kth_largest(keys[:count], k))
    bound = key_at_most(np.float32(best - np.float32(1.02) * (margin + 2 * rounding * abs(best))))
    kept = 0
    for place in range(count):
        if keys[place] >= bound:
            columns[kept], keys[kept] = columns[place], keys[place]
            kept += 1
    return kept, bound


@njit(cache=True, nogil=True)
def gather(
    tile: Keys,
    first: int,
    k: int,
    margins: Vectors,
    rounding: float,
    columns: Columns,
    keys: Keys,
    counts: Indices,
    bounds: Keys,
) -> None:
    """Add to each row's candidates what of its tile reaches its bound; a row that overflows gets the count -1.

    Args:
        tile: (rows, width) int16, the upper halves of the scores of items first, first + 1, ….
        margins: (rows,) float32. columns, keys: (rows, capacity) int32 and int16, filled to counts (rows,).
        bounds: (rows,) int16, raised as better candidates come.
    """
    rows, width = tile.shape
    capacity = columns.shape[1]
    for row in range(rows):
        count, bound, scores = counts[row], bounds[row], tile[row]
        for start in range(0, width, CHUNK):
            if count < 0:
                break
            chunk = scores[start : start + CHUNK]
            # A negative number's upper half is a negative int16: above a bound of 0 no key needs to be turned.
            if bound >= 0:
                any_reaches = np.uint8(0)
                for place in range(len(chunk)):
                    any_reaches |= np.uint8(chunk[place] >= bound)
                if any_reaches == 0:
                    continue
            for place in range(len(chunk)):
                key = chunk[place]
                if key < 0:
                    key = np.int16(key ^ ((key >> np.int16(15)) & np.int16(0x7FFF)))
                if key < bound:
                    continue
                if count == capacity:
                    count, bound = keep_best(columns[row], keys[row], count, k, margins[row], rounding)
                    if count > capacity // 2:
                        count = -1
                        break
                    if key < bound:
                        continue
                columns[row, count], keys[row, count] = first + start + place, key
                count += 1
        counts[row], bounds[row] = count, bound


@njit(cache=True, nogil=True)
def dot(user: Vectors, item: Vectors) -> float:
    """Return the float64 dot product in the order of additions of `dot_products`, to the bit.

    128 numbers at a time, and among them as numpy's pairwise sum adds: eight sums side by side, then what is left over.
    No recursion: numba's cached code of a recursive function crashes when it is loaded again.
    """
    width = len(user)
    total = 0.0
    for first in range(0, width, 128):
        last = min(first + 128, width)
        rest = first + (last - first) // 8 * 8
        a = b = c = d = e = f = g = h = 0.0
        for place in range(first, rest, 8):
            a += np.float64(user[place]) * np.float64(item[place])
            b += np.float64(user[place + 1]) * np.float64(item[place + 1])
            c += np.float64(user[place + 2]) * np.float64(item[place + 2])
            d += np.float64(user[place + 3]) * np.float64(item[place + 3])
            e += np.float64(user[place + 4]) * np.float64(item[place + 4])
            f += np.float64(user[place + 5]) * np.float64(item[place + 5])
            g += np.float64(user[place + 6]) * np.float64(item[place + 6])
            h += np.float64(user[place + 7]) * np.float64(item[place + 7])
        part = ((a + b) + (c + d)) + ((e + f) + (g + h))
        for place in range(rest, last):
            part += np.float64(user[place]) * np.float64(item[place])
        total += part
    return total


@njit(cache=True, nogil=True)
def settle(
    users: Vectors,
    items: Vectors,
    k: int,
    margins: Vectors,
    rounding: float,
    columns: Columns,
    keys: Keys,
    counts: Indices,
    scores: Scores,
) -> None:
    """Leave each row's k best at the front of `columns`, best first and ties by index, with float64 `scores`.

    Rows that overflowed (count -1) are left as they are.
    """
    for row in range(len(users)):
        count = counts[row]
        if count > k:
            count, _ = keep_best(columns[row], keys[row], count, k, margins[row], rounding)
        if count < 0:
            continue
        ascending = np.sort(columns[row, :count])
        exact = np.empty(count, np.float64)
        for place in range(count):
            exact[place] = dot(users[row], items[ascending[place]])
        order = np.argsort(-exact, kind="mergesort")
        counts[row] = min(k, count)
        for rank in range(counts[row]):
            columns[row, rank], scores[row, rank] = ascending[order[rank]], exact[order[rank]]
