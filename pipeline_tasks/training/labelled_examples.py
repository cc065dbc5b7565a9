"""Samples labelled examples for the binary task heads from a log.

An example has an event and a prediction time before the history's next event. Its features are the history up to the
event, and the time since. Examples whose time span ends after the log are left out, even if their label is already
positive; otherwise the last days would hold positive examples only.

An example may use the history before its prediction time. Events of that very timestamp are left out, because one of
them may be the label itself.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from pipeline_tasks.data.interactions import Flags, Floats, Integers, Interactions
from pipeline_tasks.data.ratings import BinaryLabels, leanings
from pipeline_tasks.data.task_labels import Impressions
from pipeline_tasks.tables.contracts import CHOSEN_TYPES
from pipeline_tasks.times import DAY, SESSION_GAP

INTENT_SPAN: Final = 7 * DAY
_NEVER: Final = np.iinfo(np.int64).max


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
    leanings: Floats | None = None
    """(k, 2) rating bias of the user and of the item (see data/ratings.py); None for tasks that do not use it."""

    def only(self, kept: Flags | Integers) -> "LabelledExamples":
        """Return the chosen examples."""
        events, times, items = self.events[kept], self.prediction_times[kept], self.items[kept]
        leanings = None if self.leanings is None else self.leanings[kept]
        return LabelledExamples(events, times, items, self.labels[kept], self.weights[kept], leanings)


class LabelSampler(Protocol):
    """Samples the examples of one task from one log."""

    def sample(self, events: Integers, rng: np.random.Generator) -> LabelledExamples:
        """Return examples at some of `events` (n,), with labels that are final at the end of the log."""


class PurchaseIntentSampler:
    """Label: whether a user with an id buys within 7 days of the prediction time."""

    def __init__(self, log: Interactions) -> None:
        self.log, self.until = log, log.evidence.last_timestamp
        following = later_steps(log)
        inside = following < log.offsets[1:][log.rows]
        self.next_time = np.where(inside, log.times[np.minimum(following, len(log.times) - 1)], _NEVER)
        self.bought = next_purchases(log, following)
        # Only the last line of a basket gives an example.
        self.last_of_step = following == np.arange(len(log.times)) + 1
        self.known = log.known[log.rows]

    def sample(self, events: Integers, rng: np.random.Generator) -> LabelledExamples:
        """Return one example per event, at a random time before the next event and weighted by that time span.

        The weights make the examples a sample of all times.
        """
        times = self.log.times[events]
        ends = np.minimum(self.next_time[events], self.until - INTENT_SPAN)
        spans = np.where(self.known[events] & self.last_of_step[events], np.maximum(ends - times, 0), 0)
        prediction_times = times + (rng.random(len(events)) * spans).astype(np.int64)
        kept = spans > 0
        return self._examples(events[kept], prediction_times[kept], spans[kept] / DAY)

    def sample_at(self, moment: int, span: int = INTENT_SPAN) -> LabelledExamples:
        """Return an example for every known user with a history at `moment`; label: a purchase within `span`."""
        before = self.log.times < moment
        last = np.flatnonzero(before & (self.next_time >= moment) & self.last_of_step & self.known)
        examples = self._examples(last, np.full(len(last), moment), np.ones(len(last)), span)
        return examples if moment + span <= self.until else examples.only(np.zeros(0, np.int64))

    def _examples(
        self, events: Integers, times: Integers, weights: np.ndarray, span: int = INTENT_SPAN
    ) -> LabelledExamples:
        labels = (self.bought[events] <= times + span).astype(np.float32)
        return LabelledExamples(events, times, np.full(len(events), -1), labels, weights.astype(np.float32))


class SessionSampler:
    """Label: whether a purchase follows in the same session."""

    def __init__(self, log: Interactions) -> None:
        self.log = log
        ends = session_ends(log)
        self.last_time = log.times[ends]
        self.bought = next_purchases(log, later_steps(log))
        self.over = self.last_time + SESSION_GAP <= log.evidence.last_timestamp

    def sample(self, events: Integers, rng: np.random.Generator) -> LabelledExamples:
        """Return an example right after every event of a session that is over."""
        events = events[self.over[events]]
        labels = (self.bought[events] <= self.last_time[events]).astype(np.float32)
        return LabelledExamples(
            events, self.log.times[events], np.full(len(events), -1), labels, np.ones(len(events), np.float32)
        )


def later_steps(log: Interactions) -> Integers:
    """Return (m,) index of the first event after each event's own timestamp, at most the end of its sequence."""
    ends = log.offsets[1:][log.rows]
    changes = np.append(np.flatnonzero(np.diff(log.times) != 0) + 1, len(log.times))
    following: Integers = changes[np.searchsorted(changes, np.arange(len(log.times)), side="right")]
    return np.minimum(following, ends)


