"""GPU kernels of the top-k in Triton. Scores stay in registers; only candidate groups of items are written.

Items are arranged in tiles. Group g of a tile has its items g, g + GROUPS, g + 2 GROUPS, … One thread holds their
scores in a tensor core's output, so their maximum needs no exchange between threads. Not measured on a GPU yet.
Triton's interpreter checks them on a CPU (tests/pipeline_tasks/topk/test_gpu_top_k.py).
"""

# ruff: noqa: ANN001, ANN201, ANN202, N803

from typing import Final

import triton
import triton.language as tl

TILE_USERS: Final = 128
TILE_ITEMS: Final = 128
GROUPS: Final = 8
"""Groups of a tile; a group has 16 items."""
STEP: Final = 256
"""Dimensions that are multiplied at a time. Users of at most this width are read only once."""


@triton.jit
def _maxima(ours, users, items, rows, tile, WIDTH: tl.constexpr, STEP: tl.constexpr, USERS: tl.constexpr,
            ITEMS: tl.constexpr, GROUPS: tl.constexpr):  # fmt: skip
    """Return (USERS, GROUPS): the best score of each group of a tile."""
    columns = (tile * ITEMS + tl.arange(0, ITEMS)).to(tl.int64)
    dims = tl.arange(0, STEP)
    scores = tl.dot(ours, tl.load(items + columns[None, :] * WIDTH + dims[:, None]))
    for start in tl.static_range(STEP, WIDTH, STEP):
        more = tl.load(users + rows[:, None] * WIDTH + (start + dims)[None, :])
        scores = tl.dot(more, tl.load(items + columns[None, :] * WIDTH + (start + dims)[:, None]), scores)
    return tl.max(tl.reshape(scores, (USERS, ITEMS // GROUPS, GROUPS)), axis=1)


@triton.jit
def write_maxima(users, items, maxima, n_tiles, tiles_each, WIDTH: tl.constexpr, STEP: tl.constexpr,
                 USERS: tl.constexpr, ITEMS: tl.constexpr, GROUPS: tl.constexpr):  # fmt: skip
    """Write (users, tiles x GROUPS) float32: the best score of every group, for a sample of the items."""
    rows = (tl.program_id(0) * USERS + tl.arange(0, USERS)).to(tl.int64)
    ours = tl.load(users + rows[:, None] * WIDTH + tl.arange(0, STEP)[None, :])
    first = tl.program_id(1) * tiles_each
    for tile in range(first, min(first + tiles_each, n_tiles)):
        best = _maxima(ours, users, items, rows, tile, WIDTH, STEP, USERS, ITEMS, GROUPS)
        groups = tile * GROUPS + tl.arange(0, GROUPS)
        tl.store(maxima + rows[:, None] * (n_tiles * GROUPS) + groups[None, :], best)


@triton.jit
def list_groups(users, items, cuts, counts, listed, maxima, n_tiles, tiles_each, CAPACITY: tl.constexpr,
                WIDTH: tl.constexpr, STEP: tl.constexpr, USERS: tl.constexpr, ITEMS: tl.constexpr,
                GROUPS: tl.constexpr):  # fmt: skip
    """Write (users, CAPACITY) int32 groups with a best score at or above the user's cut, and that score, unordered.

    `counts` (users,) int32 starts at 0 and may exceed CAPACITY. Groups beyond CAPACITY are left out.
    """
    rows = (tl.program_id(0) * USERS + tl.arange(0, USERS)).to(tl.int64)
    ours = tl.load(users + rows[:, None] * WIDTH + tl.arange(0, STEP)[None, :])
    cut = tl.load(cuts + rows)
    first = tl.program_id(1) * tiles_each
    for tile in range(first, min(first + tiles_each, n_tiles)):
        best = _maxima(ours, users, items, rows, tile, WIDTH, STEP, USERS, ITEMS, GROUPS)
        reaches = best >= cut[:, None]
        ones = reaches.to(tl.int32)
        total = tl.sum(ones, axis=1)
        base = tl.atomic_add(counts + rows, total, mask=total > 0)
        slots = base[:, None] + tl.cumsum(ones, axis=1) - ones
        kept = reaches & (slots < CAPACITY)
        places = rows[:, None] * CAPACITY + slots
        groups = tl.broadcast_to((tile * GROUPS + tl.arange(0, GROUPS))[None, :], (USERS, GROUPS))
        tl.store(listed + places, groups, mask=kept)
        tl.store(maxima + places, best, mask=kept)


@triton.jit
def score_groups(users, items, center, listed, scores, n_items, width, n_listed, SLOTS: tl.constexpr,
                 ITEMS: tl.constexpr, GROUPS: tl.constexpr, STEP: tl.constexpr):  # fmt: skip
    """Write (users, n_listed x 16) float32 scores of the items of listed groups, minus the mean; -inf without an item.

    A listed group of -1 is an empty place and is not read.
    """
    row = tl.program_id(0).to(tl.int64)
    slots = tl.program_id(1) * SLOTS + tl.arange(0, SLOTS)
    group = tl.load(listed + row * n_listed + slots, mask=slots < n_listed, other=-1)
    inner = tl.arange(0, ITEMS // GROUPS)
    item = ((group // GROUPS) * ITEMS + group % GROUPS)[:, None] + inner[None, :] * GROUPS
    wanted = (group >= 0)[:, None] & (item < n_items)
    total = tl.zeros((SLOTS, ITEMS // GROUPS), tl.float32)
    for start in range(0, width, STEP):
        dims = start + tl.arange(0, STEP)
        inside = dims < width
        user = tl.load(users + row * width + dims, mask=inside, other=0.0)
        mean = tl.load(center + dims, mask=inside, other=0.0)
        numbers = tl.load(
            items + item.to(tl.int64)[:, :, None] * width + dims[None, None, :],
            mask=wanted[:, :, None] & inside[None, None, :],
            other=0.0,
        )
        total += tl.sum((numbers - mean[None, None, :]) * user[None, None, :], axis=2)
    place = slots[:, None] * (ITEMS // GROUPS) + inner[None, :]
    target = scores + row * n_listed * (ITEMS // GROUPS) + place
    tl.store(target, tl.where(wanted, total, float("-inf")), mask=(slots < n_listed)[:, None])
