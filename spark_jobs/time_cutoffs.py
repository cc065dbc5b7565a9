"""The two moments at which 60 % and 80 % of the events have happened."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

TRAIN_SHARE: Final = (6, 10)
VALIDATION_SHARE: Final = (8, 10)
Moments = npt.NDArray[np.int64]
"""Epoch microseconds."""


class TooFewEventsError(ValueError):
    """The window cannot be split into three parts."""


@dataclass(frozen=True)
class Cutoffs:
    """Train is ts <= train_end, validation train_end < ts <= validation_end, test the rest.

    Both are the last microsecond before the event at which the next part begins, so that events of one moment (an
    invoice's lines) stay together: in the later part.
    """

    train_end: datetime
    validation_end: datetime
    train: int
    validation: int
    test: int


def find_cutoffs(per_day: Mapping[date, int], moments: Callable[[date], Moments]) -> Cutoffs:
    """Return the exact cut-offs, looking into only the two days in which they fall.

    `per_day` counts the events of each day; `moments(day)` returns the times of one day's events, in any order.

    Raises:
        TooFewEventsError: a part would be empty.
    """
    total = sum(per_day.values())
    if total < 3:
        raise TooFewEventsError(f"{total} events cannot be split 6:2:2: choose a longer window (--window-days)")
    first, before_first = _at_rank(per_day, moments, total * TRAIN_SHARE[0] // TRAIN_SHARE[1])
    second, before_second = _at_rank(per_day, moments, total * VALIDATION_SHARE[0] // VALIDATION_SHARE[1])
    parts = (before_first, before_second - before_first, total - before_second)
    if min(parts) == 0:
        raise TooFewEventsError(
            f"a temporal split of {total} events gives parts of {parts}: too many share one "
            f"moment; choose a longer window (--window-days), or --strategy leave_one_out where there are no real times"
        )
    return Cutoffs(_before(first), _before(second), *parts)


def _at_rank(per_day: Mapping[date, int], moments: Callable[[date], Moments], rank: int) -> tuple[int, int]:
    """Return the moment of the event at the 0-based rank, and how many events happened earlier."""
    earlier = 0
    for day in sorted(per_day):
        if rank < earlier + per_day[day]:
            times = np.sort(moments(day))
            moment = times[rank - earlier]
            return int(moment), earlier + int(np.searchsorted(times, moment, side="left"))
        earlier += per_day[day]
    raise TooFewEventsError(f"rank {rank} lies beyond the {earlier} events counted")


def _before(moment: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment - 1)
