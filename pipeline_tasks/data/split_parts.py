"""Train, validation and test as positions in the sequences. No strategy copies an event into two parts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np

from pipeline_tasks.data.interactions import DataExtent, Integers, Interactions
from pipeline_tasks.times import SECOND

Part = Literal["validation", "test"]


class FutureLeakError(ValueError):
    """A scorer was fitted on events of the part that it is to predict, or on later ones."""


@dataclass(frozen=True)
class Parts:
    """A split of `log`. Sequence i is train before train_stops[i], validation before validation_stops[i], then test."""

    log: Interactions
    train_stops: Integers
    validation_stops: Integers

    def known_before(self, part: Part) -> Interactions:
        """Return the events that may be known when `part` is predicted: train, and validation for test."""
        return self.log.before(self.train_stops if part == "validation" else self.validation_stops)

    def future(self, part: Part) -> Interactions:
        """Return the events of `part` itself, which are to be predicted."""
        if part == "validation":
            return self.log.between(self.train_stops, self.validation_stops)
        return self.log.between(self.validation_stops, self.log.lengths)


def split_parts(log: Interactions, split: dict[str, Any]) -> Parts:
    """Split `log` by a row of the table `splits`.

    temporal: at two global timestamps. leave_one_out: in sequences of three or more events the last event is test and
    the one before it validation. per_user: at 60 % and 80 % of each sequence.

    Raises:
        ValueError: the strategy is unknown.
    """
    lengths = log.lengths
    strategy = split["strategy"]
    if strategy == "temporal":
        return Parts(log, _stops(log, split["train_end"]), _stops(log, split["validation_end"]))
    if strategy == "leave_one_out":
        held = np.where(lengths >= 3, 1, 0)
        return Parts(log, lengths - 2 * held, lengths - held)
    if strategy == "per_user":
        return Parts(log, (lengths * 6) // 10, (lengths * 8) // 10)
    raise ValueError(f"split strategy {strategy!r} is unknown: use temporal, leave_one_out or per_user")


def microseconds(time: datetime) -> int:
    """Return the exact epoch microseconds of an aware datetime."""
    return round(time.timestamp() * SECOND)


def refuse_future(name: str, seen: DataExtent, allowed: Interactions) -> None:
    """Raise if the scorer `name` was fitted on more than `allowed`.

    Raises:
        FutureLeakError: `seen` holds a later timestamp, or more events, than `allowed`.
    """
    limit = allowed.data_extent
    if seen.last_timestamp > limit.last_timestamp or seen.events > limit.events:
        raise FutureLeakError(
            f"{name} was fitted on {seen.events} events up to {seen.last_timestamp} µs, but only {limit.events} events "
            f"up to {limit.last_timestamp} µs may be used before the part that it is evaluated on: fit it on those"
        )


def _stops(log: Interactions, cutoff: datetime) -> Integers:
    inside = log.times <= microseconds(cutoff)
    return np.bincount(log.rows[inside], minlength=len(log)).astype(np.int64)