def next_purchases(log: Interactions, following: Integers) -> Integers:
    """Return (m,) time of the first purchase at `following` (m,) or later in the sequence; `_NEVER` without one."""
    places = np.append(np.flatnonzero(log.types == CHOSEN_TYPES.index("purchase")), len(log.times))
    found = places[np.searchsorted(places, following)]
    inside = found < log.offsets[1:][log.rows]
    return np.where(inside, np.append(log.times, _NEVER)[found], _NEVER)


def session_ends(log: Interactions) -> Integers:
    """Return (m,) index of the last event of each event's session; half an hour without an event ends a session."""
    breaks = np.flatnonzero((np.diff(log.times) > SESSION_GAP) | (np.diff(log.rows) != 0))
    last = np.append(breaks, len(log.times) - 1)
    return last[np.searchsorted(last, np.arange(len(log.times)))]


class ItemLabelSampler:
    """Examples about items, sorted by the last event before each."""

    def __init__(
        self, log: Interactions, shown: Impressions | BinaryLabels, labels: Floats, bias: Floats | None = None
    ) -> None:
        events = last_events(log, shown.rows, shown.times)
        kept = np.flatnonzero(events >= 0)
        order = kept[np.argsort(events[kept], kind="stable")]
        self.events, self.items, self.times = events[order], shown.items[order], shown.times[order]
        self.labels, self.leanings = labels[order], None if bias is None else bias[order]

    def sample(self, events: Integers, rng: np.random.Generator) -> LabelledExamples:
        """Return all examples with one of `events` as their last event."""
        starts, stops = (np.searchsorted(self.events, events, side=side) for side in ("left", "right"))
        counts = stops - starts
        places = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        bias = None if self.leanings is None else self.leanings[places]
        columns = (self.events[places], self.times[places], self.items[places], self.labels[places])
        return LabelledExamples(*columns, np.ones(len(places), np.float32), bias)


class ClickSampler(ItemLabelSampler):
    """Label: whether the user clicks or views a shown item within half an hour."""

    def __init__(self, log: Interactions, impressions: Impressions) -> None:
        shown = impressions.until(log.evidence.last_timestamp - SESSION_GAP)
        super().__init__(log, shown, clicked(log, shown))


class RatingSampler(ItemLabelSampler):
    """Label: whether a rated item is liked, predicted just before the rating: P(liked | the user rates the item)."""

    def __init__(self, log: Interactions, opinions: BinaryLabels) -> None:
        known = opinions.until(log.evidence.last_timestamp)
        bias = leanings(known, known.rows, known.items, known.times)
        super().__init__(log, known, known.liked.astype(np.float32), bias)


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


def clicked(log: Interactions, shown: Impressions) -> Floats:
    """Return (n,) 1 where a click or view of the shown item follows within half an hour, else 0."""
    views = np.isin(log.types, [CHOSEN_TYPES.index(name) for name in ("click", "view")])
    width = int(max(log.items.max(initial=0), shown.items.max(initial=0))) + 1
    pairs = np.concatenate([log.rows[views] * width + log.items[views], shown.rows * width + shown.items])
    times = np.concatenate([log.times[views], shown.times])
    is_example = np.arange(len(pairs)) >= views.sum()
    order = np.lexsort((~is_example, times, pairs))
    # A backward pass finds the nearest view at or after each place.
    is_view = ~is_example[order]
    place = np.where(is_view, np.arange(len(order)), len(order))
    nearest = np.minimum.accumulate(place[::-1])[::-1]
    inside = np.minimum(nearest, len(order) - 1)
    same = (nearest < len(order)) & (pairs[order][inside] == pairs[order])
    soon = same & (times[order][inside] - times[order] <= SESSION_GAP)
    labels = np.empty(len(order), np.float32)
    labels[order] = soon
    return labels[len(pairs) - len(shown.rows) :]
