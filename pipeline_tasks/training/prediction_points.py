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
    """n prediction points in a batch of windows."""

    place: Integers
    """(n,) index into the flattened states (windows, lead + length)."""
    events: Integers
    """(n,) index of the event that gives the time."""
    starts: Integers
    """(n,) index of the first event that may be the target."""
    rooms: Integers
    """(n,) number of events from there on that may be the target."""
    queries: Integers
    """(n,) index of the query typed just before, 0 for none."""

    def ordered(self, order: Integers) -> "PredictionPoints":
        """Return the points at `order`, in that order."""
        return PredictionPoints(*(column[order] for column in self._columns))

    def joined(self, more: "PredictionPoints") -> "PredictionPoints":
        """Return these points followed by `more`."""
        both = zip(self._columns, more._columns, strict=True)
        return PredictionPoints(*(np.concatenate(columns) for columns in both))

    @property
    def _columns(self) -> tuple[Integers, ...]:
        return self.place, self.events, self.starts, self.rooms, self.queries


def points_after_events(windows: Integers, targets: TargetDraw, lead: int) -> PredictionPoints:
    """Return the points after the events of `windows` (batch, length); their targets are later events."""
    rows, columns = np.nonzero(windows >= 0)
    events = windows[rows, columns]
    place = rows * (windows.shape[1] + lead) + lead + columns
    return PredictionPoints(place, events, targets.start[events], targets.room[events], np.zeros_like(events))


class LeadPredictionPoints:
    """The points before first events and after queries, for windows with a lead state before their first event.

    The point of a query has the state before the first event that the query led to. Its targets are the events that
    the query led to.
    """

    def __init__(self, log: Interactions, targets: TargetDraw) -> None:
        size = len(log.items)
        self.first = np.zeros(size, dtype=np.bool_)
        self.first[log.offsets[:-1][log.lengths > 0]] = True
        led = np.zeros(size, dtype=np.int64) if log.queries is None else log.queries.led
        begins = self.first | (np.diff(led, prepend=0) != 0)
        ends = np.append(np.flatnonzero(begins)[1:], size)[np.cumsum(begins) - 1]
        basket = ~self.first & (np.diff(log.times, prepend=-1) == 0)
        self.query = np.where(begins & ~basket, led, 0)
        """(m,) index of the query typed right before the event, 0 for none; none within a basket, which has no order.
        """
        self.led_room = np.minimum(ends - np.arange(size), targets.reach)
        self.room = np.minimum(log.offsets[1:][log.rows] - np.arange(size), targets.reach)

    def of(self, windows: Integers) -> PredictionPoints:
        """Return the points of `windows` (batch, length) of event indices, -1 beyond a history's end."""
        rows, columns = np.nonzero(windows >= 0)
        events = windows[rows, columns]
        # A window that starts in the middle of a history has no state before its first event.
        seen = (columns > 0) | self.first[events]
        place = rows * (windows.shape[1] + 1) + columns
        first, has_query = self.first[events], seen & (self.query[events] > 0)
        none = np.zeros_like(events)
        at_start = PredictionPoints(place, events, events, self.room[events], none)
        after_query = PredictionPoints(place, events, events, self.led_room[events], self.query[events])
        return at_start.ordered(np.flatnonzero(first)).joined(after_query.ordered(np.flatnonzero(has_query)))
