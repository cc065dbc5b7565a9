"""Questions with a yes or no, and the answers that a log knows: none of what is not over yet.

A question is asked after an event and at a moment before the history's next event: what is known then is the history up
to that event, and how long ago it was. An answer that is not yet known at the end of the log is no
answer, not even where it is already yes: kept, the last days would hold yeses only.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from pipeline_tasks.data.interactions import Flags, Floats, Integers, Interactions
from pipeline_tasks.tables.contracts import CHOSEN_TYPES
from pipeline_tasks.time_units import DAY, SESSION_GAP

INTENT_SPAN: Final = 7 * DAY
_NEVER: Final = np.iinfo(np.int64).max


@dataclass(frozen=True)
class LabelledExamples:
    """k questions."""

    events: Integers
    """(k,) index into the log: what is known is the history up to this event."""
    prediction_times: Integers
    """(k,) epoch microseconds, no earlier than the event."""
    items: Integers
    """(k,) what is asked about, -1 where it is no item."""
    labels: Floats
    """(k,) 1 or 0."""
    weights: Floats
    """(k,) how much each counts."""
    leanings: Floats | None = None
    """(k, 2) what earlier answers say (see data/rating_bias.py); None of tasks that do not read them."""

    def only(self, kept: Flags | Integers) -> "LabelledExamples":
        """Return some of them."""
        events, moments, items = self.events[kept], self.prediction_times[kept], self.items[kept]
        leanings = None if self.leanings is None else self.leanings[kept]
        return LabelledExamples(events, moments, items, self.labels[kept], self.weights[kept], leanings)


class LabelSampler(Protocol):
    """One task over one log."""

    def sample(self, events: Integers, rng: np.random.Generator) -> LabelledExamples:
        """Return questions after some of `events` (n,), with answers that are known by the end of the log."""


class PurchaseIntentSampler:
    """Whether a known user buys within 7 days of a moment."""

    def __init__(self, log: Interactions) -> None:
        self.log, self.until = log, log.evidence.last_timestamp
        following = later_steps(log)
        inside = following < log.offsets[1:][log.rows]
        self.next_time = np.where(inside, log.times[np.minimum(following, len(log.times) - 1)], _NEVER)
        self.bought = next_purchases(log, following)
        # The last line of a basket stands for it.
        self.last_of_step = following == np.arange(len(log.times)) + 1
        self.known = log.known[log.rows]

    def sample(self, events: Integers, rng: np.random.Generator) -> LabelledExamples:
        """Ask at a random moment before the next event, which counts as long as it lasts: as if asked at any time."""
        times = self.log.times[events]
        ends = np.minimum(self.next_time[events], self.until - INTENT_SPAN)
        spans = np.where(self.known[events] & self.last_of_step[events], np.maximum(ends - times, 0), 0)
        moments = times + (rng.random(len(events)) * spans).astype(np.int64)
        asked = spans > 0
        return self._questions(events[asked], moments[asked], spans[asked] / DAY)

    def sample_at(self, moment: int, span: int = INTENT_SPAN) -> LabelledExamples:
        """Ask of every known user with a history, at one moment; yes is a purchase within `span` of it."""
        before = self.log.times < moment
        last = np.flatnonzero(before & (self.next_time >= moment) & self.last_of_step & self.known)
        questions = self._questions(last, np.full(len(last), moment), np.ones(len(last)), span)
        return questions if moment + span <= self.until else questions.only(np.zeros(0, np.int64))

    def _questions(
        self, events: Integers, moments: Integers, weights: np.ndarray, span: int = INTENT_SPAN
    ) -> LabelledExamples:
        labels = (self.bought[events] <= moments + span).astype(np.float32)
        return LabelledExamples(events, moments, np.full(len(events), -1), labels, weights.astype(np.float32))


class SessionSampler:
    """Whether a purchase follows in the same session."""

    def __init__(self, log: Interactions) -> None:
        self.log = log
        ends = session_ends(log)
        self.last_time = log.times[ends]
        self.bought = next_purchases(log, later_steps(log))
        self.over = self.last_time + SESSION_GAP <= log.evidence.last_timestamp

    def sample(self, events: Integers, rng: np.random.Generator) -> LabelledExamples:
        """Ask right after every event whose session is over."""
        events = events[self.over[events]]
        labels = (self.bought[events] <= self.last_time[events]).astype(np.float32)
        return LabelledExamples(
            events, self.log.times[events], np.full(len(events), -1), labels, np.ones(len(events), np.float32)
        )


def later_steps(log: Interactions) -> Integers:
    """Return (m,) the first event of the log after the event's own timestamp, at most the end of its sequence."""
    ends = log.offsets[1:][log.rows]
    changes = np.append(np.flatnonzero(np.diff(log.times) != 0) + 1, len(log.times))
    following: Integers = changes[np.searchsorted(changes, np.arange(len(log.times)), side="right")]
    return np.minimum(following, ends)


def next_purchases(log: Interactions, following: Integers) -> Integers:
    """Return (m,) the time of the first purchase at `following` (m,) or after, else one that never comes."""
    places = np.append(np.flatnonzero(log.types == CHOSEN_TYPES.index("purchase")), len(log.times))
    found = places[np.searchsorted(places, following)]
    inside = found < log.offsets[1:][log.rows]
    return np.where(inside, np.append(log.times, _NEVER)[found], _NEVER)


def session_ends(log: Interactions) -> Integers:
    """Return (m,) the last event of each event's session, by half an hour without one."""
    breaks = np.flatnonzero((np.diff(log.times) > SESSION_GAP) | (np.diff(log.rows) != 0))
    last = np.append(breaks, len(log.times) - 1)
    return last[np.searchsorted(last, np.arange(len(log.times)))]
