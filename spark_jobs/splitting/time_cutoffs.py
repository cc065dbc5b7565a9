"""The two cut-offs in time that part the events as near to 6:2:2 as their times allow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Final

from pipeline_tasks.time_units import DAY, SECOND

TRAIN_SHARE: Final = (6, 10)
VALIDATION_SHARE: Final = (8, 10)

Counts = Callable[[int, int, int], Mapping[int, int]]
"""(from, to, width) in epoch microseconds -> events of every span of `width` that has some, by the span's start."""


class TooFewEventsError(ValueError):
    """The window cannot be split into three parts."""


@dataclass(frozen=True)
class Cutoffs:
    """Train is ts <= train_end, validation train_end < ts <= validation_end, test the rest.

    Events of one moment (an invoice's lines, a day without times) stay together: a cut-off is the last microsecond
    before them or their own moment.
    """

    train_end: datetime
    validation_end: datetime
    train: int
    validation: int
    test: int
    train_end_ties: int = 1
    """Events of the moment that holds the first event after 60 %: no cut-off can lie between them."""
    validation_end_ties: int = 1

    def shares(self) -> str:
        """Return how the events are shared out, and which moments decide it."""
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
    """A place at which the events can be cut: `before` of them are at `end` or earlier."""

    end: int
    before: int
    ties: int


def find_cutoffs(per_day: Mapping[int, int], counts: Counts) -> Cutoffs:
    """Return the cut-offs nearest to 6:2:2 that the times allow, each beside the moment that holds 60 % or 80 %.

    At most 86,400 counts are asked for at a time, then a second's moments.

    `per_day` counts the events of each day, by its first microsecond.

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
            f"{_format_time(_as_time(tied.end))}. Too many share one moment: map the time of day in events.columns.ts, "
            f"choose a longer window (--window-days), or --strategy leave_one_out"
        )
    train, validation = min(pairs, key=lambda pair: _distance(pair[0].before, pair[1].before, total))
    parts = (train.before, validation.before - train.before, total - validation.before)
    return Cutoffs(_as_time(train.end), _as_time(validation.end), *parts, train.ties, validation.ties)


def _distance(train: int, both: int, total: int) -> tuple[int, int]:
    """Return how far the parts are from 6:2:2: the part that is off most, then all parts together."""
    off = [abs(10 * train - 6 * total), abs(10 * (both - train) - 2 * total), abs(10 * (total - both) - 2 * total)]
    return max(off), sum(off)


def _around_rank(per_day: Mapping[int, int], counts: Counts, rank: int) -> tuple[_Cut, _Cut]:
    """Return the cuts before and after the moment of the event at the 0-based rank."""
    day, earlier, _ = _span_of(per_day, rank, 0)
    second, earlier, _ = _span_of(counts(day, day + DAY, SECOND), rank, earlier)
    time, earlier, ties = _span_of(counts(second, second + SECOND, 1), rank, earlier)
    return _Cut(time - 1, earlier, ties), _Cut(time, earlier + ties, ties)


def _span_of(spans: Mapping[int, int], rank: int, earlier: int) -> tuple[int, int, int]:
    """Return the span in which the event of the rank lies, how many events lie before the span, and how many in it."""
    for start in sorted(spans):
        if rank < earlier + spans[start]:
            return start, earlier, spans[start]
        earlier += spans[start]
    raise TooFewEventsError(f"rank {rank} lies beyond the {earlier} events counted: events changed while being split")


def _as_time(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def _format_time(end: datetime) -> str:
    """Return the moment at which a cut-off lies, also where it is a microsecond earlier, to the second."""
    return f"{end + timedelta(microseconds=1):%Y-%m-%d %H:%M:%S}"
