"""The top-k of large tables on a GPU: candidates from a bfloat16 product, and exact scores in float64.

For some thousand users at a time, in four steps. The best scores of groups of 16 items in a random sample give a cut.
The groups of all items that reach the cut are listed; no other score is written. The best of them are scored again in
float32, and the best of those in float64. If the rest is not proven to be below the k-th best, the user is left to the
dense pass. Not measured on a GPU yet.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import torch

from pipeline_tasks.topk import group_kernels as kernels
from pipeline_tasks.topk.arrays import Block, Exclusions, Indices, MappedItems, Scores, Vectors, mapped
from pipeline_tasks.topk.gpu_items import GpuItems, filled_up, gpu_items, ordered_dots

_USERS: Final = 8_192
"""Users of a block."""
_SHARE: Final = 32
"""One in this many items is in the sample."""
_SLACK: Final = 28
"""Candidates beyond k that are scored in float64."""
_RESCORED_USERS: Final = 512
"""Users whose candidates are scored in float64 at a time: 64 MB at k = 100, d = 128."""
_SPREAD: Final = 64
"""Parts of the items that are multiplied in parallel for each 128 users."""
_ITEMS: Final = kernels.TILE_ITEMS // kernels.GROUPS
"""Items of a group."""


@dataclass(frozen=True)
class _Cut:
    """The candidate groups of a block of users."""

    listed: torch.Tensor
    """(n, m) int32 group numbers, -1 for an empty place."""
    below: torch.Tensor
    """(n,) float64 upper bounds on the bfloat16 scores of items that are not listed."""


def prepare_on(items: Vectors, device: str) -> GpuItems:
    """Return the items on the device. Mapped items are prepared only once in a process."""
    key = mapped(items)
    return _prepare(items, device) if key is None else _prepare_mapped(key, device)


@lru_cache(maxsize=1)
def _prepare_mapped(key: MappedItems, device: str) -> GpuItems:
    return _prepare(key.items, device)


def _prepare(items: Vectors, device: str) -> GpuItems:
    return gpu_items(items, device, _SHARE, kernels.TILE_ITEMS, kernels.STEP)


def gpu_top_k(users: Vectors, k: int, banned: Exclusions | None, prepared: GpuItems) -> Iterator[Block]:
    """Yield the best items of some thousand users at a time, in order, as `fast_top_k` does.

    GPU memory: 6 bytes per number of the items, and about 60 KB for each of 8,192 users at k = 100 and d = 128.
    """
    k, device = min(k, len(prepared.exact)), prepared.exact.device
    for first in range(0, len(users), _USERS):
        ours = torch.tensor(np.ascontiguousarray(users[first : first + _USERS]), device=device)
        empty = np.zeros(0, np.int64)
        rows, hidden = banned.block(first, first + len(ours)) if banned else (empty, empty)
        pairs = torch.from_numpy(rows).to(device), torch.from_numpy(hidden).to(device)
        counts, columns, scores = _best_of_block(ours, prepared, k, pairs)
        filled = np.arange(k) < counts[:, None]
        yield first, counts, columns[filled], scores[filled]


def _best_of_block(
    users: torch.Tensor, items: GpuItems, k: int, hidden: tuple[torch.Tensor, torch.Tensor]
) -> tuple[Indices, Indices, Scores]:
    rough, fine = items.errors(users)
    halves = filled_up(users, kernels.TILE_USERS, kernels.STEP)
    wanted = k + torch.bincount(hidden[0], minlength=len(users))
    cut = _cut(halves, items, wanted, rough, k)
    scores = _scores(users, items, cut.listed)
    _hide(scores, cut.listed, hidden)
    values, places = scores.topk(min(k + _SLACK, scores.shape[1]), dim=1)
    kth = values[:, min(k, values.shape[1]) - 1].double()
    proven = (cut.below + rough < kth - fine) | (cut.below == -math.inf)
    # No item within the rounding of the k-th best comes after the last candidate.
    proven &= (values[:, -1].double() < kth - 2 * fine) | (values[:, -1] == -math.inf) | _all_taken(values, scores)
    proven &= (kth > -math.inf) & (values.shape[1] >= k)
    columns, exact = _exact_best(users, items, _item_of(cut.listed, places), values, k)
    counts = torch.where(proven, k, -1).cpu().numpy().astype(np.int64)
    return counts, columns, exact


def _all_taken(values: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    return torch.full((len(values),), values.shape[1] == scores.shape[1], device=values.device)


def _cut(halves: torch.Tensor, items: GpuItems, wanted: torch.Tensor, rough: torch.Tensor, k: int) -> _Cut:
    """Return the groups that may hold one of the `wanted` best items: k plus the excluded ones."""
    guessed = _guessed(halves, items, wanted)
    listed, maxima, counts = _listed(halves, items, guessed, 8 * k + 512)
    n = len(wanted)
    best, places = maxima[:n].topk(min(2 * k + 65, maxima.shape[1]), dim=1)
    # So many groups each have an item at least as good; excluded items are included in the count.
    reached = best.gather(1, (wanted[:, None] - 1).clamp(max=best.shape[1] - 1))[:, 0].double() - 2 * rough
    reached = reached.masked_fill(wanted > best.shape[1], -math.inf)
    dropped = best[:, -1].double() if best.shape[1] < maxima.shape[1] else torch.full_like(rough, -math.inf)
    below = torch.maximum(torch.maximum(guessed[:n].double(), dropped), reached)
    kept = listed[:n].gather(1, places).masked_fill_((best.double() < below[:, None]) | (best == -math.inf), -1)
    # Groups that found no room may hold any score.
    below = below.masked_fill(counts[:n] > listed.shape[1], math.inf)
    return _Cut(kept.contiguous(), below)


def _guessed(halves: torch.Tensor, items: GpuItems, wanted: torch.Tensor) -> torch.Tensor:
    """Return (users,) float32 scores that more than `wanted` items probably reach, estimated from the sample."""
    tiles = len(items.sample) // kernels.TILE_ITEMS
    maxima = torch.empty(len(halves), tiles * kernels.GROUPS, device=halves.device)
    grid, each = _grid(halves, tiles)
    kernels.write_maxima[grid](
        halves,
        items.sample,
        maxima,
        tiles,
        each,
        WIDTH=halves.shape[1],
        STEP=min(kernels.STEP, halves.shape[1]),
        USERS=kernels.TILE_USERS,
        ITEMS=kernels.TILE_ITEMS,
        GROUPS=kernels.GROUPS,
    )
    expected = wanted * (items.sampled / len(items.exact))
    # Four standard deviations (Poisson) plus four; about one user in a hundred thousand has more in the sample.
    ranks = (expected + 4 * expected.sqrt() + 4).ceil().long()
    enough = ranks <= maxima.shape[1]
    best = maxima.topk(int(ranks.clamp(max=maxima.shape[1]).max()), dim=1).values[: len(wanted)]
    guessed = torch.full((len(halves),), math.inf, device=halves.device)
    chosen = best.gather(1, (ranks.clamp(max=best.shape[1]) - 1)[:, None])[:, 0]
    guessed[: len(wanted)] = torch.where(enough, chosen, -math.inf)
    return guessed


def _listed(
    halves: torch.Tensor, items: GpuItems, cuts: torch.Tensor, capacity: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (users, capacity) groups, (users, capacity) their best scores, and (users,) the number of groups."""
    tiles = len(items.halves) // kernels.TILE_ITEMS
    capacity = min(capacity, tiles * kernels.GROUPS)
    counts = torch.zeros(len(halves), dtype=torch.int32, device=halves.device)
    listed = torch.full((len(halves), capacity), -1, dtype=torch.int32, device=halves.device)
    maxima = torch.full((len(halves), capacity), -math.inf, device=halves.device)
    grid, each = _grid(halves, tiles)
    kernels.list_groups[grid](
        halves,
        items.halves,
        cuts,
        counts,
        listed,
        maxima,
        tiles,
        each,
        CAPACITY=capacity,
        WIDTH=halves.shape[1],
        STEP=min(kernels.STEP, halves.shape[1]),
        USERS=kernels.TILE_USERS,
        ITEMS=kernels.TILE_ITEMS,
        GROUPS=kernels.GROUPS,
    )
    return listed, maxima, counts


