"""Statistics of each pair of user and item: number of events, first and last time."""

from dataclasses import dataclass

import numpy as np

from pipeline_tasks.data.interactions import Floats, Integers, Interactions, step_numbers


@dataclass(frozen=True)
class RepeatPairs:
    """p pairs of a sequence and one of its items, sorted by sequence and item."""

    rows: Integers
    items: Integers
    events: Integers
    steps: Integers
    """(p,) number of events, where events at one time (lines of one basket) count once."""
    first: Integers
    last: Integers
    """(p,) epoch microseconds."""
    sequence_steps: Integers
    sequence_last: Integers
    """(p,) steps and last time of the pair's sequence."""
    place: Integers
    """(events,) index of the pair of each event, in the order of `times`."""
    times: Integers
    types: Integers
    """(events,) time and type of each event."""

    def decayed(self, moment: int, half_life: float) -> Floats:
        """Return (p,) the number of events with exponential decay; `half_life` is in microseconds before `moment`."""
        shares = np.exp2(-(moment - self.times) / max(half_life, 1.0))
        return np.bincount(self.place, shares, minlength=len(self.rows)).astype(np.float32)

    def of_type(self, kind: int) -> Integers:
        """Return (p,) the number of events of one type."""
        return np.bincount(self.place[self.types == kind], minlength=len(self.rows))


def own_pairs(log: Interactions, n_items: int) -> RepeatPairs:
    """Return the pairs of a log with the statistics of each."""
    rows, steps = log.rows, step_numbers(log)
    keys, place = np.unique(rows * n_items + log.items, return_inverse=True)
    # An event starts a new step of its pair if the pair's previous event has another step.
    order = np.lexsort((steps, place))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(place[order]) != 0) | (np.diff(steps[order]) != 0)
    first, last = np.full(len(keys), np.iinfo(np.int64).max), np.zeros(len(keys), dtype=np.int64)
    np.minimum.at(first, place, log.times)
    np.maximum.at(last, place, log.times)
    begun = np.diff(steps, prepend=-1) != 0
    sequence_steps = np.bincount(rows[begun], minlength=len(log))
    sequence_last = np.zeros(len(log), dtype=np.int64)
    np.maximum.at(sequence_last, rows, log.times)
    owner = keys // n_items
    return RepeatPairs(
        owner,
        keys % n_items,
        np.bincount(place, minlength=len(keys)),
        np.bincount(place[order][new], minlength=len(keys)),
        first,
        last,
        sequence_steps[owner],
        sequence_last[owner],
        place,
        log.times,
        log.types,
    )


def filter_events(
    log: Interactions, n_items: int, types: tuple[int, ...], unless: tuple[int, ...] = ()
) -> Interactions:
    """Return the events of `types`, without those of pairs of user and item that have an event of `unless`."""
    keep = np.isin(log.types, types)
    if unless:
        keys = log.rows * n_items + log.items
        keep &= ~np.isin(keys, keys[np.isin(log.types, unless)])
    return log.only(keep)
