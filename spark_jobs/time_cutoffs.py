"""The two moments at which 60 % and 80 % of the events have happened."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pipeline_tasks.moments import DAY, SECOND

TRAIN_SHARE: Final = (6, 10)
VALIDATION_SHARE: Final = (8, 10)

Counts = Callable[[int, int, int], Mapping[int, int]]
"""(from, to, width) in epoch microseconds -> events of every span of `width` that has some, by the span's start."""


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


def find_cutoffs(per_day: Mapping[int, int], counts: Counts) -> Cutoffs:
    """Return the exact cut-offs; at most 86,400 counts are asked for at a time, then a second's moments.

    `per_day` counts the events of each day, by its first microsecond.

    Raises:
        TooFewEventsError: a part would be empty.
    """
    total = sum(per_day.values())
    if total < 3:
        raise TooFewEventsError(f"{total} events cannot be split 6:2:2: choose a longer window (--window-days)")
    first, before_first = _at_rank(per_day, counts, total * TRAIN_SHARE[0] // TRAIN_SHARE[1])
    second, before_second = _at_rank(per_day, counts, total * VALIDATION_SHARE[0] // VALIDATION_SHARE[1])
    parts = (before_first, before_second - before_first, total - before_second)
    if min(parts) == 0:
        raise TooFewEventsError(
            f"a temporal split of {total} events gives parts of {parts}: too many share one "
            f"moment; choose a longer window (--window-days), or --strategy leave_one_out where there are no real times"
        )
    return Cutoffs(_before(first), _before(second), *parts)


def _at_rank(per_day: Mapping[int, int], counts: Counts, rank: int) -> tuple[int, int]:
    """Return the moment of the event at the 0-based rank, and how many events happened earlier."""
    day, earlier = _span_of(per_day, rank, 0)
    second, earlier = _span_of(counts(day, day + DAY, SECOND), rank, earlier)
    return _span_of(counts(second, second + SECOND, 1), rank, earlier)


def _span_of(spans: Mapping[int, int], rank: int, earlier: int) -> tuple[int, int]:
    """Return the span in which the event of the rank lies, and how many events lie before the span."""
    for start in sorted(spans):
        if rank < earlier + spans[start]:
            return start, earlier
        earlier += spans[start]
    raise TooFewEventsError(f"rank {rank} lies beyond the {earlier} events counted: events changed while being split")


def _before(moment: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment - 1)
