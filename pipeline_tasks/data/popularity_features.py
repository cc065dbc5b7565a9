"""Popularity of each item before a point in time, over several horizons. It exists for cold and warm items alike."""

from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.times import DAY

HORIZON_SHARES: Final = (1 / 56, 1 / 14, 1 / 4, 1.0)
"""Horizons as shares of the log's span. For a log of a year: about a week, a month, a quarter and the year."""


def choose_horizons(log: Interactions) -> list[int]:
    """Return horizons in microseconds for the span of `log`; none where the log spans a day or less."""
    span = int(log.times.max() - log.times.min()) if len(log.times) else 0
    return [max(DAY, int(span * share)) for share in HORIZON_SHARES] if span > DAY else []


class PopularityFeatures:
    """Counts of a log's events that give the features of every item at any point in time."""

    def __init__(self, log: Interactions, n_items: int, horizons: list[int]) -> None:
        order = np.argsort(log.times, kind="stable")
        self.items, self.times = log.items[order], log.times[order]
        self.n_items, self.horizons = n_items, horizons

    def at(self, time: int) -> Floats:
        """Return (items, horizons): log of the count before `time` (exclusive) over the mean count, both plus 1."""
        stop = int(np.searchsorted(self.times, time, side="left"))
        levels = np.zeros((self.n_items, len(self.horizons)), dtype=np.float32)
        for column, horizon in enumerate(self.horizons):
            start = int(np.searchsorted(self.times, time - horizon, side="left"))
            counts = np.bincount(self.items[start:stop], minlength=self.n_items)
            levels[:, column] = np.log((counts + 1) / (counts.mean() + 1))
        return levels


def bucket_starts(log: Interactions, buckets: int) -> Integers:
    """Return the starts of equal time buckets over the log.

    Features are computed once for each bucket, not for each event.
    """
    if not len(log.times):
        return np.zeros(1, dtype=np.int64)
    first, last = int(log.times.min()), int(log.times.max())
    return np.linspace(first, last + 1, buckets + 1)[:-1].astype(np.int64)