def _grid(halves: torch.Tensor, tiles: int) -> tuple[tuple[int, int], int]:
    """Return the grid of programs, and the number of tiles of each program."""
    each = -(-tiles // _SPREAD)
    return (len(halves) // kernels.TILE_USERS, -(-tiles // each)), each


def _scores(users: torch.Tensor, items: GpuItems, listed: torch.Tensor) -> torch.Tensor:
    """Return (users, groups x 16) float32 scores, -inf for places without an item."""
    slots = 8
    scores = torch.empty(len(users), listed.shape[1] * _ITEMS, device=users.device)
    kernels.score_groups[(len(users), -(-listed.shape[1] // slots))](
        users,
        items.exact,
        items.center,
        listed,
        scores,
        len(items.exact),
        users.shape[1],
        listed.shape[1],
        SLOTS=slots,
        ITEMS=kernels.TILE_ITEMS,
        GROUPS=kernels.GROUPS,
        STEP=32,
    )
    return scores


def _item_of(listed: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return the items at the given places of the scores of listed groups."""
    groups = listed.gather(1, places // _ITEMS).long()
    tile, group = groups // kernels.GROUPS, groups % kernels.GROUPS
    return tile * kernels.TILE_ITEMS + group + places % _ITEMS * kernels.GROUPS


def _hide(scores: torch.Tensor, listed: torch.Tensor, hidden: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Set the scores of excluded items to -inf, in place."""
    rows, items = hidden
    # In parts, so that the comparison takes 64 MB.
    for first in range(0, len(rows), max(1, 2**26 // listed.shape[1])):
        part = slice(first, first + max(1, 2**26 // listed.shape[1]))
        inner = items[part] % kernels.TILE_ITEMS
        group = items[part] // kernels.TILE_ITEMS * kernels.GROUPS + inner % kernels.GROUPS
        pair, slot = torch.nonzero(listed[rows[part]] == group[:, None], as_tuple=True)
        scores[rows[part][pair], slot * _ITEMS + inner[pair] // kernels.GROUPS] = -math.inf


def _exact_best(
    users: torch.Tensor, items: GpuItems, chosen: torch.Tensor, rough: torch.Tensor, k: int
) -> tuple[Indices, Scores]:
    """Return (n, k) items and float64 scores, best first and ties by index, of `chosen` (n, m)."""
    columns, scores = np.zeros((len(users), k), np.int64), np.zeros((len(users), k))
    for first in range(0, len(users), _RESCORED_USERS):
        part = slice(first, first + _RESCORED_USERS)
        there = rough[part] > -math.inf
        # A place without an item gets an arbitrary one, with the score -inf.
        by_index = torch.where(there, chosen[part], 2**40).sort(dim=1)
        there = there.gather(1, by_index.indices)
        indices = torch.where(there, by_index.values, 0)
        exact = ordered_dots(users[part], items.exact, indices).masked_fill(~there, -math.inf)
        best = exact.sort(dim=1, descending=True, stable=True)
        taken = best.indices[:, :k]
        columns[part, : taken.shape[1]] = indices.gather(1, taken).cpu().numpy()
        scores[part, : taken.shape[1]] = best.values[:, :k].cpu().numpy()
    return columns, scores
