"""The two cut-offs in time that split the events as near to 6:2:2 as their times allow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Final

from pipeline_tasks.times import DAY, SECOND

TRAIN_SHARE: Final = (6, 10)
VALIDATION_SHARE: Final = (8, 10)

Counts = Callable[[int, int, int], Mapping[int, int]]
"""(from, to, width) in epoch microseconds -> number of events by start of the span of `width`, without empty spans."""


class TooFewEventsError(ValueError):
    """The window cannot be split into three parts."""


@dataclass(frozen=True)
class Cutoffs:
    """Train is ts <= train_end, validation train_end < ts <= validation_end, test the rest.

    Events with the same time (the lines of an invoice, a day without times) stay together: a cut-off is either their
    time or the microsecond before it.
    """

    train_end: datetime
    validation_end: datetime
    train: int
    validation: int
    test: int
    train_end_ties: int = 1
    """Events that share the time of the first event after 60 %; no cut-off can lie between them."""
    validation_end_ties: int = 1

    def shares(self) -> str:
        """Return a text of the shares of the parts, and of the times that many events share."""
        total = self.train + self.validation + self.test
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        named = ", ".join(f"{name} {count / total:.1%}" for name, count in parts.items())
        ends = {
            _format_time(self.train_end): self.train_end_ties,
            _format_time(self.validation_end): self.validation_end_ties,
        }
        tied = " and ".join(f"{ties:,} events share {at}" for at, ties in ends.items() if ties > 1)
        return f"{named}, as {tied}" if tied else named


@dataclass(frozen=True)
class _Cut:
    """A possible cut: `before` events are at `end` or earlier, `ties` share the time next to the cut."""

    end: int
    before: int
    ties: int


def find_cutoffs(per_day: Mapping[int, int], counts: Counts) -> Cutoffs:
    """Return the cut-offs nearest to 6:2:2 that the times allow, next to the times of the events at 60 % and 80 %.

    `per_day` counts the events of each day, by its first microsecond. `counts` is called for a day in seconds, and then
    for a second in microseconds.

    Raises:
        TooFewEventsError: a part would be empty.
    """
    total = sum(per_day.values())
    if total < 3:
        raise TooFewEventsError(f"{total} events cannot be split 6:2:2: choose a longer window (--window-days)")
    first = _around_rank(per_day, counts, total * TRAIN_SHARE[0] // TRAIN_SHARE[1])
    second = _around_rank(per_day, counts, total * VALIDATION_SHARE[0] // VALIDATION_SHARE[1])
    pairs = [(one, other) for one, other in product(first, second) if 0 < one.before < other.before < total]
    if not pairs:
        tied = max((*first, *second), key=lambda cut: cut.ties)
        raise TooFewEventsError(
            f"a temporal split of {total:,} events leaves a part empty: {tied.ties:,} of them share "
            f"{_format_time(_as_time(tied.end))}. Too many events share one time: map the time of day in "
            f"events.columns.ts, choose a longer window (--window-days), or --strategy leave_one_out"
        )
    train, validation = min(pairs, key=lambda pair: _distance(pair[0].before, pair[1].before, total))
    parts = (train.before, validation.before - train.before, total - validation.before)
    return Cutoffs(_as_time(train.end), _as_time(validation.end), *parts, train.ties, validation.ties)


def _distance(train: int, both: int, total: int) -> tuple[int, int]:
    """Return the distance of the parts from 6:2:2: that of the most distant part, then the sum of all."""
    off = [abs(10 * train - 6 * total), abs(10 * (both - train) - 2 * total), abs(10 * (total - both) - 2 * total)]
    return max(off), sum(off)


def _around_rank(per_day: Mapping[int, int], counts: Counts, rank: int) -> tuple[_Cut, _Cut]:
    """Return the cuts before and after the time of the event at the 0-based rank."""
    day, earlier, _ = _span_of(per_day, rank, 0)
    second, earlier, _ = _span_of(counts(day, day + DAY, SECOND), rank, earlier)
    time, earlier, ties = _span_of(counts(second, second + SECOND, 1), rank, earlier)
    return _Cut(time - 1, earlier, ties), _Cut(time, earlier + ties, ties)


def _span_of(spans: Mapping[int, int], rank: int, earlier: int) -> tuple[int, int, int]:
    """Return the span that holds the event of the rank, the number of events before it, and the number in it."""
    for start in sorted(spans):
        if rank < earlier + spans[start]:
            return start, earlier, spans[start]
        earlier += spans[start]
    raise TooFewEventsError(f"rank {rank} lies beyond the {earlier} events counted: events changed while being split")


def _as_time(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def _format_time(end: datetime) -> str:
    """Return the time of a cut-off to the second, rounded up where the cut-off is a microsecond before it."""
    return f"{end + timedelta(microseconds=1):%Y-%m-%d %H:%M:%S}"
