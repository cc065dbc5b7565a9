"""Labelled examples of a binary task, sampled from a log.

An example has an event and a prediction time before the history's next event. Its features are the history up to the
event, and the time since. Examples whose time span ends after the log are left out, even if their label is already
positive; otherwise the last days would hold positive examples only.

An example may use the history before its prediction time. Events of that very timestamp are left out, because one of
them may be the label itself.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Flags, Floats, Integers, Interactions
from pipeline_tasks.data.ratings import BinaryLabels
from pipeline_tasks.data.task_labels import Impressions
from pipeline_tasks.tables.contracts import CHOSEN_TYPES

MAX_EXAMPLES: Final = 5_000
"""Maximum number of examples that a head is evaluated on; the standard error of an AUC is then about .01."""
NEVER: Final = np.iinfo(np.int64).max
"""Time of an event that does not follow."""


@dataclass(frozen=True)
class LabelledExamples:
    """k examples of one binary task."""

    events: Integers
    """(k,) index of the last event of the history that the example may use."""
    prediction_times: Integers
    """(k,) epoch microseconds, no earlier than the event."""
    items: Integers
    """(k,) the item of the example, -1 for a task that is not about items."""
    labels: Floats
    """(k,) 1 or 0."""
    weights: Floats
    """(k,) weight of each example."""
    rating_bias: Floats | None = None
    """(k, 2) rating bias of the user and of the item (see data/ratings.py); None for tasks that do not use it."""

    def only(self, kept: Flags | Integers) -> "LabelledExamples":
        """Return the chosen examples."""
        events, times, items = self.events[kept], self.prediction_times[kept], self.items[kept]
        bias = None if self.rating_bias is None else self.rating_bias[kept]
        return LabelledExamples(events, times, items, self.labels[kept], self.weights[kept], bias)

    @property
    def positive_share(self) -> float:
        """The share of positive labels; a half without examples."""
        return float(self.labels.mean()) if len(self.labels) else 0.5


@dataclass(frozen=True)
class HeldOutExamples:
    """The examples after a cut-off, on which a head is evaluated."""

    examples: LabelledExamples
    base_rate: float
    """Share of positive labels up to the cut-off."""
    span_share: float = 1.0
    """Share of the task's time span that is evaluated (see `purchase_intent`)."""


class LabelSampler(ABC):
    """Samples the examples of one task from one log."""

    def __init__(self, log: Interactions) -> None:
        self.log = log

    @abstractmethod
    def sample(self, events: Integers, rng: np.random.Generator) -> LabelledExamples:
        """Return examples at some of `events` (n,), with labels that are final at the end of the log."""

    def held_out(self, cutoff: int) -> HeldOutExamples:
        """Return at most MAX_EXAMPLES of the examples whose prediction time is after `cutoff` (epoch microseconds)."""
        rng = np.random.default_rng(0)
        examples = self.sample(np.arange(len(self.log.items)), rng)
        new = np.flatnonzero(examples.prediction_times > cutoff)
        chosen = new if len(new) <= MAX_EXAMPLES else np.sort(rng.choice(new, MAX_EXAMPLES, replace=False))
        before = examples.only(examples.prediction_times <= cutoff)
        return HeldOutExamples(examples.only(chosen), before.positive_share)


class ItemLabelSampler(LabelSampler):
    """Examples about items, sorted by the last event before each."""

    def __init__(
        self, log: Interactions, shown: Impressions | BinaryLabels, labels: Floats, bias: Floats | None = None
    ) -> None:
        super().__init__(log)
        events = last_events(log, shown.rows, shown.times)
        kept = np.flatnonzero(events >= 0)
        order = kept[np.argsort(events[kept], kind="stable")]
        self.events, self.items, self.times = events[order], shown.items[order], shown.times[order]
        self.labels, self.rating_bias = labels[order], None if bias is None else bias[order]

    def sample(self, events: Integers, rng: np.random.Generator) -> LabelledExamples:
        """Return all examples with one of `events` as their last event."""
        starts, stops = (np.searchsorted(self.events, events, side=side) for side in ("left", "right"))
        counts = stops - starts
        places = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        bias = None if self.rating_bias is None else self.rating_bias[places]
        columns = (self.events[places], self.times[places], self.items[places], self.labels[places])
        return LabelledExamples(*columns, np.ones(len(places), np.float32), bias)


def last_events(log: Interactions, rows: Integers, times: Integers) -> Integers:
    """Return (n,) index of the last event of the sequences `rows` before `times`, -1 where there is none."""
    both = np.concatenate([log.rows, rows]), np.concatenate([log.times, times])
    is_example = np.arange(len(both[0])) >= len(log.times)
    # At equal times examples come first, because such an event is not before them.
    order = np.lexsort((~is_example, both[1], both[0]))
    seen = np.cumsum(~is_example[order]) - 1
    found = np.empty(len(order), np.int64)
    found[order] = seen
    last = found[len(log.times) :]
    return np.where((last >= log.offsets[rows]) & (last < log.offsets[rows + 1]), last, -1)


def later_steps(log: Interactions) -> Integers:
    """Return (m,) index of the first event after each event's own timestamp, at most the end of its sequence."""
    ends = log.offsets[1:][log.rows]
    changes = np.append(np.flatnonzero(np.diff(log.times) != 0) + 1, len(log.times))
    following: Integers = changes[np.searchsorted(changes, np.arange(len(log.times)), side="right")]
    return np.minimum(following, ends)


def next_purchases(log: Interactions, following: Integers) -> Integers:
    """Return (m,) time of the first purchase at `following` (m,) or later in the sequence; `NEVER` without one."""
    places = np.append(np.flatnonzero(log.types == CHOSEN_TYPES.index("purchase")), len(log.times))
    found = places[np.searchsorted(places, following)]
    inside = found < log.offsets[1:][log.rows]
    return np.where(inside, np.append(log.times, NEVER)[found], NEVER)
