"""The points of histories at which the next items are predicted.

There is a point after every event. A model that reads profiles or queries has another before a user's first event, and
a model that reads queries one after each query.
"""

from dataclasses import dataclass

import numpy as np

from pipeline_tasks.data.interactions import Integers, Interactions
from pipeline_tasks.models.two_tower.training_windows import TargetDraw


@dataclass(frozen=True)
class PredictionPoints:
    """n moments in a batch of windows."""

    place: Integers
    """(n,) index into the flattened states (windows, lead + length)."""
    events: Integers
    """(n,) the event of the log whose time it is."""
    starts: Integers
    """(n,) the first event of the log that may be the answer."""
    rooms: Integers
    """(n,) how many events from there on may be."""
    queries: Integers
    """(n,) index of the query that was just typed, 0 for none."""

    def ordered(self, order: Integers) -> "PredictionPoints":
        """Return the moments named, in that order."""
        return PredictionPoints(*(column[order] for column in self._columns))

    def joined(self, more: "PredictionPoints") -> "PredictionPoints":
        """Return these and then `more`."""
        both = zip(self._columns, more._columns, strict=True)
        return PredictionPoints(*(np.concatenate(columns) for columns in both))

    @property
    def _columns(self) -> tuple[Integers, ...]:
        return self.place, self.events, self.starts, self.rooms, self.queries


def points_after_events(windows: Integers, targets: TargetDraw, lead: int) -> PredictionPoints:
    """Return the moments after the events of `windows` (batch, length): what follows is the answer."""
    rows, columns = np.nonzero(windows >= 0)
    events = windows[rows, columns]
    place = rows * (windows.shape[1] + lead) + lead + columns
    return PredictionPoints(place, events, targets.start[events], targets.room[events], np.zeros_like(events))


class LeadPredictionPoints:
    """The moments before first events and after queries of one log, for windows whose states have a lead.

    A query is asked about where it was typed: its answers are the events that it led to, and the state beside it is the
    one before the first of them, which has not seen it.
    """

    def __init__(self, log: Interactions, targets: TargetDraw) -> None:
        size = len(log.items)
        self.first = np.zeros(size, dtype=np.bool_)
        self.first[log.offsets[:-1][log.lengths > 0]] = True
        led = np.zeros(size, dtype=np.int64) if log.queries is None else log.queries.led
        begins = self.first | (np.diff(led, prepend=0) != 0)
        ends = np.append(np.flatnonzero(begins)[1:], size)[np.cumsum(begins) - 1]
        basket = ~self.first & (np.diff(log.times, prepend=-1) == 0)
        self.asked = np.where(begins & ~basket, led, 0)
        """(m,) the query that was typed right before the event, 0 for none: not in the middle of a basket, whose lines
        have no order."""
        self.led_room = np.minimum(ends - np.arange(size), targets.reach)
        self.room = np.minimum(log.offsets[1:][log.rows] - np.arange(size), targets.reach)

    def of(self, windows: Integers) -> PredictionPoints:
        """Return those of `windows` (batch, length), -1 beyond a history's end."""
        rows, columns = np.nonzero(windows >= 0)
        events = windows[rows, columns]
        # The state before an event that a window begins with in the middle of a history is not among its states.
        seen = (columns > 0) | self.first[events]
        place = rows * (windows.shape[1] + 1) + columns
        first, asked = self.first[events], seen & (self.asked[events] > 0)
        none = np.zeros_like(events)
        whole = PredictionPoints(place, events, events, self.room[events], none)
        typed = PredictionPoints(place, events, events, self.led_room[events], self.asked[events])
        return whole.ordered(np.flatnonzero(first)).joined(typed.ordered(np.flatnonzero(asked)))
