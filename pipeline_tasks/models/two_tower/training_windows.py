"""Cuts histories into windows, and draws the targets of each position anew for every epoch."""

import numpy as np

from pipeline_tasks.data.interactions import Floats, Integers, Interactions


def gap_buckets(log: Interactions, buckets: int) -> Integers:
    """Return (m,) log2 buckets of the seconds since the previous event; 0 for the first event and for no gap."""
    gaps = np.diff(log.times, prepend=log.times[:1]) // 1_000_000
    starts = log.offsets[:-1][log.lengths > 0]
    gaps[starts] = 0
    level = np.log2(np.maximum(gaps, 0) + 1).astype(np.int64) // 2 + (gaps > 0)
    return np.asarray(np.minimum(level, buckets - 1), dtype=np.int64)


def cut_windows(log: Interactions, length: int, rng: np.random.Generator, shortest: int = 2) -> Integers:
    """Cut every history of `shortest` events or more into consecutive windows at a random phase: (windows, length)."""
    rows = np.flatnonzero(log.lengths >= shortest)
    sizes, starts = log.lengths[rows], log.offsets[rows]
    phase = np.where(sizes > length, rng.integers(0, length, len(rows)), 0)
    counts = -(-(sizes + phase) // length)
    row = np.repeat(np.arange(len(rows)), counts)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    first = np.maximum(number * length - phase[row], 0)
    last = np.minimum((number + 1) * length - phase[row], sizes[row])
    position = first[:, None] + np.arange(length)
    return np.where(position < last[:, None], starts[row][:, None] + position, -1)


def last_windows(log: Interactions, length: int) -> Integers:
    """Return (sequences, length): the last events of each sequence, left-aligned, -1 beyond them."""
    sizes = np.minimum(log.lengths, length)
    position = np.arange(length)
    return np.where(position < sizes[:, None], (log.offsets[1:] - sizes)[:, None] + position, -1)


def batch_windows(windows: Integers, positions: int, rng: np.random.Generator) -> list[Integers]:
    """Return `windows` (n, length) in shuffled batches of similar length, of at most `positions` positions each.

    Batches have few shapes, because a CPU's bfloat16 products compile code for each new one (20 ms): lengths are
    rounded up, and where there are several batches, each is filled up with empty windows (-1).
    """
    windows = windows[rng.permutation(len(windows))]
    sizes = _rounded_up((windows >= 0).sum(axis=1), windows.shape[1])
    order = np.argsort(sizes, kind="stable")
    windows, sizes = windows[order], sizes[order]
    cuts, start = [], 0
    while start < len(windows):
        stop = start + 1
        while stop < len(windows) and (stop + 1 - start) * sizes[stop] <= positions:
            stop += 1
        cuts.append((start, stop))
        start = stop
    batches = [windows[start:stop, : sizes[stop - 1]] for start, stop in cuts]
    if len(batches) > 1:
        batches = [_filled_up(batch, positions // batch.shape[1]) for batch in batches]
    return [batches[number] for number in rng.permutation(len(batches))]


def _rounded_up(sizes: Integers, longest: int) -> Integers:
    """Return the next of 1, 2, 3, 4, 6, 8, 12, 16, 24, … for each size, at most `longest`."""
    power = 2 ** np.ceil(np.log2(np.maximum(sizes, 1))).astype(np.int64)
    between = power * 3 // 4
    return np.minimum(np.where((sizes <= between) & (power > 2), between, power), longest)


def _filled_up(batch: Integers, count: int) -> Integers:
    """Return the batch (n, length) with empty windows after it, up to `count` windows."""
    return np.pad(batch, ((0, max(0, count - len(batch))), (0, 0)), constant_values=-1)


class TargetDraw:
    """Draws targets for positions: events of the same history after the position's own basket, within a reach."""

    def __init__(self, log: Interactions, reach: int, type_weights: Floats, repeat_weight: float) -> None:
        ends = log.offsets[1:][log.rows]
        index = np.arange(len(log.items))
        # The lines of a basket share one timestamp and have no order, so none is the target of another.
        later = np.flatnonzero(np.diff(log.times, append=-1) != 0) + 1
        step_end = later[np.searchsorted(later, index, side="right")] if len(index) else index
        self.start = np.minimum(step_end, ends)
        self.room = np.minimum(self.start + reach, ends) - self.start
        self.items, self.reach = log.items, reach
        self.weights = type_weights[log.types] * np.where(_first_of_its_item(log), 1.0, repeat_weight)

    def draw(self, events: Integers, answers: int, rng: np.random.Generator) -> tuple[Integers, Floats]:
        """Return (n, answers) items and weights for the positions `events` (n,); weight 0 if nothing follows."""
        return self.draw_from(self.start[events], self.room[events], answers, rng)

    def draw_from(
        self, starts: Integers, rooms: Integers, answers: int, rng: np.random.Generator
    ) -> tuple[Integers, Floats]:
        """Return (n, answers) items and weights from n ranges of the log: rooms[i] events from starts[i] on."""
        room = rooms[:, None]
        chosen = starts[:, None] + (rng.random((len(starts), answers)) * room).astype(np.int64)
        chosen = np.where(room > 0, chosen, 0)
        weights = np.where(room > 0, self.weights[chosen], 0.0)
        return self.items[chosen], weights.astype(np.float32)


def _first_of_its_item(log: Interactions) -> Integers:
    pair = log.rows * (int(log.items.max(initial=0)) + 1) + log.items
    flags = np.zeros(len(pair), dtype=np.int64)
    flags[np.unique(pair, return_index=True)[1]] = 1
    return flags
